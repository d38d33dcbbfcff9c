/** A durable message whose deadline is over is not started, by its own node or by the next one. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromTransition } from 'xstate';
import { z } from 'zod';
import { type Address, defineActor, defineApp } from '../../runtime/index.ts';
import { createTestWorld, type TestNode } from '../../runtime/testing/index.ts';

const tally = defineActor({
  kind: 'tally',
  persist: 'snapshot',
  messages: { add: { payload: z.object({ n: z.int() }), reply: z.object({ all: z.array(z.int()) }) } },
  logic: fromTransition((all: readonly number[], event: { type: string; payload: { n: number } }, { emit }) => {
    const more = [...all, event.payload.n];
    (emit as (emitted: object) => void)({ type: 'troupe.reply', value: { all: more } });
    return more;
  }, []),
});
const app = defineApp({ tree: [{ id: 'tallies', strategy: 'dynamic', onDemand: true, child: { actor: tally } }] });
const to = '/tallies/a' as Address;
const shortMs = 1_000;

test('what expired while its actor was held is a letter, over a kill too; what has time left is handled', async () => {
  const world = createTestWorld({ shards: 1 });
  const first = await world.start({ app });
  const add = (node: TestNode, n: number, timeoutMs: number): Promise<unknown> =>
    node.messaging().ask({ to, type: 'add', payload: { n }, delivery: 'at-least-once' }, { timeoutMs });
  assert.deepEqual(await world.settle(add(first, 0, shortMs)), { all: [0] });
  await world.settle(first.runtime.activations.pause(to, 'until some expire'));
  void add(first, 1, 600_000).catch(() => undefined);
  const ends = await world.settle(Promise.allSettled([add(first, 2, shortMs), add(first, 3, shortMs)]));
  for (const end of ends) assert.equal((end as PromiseRejectedResult).reason?.reason, 'DEADLINE_EXCEEDED');
  first.kill();
  const second = await world.start({ app, succeeds: first });
  await world.settle(second.runtime.activations.resume(to));
  assert.deepEqual(await world.settle(add(second, 4, 10_000)), { all: [0, 1, 4] });
  const { items } = await world.settle(second.runtime.inspection.deadLetters({ limit: 10 }));
  assert.deepEqual(
    items.map(({ type, reason, attempts, errors }) => [type, reason, attempts, errors.length]),
    [
      ['add', 'EXPIRED', 1, 0],
      ['add', 'EXPIRED', 1, 0],
    ],
  );
  second.kill();
});
