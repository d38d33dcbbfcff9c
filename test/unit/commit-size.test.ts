/** However much mail is moved, or written off, at once: no write to the store is larger than what units may share. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fromTransition } from 'xstate';
import { z } from 'zod';
import type { ShardStore } from '../../runtime/engines/engine.ts';
import { type Address, defineActor, defineApp } from '../../runtime/index.ts';
import { limits } from '../../runtime/limits.ts';
import { createTestWorld, type TestNode, type TestWorld } from '../../runtime/testing/index.ts';

const count = 40;
const text = 'x'.repeat(limits.payloadBytes / 2);
const reader = defineActor({
  kind: 'reader',
  persist: 'snapshot',
  messages: {
    page: { payload: z.object({ n: z.int(), text: z.string() }) },
    fail: { payload: z.object({}) },
    read: { payload: z.object({ text: z.string().optional() }), reply: z.object({ pages: z.array(z.int()) }) },
  },
  logic: fromTransition((pages: readonly number[], event: { type: string; payload: { n: number } }, { emit }) => {
    if (event.type === 'fail') throw new Error('told to fail');
    if (event.type === 'read') (emit as (emitted: object) => void)({ type: 'troupe.reply', value: { pages } });
    return event.type === 'page' ? [...pages, event.payload.n] : pages;
  }, []),
});
const shelf = (actor = reader) => ({ id: 'shelf', strategy: 'dynamic' as const, onDemand: true, child: { actor } });
const app = defineApp({ tree: [shelf()] });

const pages = Array.from({ length: count }, (_, n) => n);

interface Watched {
  readonly world: TestWorld;
  readonly node: TestNode;
  /** Characters of the largest write. */
  largest(): number;
}

/** `afterParking`: is called once, when the first commit with parked mail is done and nobody has heard of it. */
async function watched(afterParking?: (node: TestNode) => void): Promise<Watched> {
  let largest = 0;
  let parkings = 0;
  const world = createTestWorld({ seed: 2, shards: 1 });
  const node: TestNode = await world.start({
    app,
    observe: (engine) => ({
      ...engine,
      store: Object.assign(Object.create(engine.store) as ShardStore, {
        async commit(...given: Parameters<ShardStore['commit']>) {
          const characters = given[2].reduce((sum, one) => sum + ('value' in one ? one.value.length : 0), 0);
          largest = Math.max(largest, characters);
          const outcome = await engine.store.commit(...given);
          if (given[2].some((one) => 'table' in one && one.table === 'parked' && one.op === 'put')) {
            parkings += 1;
            if (parkings === 1) afterParking?.(node);
          }
          return outcome;
        },
      }),
    }),
  });
  return { world, node, largest: () => largest };
}

const send = ({ world, node }: Watched, to: string, more: object = {}): Promise<unknown> =>
  world.settle(
    Promise.all(pages.map((n) => node.messaging().tell({ to, type: 'page', payload: { n, text }, ...more }))),
  );

const read = async ({ node }: Watched): Promise<unknown> =>
  ((await node.ask({ to: '/shelf/a', type: 'read' })) as { readonly pages: readonly number[] }).pages;

describe('a write to the store is bounded', () => {
  test('where mail is parked behind a message that fails, or at an operator’s word', async () => {
    const run = await watched();
    const { world, node } = run;
    assert.deepEqual(await read(run), []);
    const failing = node.messaging().tell({ to: '/shelf/a', type: 'fail' });
    await send(run, '/shelf/a');
    await world.settle(failing);
    await world.advance(60_000);
    assert.deepEqual(await read(run), pages);
    await send(run, '/shelf/b');
    await world.settle(node.runtime.activations.pause('/shelf/b' as Address, 'to park it'));
    await world.advance(10_000);
    assert.ok(run.largest() <= limits.commitCharacters, `${run.largest()} characters`);
    node.kill();
  });

  test('a kill between two writes of one move loses, repeats and reorders nothing', async () => {
    const { world, node } = await watched((first) => first.kill());
    const messaging = node.messaging();
    const accepted: number[] = [];
    void messaging.tell({ to: '/shelf/a', type: 'fail' });
    for (const n of pages)
      void messaging.tell({ to: '/shelf/a', type: 'page', payload: { n, text } }).then(() => accepted.push(n));
    assert.ok(await world.until(() => !node.alive));
    const second = await world.start({ app, succeeds: node });
    await world.advance(60_000);
    const found = ((await second.ask({ to: '/shelf/a', type: 'read' })) as { pages: number[] }).pages;
    assert.deepEqual(found, pages.slice(0, found.length));
    assert.ok(accepted.length > 4 && found.length >= accepted.length, `${found.length} of ${accepted.length}`);
    second.kill();
  });

  test('where delayed mail is due', async () => {
    const run = await watched();
    await send(run, '/shelf/a', { delayMs: 5_000 });
    await run.world.advance(20_000);
    assert.equal(((await read(run)) as number[]).length, count);
    assert.ok(run.largest() <= limits.commitCharacters, `${run.largest()} characters`);
    run.node.kill();
  });

  test('where dead letters are replayed, and all of them are handled', async () => {
    const run = await watched();
    const { world, node } = run;
    await world.settle(node.runtime.activations.pause('/shelf/a' as Address, 'until they expire'));
    const ask = { to: '/shelf/a', type: 'read', payload: { text }, delivery: 'at-least-once' } as const;
    const asks = pages.map(() => node.messaging().ask(ask, { timeoutMs: 1_000 }));
    const ends = await world.settle(Promise.allSettled(asks));
    assert.ok(ends.every(({ status }) => status === 'rejected'));
    await world.settle(node.runtime.activations.resume('/shelf/a' as Address));
    await world.advance(1_000);
    const letters = async () => (await world.settle(node.runtime.inspection.deadLetters({ limit: 100 }))).items;
    assert.equal((await letters()).length, count);
    const { changed } = await world.settle(node.runtime.deadLetters.replay({ filter: {}, limit: 100 }));
    assert.equal(changed, count);
    await world.advance(1_000);
    assert.deepEqual(await letters(), []);
    assert.equal(node.runtime.inspection.shards()[0]?.outbox, 0);
    assert.ok(run.largest() <= limits.commitCharacters, `${run.largest()} characters`);
    node.kill();
  });
});
