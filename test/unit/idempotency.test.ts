/** Idempotency keys and kept results, on a whole node over a memory engine. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createMemorySpace, type Engine, EngineUnknown } from '../../runtime/engines/index.ts';
import type { TroupeError } from '../../runtime/errors.ts';
import type { OutgoingMessage } from '../../runtime/messaging.ts';
import { seededRandom } from '../support/seed.ts';
import { eventually, startWorld, type World } from '../support/world.ts';

const to = '/sleepers/a';
const add = (by: number, idempotencyKey?: string, more: object = {}): OutgoingMessage => ({
  to,
  type: 'add',
  payload: { by },
  ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
  ...more,
});

/** As a client does who was told to come again: the key makes it safe. */
async function insist<T>(send: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await send();
    } catch (error) {
      assert.equal((error as TroupeError).reason, 'UNAVAILABLE');
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}

const total = async (world: World): Promise<number> =>
  ((await insist(() => world.messaging.ask(add(0)))) as { total: number }).total;

/** Loses the answers of many calls that read and write. */
function losing(engine: Engine): Engine {
  // No fixed rhythm: it could hit the same call of every attempt.
  const chance = seededRandom(7);
  const lose =
    <A extends unknown[], R>(call: (...given: A) => Promise<R>) =>
    async (...given: A): Promise<R> => {
      const answer = await call(...given);
      if (chance() < 0.25) throw new EngineUnknown('lost');
      return answer;
    };
  return {
    ...engine,
    transport: { ...engine.transport, add: lose(engine.transport.add), fetch: lose(engine.transport.fetch) },
    store: { ...engine.store, commit: lose(engine.store.commit), get: lose(engine.store.get) },
  };
}

describe('an idempotency key', () => {
  for (const [how, meddle] of [
    ['', undefined],
    [', whatever answers of the engine are lost', losing],
  ] as const)
    test(`applies one of its messages, and all get equal answers${how}`, async (t) => {
      const world = await startWorld(t, { app: 'sleeper', ...(meddle === undefined ? {} : { meddle }) });
      const answers = await Promise.all(
        Array.from({ length: 40 }, (_, n) => insist(() => world.messaging.ask(add(1, `k${n % 4}`)))),
      );
      for (const [n, answer] of answers.entries()) assert.deepEqual(answer, answers[n % 4]);
      assert.equal(new Set(answers.map((answer) => (answer as { total: number }).total)).size, 4);
      for (let n = 0; n < 10; n++) await insist(() => world.messaging.tell(add(10, 'told')));
      await eventually(
        () => total(world),
        (found) => found === 14,
      );
      await eventually(
        async () => world.runtime.inspection.counters().idempotent_repeats_total ?? 0,
        (repeats) => repeats >= 45,
      );
      assert.equal(await total(world), 14);
      await world.close();
    });

  test('holds after a kill, and another tenant has its own', async (t) => {
    const space = createMemorySpace();
    const first = await startWorld(t, { app: 'sleeper', space });
    const answer = await first.messaging.ask(add(5, 'once'));
    first.abandon();
    const second = await startWorld(t, { app: 'sleeper', space, succeeds: first.runtime.nodeEpoch });
    assert.deepEqual(await second.messaging.ask(add(5, 'once')), answer);
    assert.deepEqual(await second.messaging.ask(add(5, 'once', { headers: { tenant: 'b' } })), { total: 10 });
    assert.equal(await total(second), 10);
    await second.close();
  });

  test('is refused for another message, and when it is none', async (t) => {
    const world = await startWorld(t, { app: 'sleeper' });
    await world.messaging.ask(add(1, 'k'));
    await assert.rejects(world.messaging.ask(add(2, 'k')), { reason: 'INVALID_MESSAGE', message: /another message/ });
    for (const bad of ['', ' ', 'ä', 'x'.repeat(256)])
      await assert.rejects(world.messaging.tell(add(1, bad)), { reason: 'INVALID_MESSAGE' });
    await assert.rejects(world.messaging.ask(add(1, 'k2', { delivery: 'at-most-once' })), {
      reason: 'INVALID_MESSAGE',
    });
    assert.equal(await total(world), 1);
    await world.close();
  });

  test('keeps the order of what comes behind it', async (t) => {
    const world = await startWorld(t, { app: 'courier' });
    const note = (n: number, key?: string) =>
      world.messaging.tell({
        to: '/couriers/a',
        type: 'note',
        payload: { n },
        ...(key === undefined ? {} : { idempotencyKey: key }),
      });
    await Promise.all(Array.from({ length: 100 }, (_, n) => note(n, n % 7 === 0 ? `k${n}` : undefined)));
    const { notes } = await eventually(
      async () => (await world.messaging.ask({ to: '/couriers/a', type: 'read' })) as { notes: number[] },
      (found) => found.notes.length === 100,
    );
    assert.deepEqual(
      notes,
      Array.from({ length: 100 }, (_, n) => n),
    );
    await world.close();
  });
});

describe('a task', () => {
  test('keeps its result over a kill of the node; what never came is not found', async (t) => {
    const space = createMemorySpace();
    const first = await startWorld(t, { app: 'sleeper', space });
    const { taskId } = await first.messaging.submit(add(3));
    await eventually(
      () => first.messaging.result(taskId),
      ({ status }) => status === 'done',
    );
    first.abandon();
    const second = await startWorld(t, { app: 'sleeper', space, succeeds: first.runtime.nodeEpoch });
    const { value, atMs = 0, expiresAtMs = 0 } = await second.messaging.result(taskId);
    assert.deepEqual([value, expiresAtMs - atMs], [{ total: 3 }, 24 * 60 * 60 * 1_000]);
    for (const unknown of ['s0.nothing', 's99.nothing', 'nonsense', '../../x'])
      await assert.rejects(second.messaging.result(unknown), { reason: 'NOT_FOUND' });
    await second.close();
  });

  test('that waits says so, one that fails says why, one under a used key has the same result', async (t) => {
    const world = await startWorld(t, { app: 'sleeper' });
    await world.runtime.activations.pause('/sleepers/a' as never, 'for now');
    const waiting = await world.messaging.submit(add(1, 'key'));
    const same = await world.messaging.submit(add(1, 'key'));
    assert.equal((await world.messaging.result(waiting.taskId)).status, 'waiting');
    assert.equal((await world.messaging.result(same.taskId)).status, 'waiting');
    await world.runtime.activations.resume('/sleepers/a' as never);
    for (const { taskId } of [waiting, same])
      assert.deepEqual(
        (
          await eventually(
            () => world.messaging.result(taskId),
            ({ status }) => status === 'done',
          )
        ).value,
        { total: 1 },
      );
    await world.runtime.activations.pause('/sleepers/a' as never, 'for now');
    const late = await world.messaging.submit(add(1), { timeoutMs: 20 });
    await new Promise((resolve) => setTimeout(resolve, 30));
    await world.runtime.activations.resume('/sleepers/a' as never);
    const failed = await eventually(
      () => world.messaging.result(late.taskId),
      ({ status }) => status !== 'waiting',
    );
    assert.equal(failed.error?.reason, 'DEADLINE_EXCEEDED');
    await assert.rejects(world.messaging.submit({ to, type: 'addLater', payload: { ms: 1, by: 1 } }), {
      reason: 'INVALID_MESSAGE',
    });
    await world.close();
  });
});
