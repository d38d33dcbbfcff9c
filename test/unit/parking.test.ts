/** Parked mail, on a whole node over a memory engine: overflow, pause, backoff, delay and priority, and what a kill leaves of them. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Address } from '../../runtime/address.ts';
import { createMemorySpace, type Engine, type MemorySpace } from '../../runtime/engines/index.ts';
import { TroupeError } from '../../runtime/errors.ts';
import { defaults, limits } from '../../runtime/limits.ts';
import { shardNames } from '../../runtime/mailbox/shards.ts';
import { lower } from '../support/lower.ts';
import { eventually, shards, startWorld, type World } from '../support/world.ts';

const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index);
const a = '/couriers/a' as Address;

const note = (world: World, n: number, more: object = {}) =>
  world.messaging.tell({ to: a, type: 'note', payload: { n }, ...more });

async function notes(world: World, count: number): Promise<number[]> {
  return eventually(
    async () => {
      try {
        return ((await world.messaging.ask({ to: a, type: 'read' })) as { notes: number[] }).notes;
      } catch (error) {
        assert.ok(error instanceof TroupeError && error.reason !== 'INVALID_MESSAGE', String(error));
        return [];
      }
    },
    (found) => found.length >= count,
  );
}

/** Rows of a table, over all shards. */
async function rows(engine: Engine, table: 'park' | 'parked' | 'delayed'): Promise<number> {
  const counts = await Promise.all(
    shardNames(shards).map(async (shard) => (await engine.store.all(shard, table)).size),
  );
  return counts.reduce((sum, count) => sum + count, 0);
}

const inHand = (world: World): number =>
  world.runtime.inspection.shards().reduce((sum, shard) => sum + shard.inHand, 0);

const parkedRows = (world: World): number =>
  world.runtime.inspection.shards().reduce((sum, shard) => sum + shard.parked, 0);

async function succeed(t: Parameters<typeof startWorld>[0], world: World, space: MemorySpace): Promise<World> {
  world.abandon();
  return startWorld(t, { app: 'courier', space, succeeds: world.runtime.nodeEpoch });
}

describe('parking', () => {
  test('what a held actor gets is parked, holds nothing up, and comes back in order', async (t) => {
    const space = createMemorySpace();
    let world = await startWorld(t, { app: 'courier', space });
    await note(world, 0);
    assert.deepEqual(await notes(world, 1), [0]);
    await world.runtime.activations.pause(a, 'the upstream is being repaired');
    const count = limits.actorWaitingEnvelopes + 3 * limits.parkedPageEnvelopes;
    await Promise.all(numbers(count - 1).map((n) => note(world, n + 1)));
    await assert.rejects(world.messaging.ask({ to: a, type: 'read' }), { reason: 'PARKED', message: /repaired/ });
    await eventually(
      async () => inHand(world),
      (hand) => hand === 0,
    );
    assert.equal(await rows(world.engine, 'parked'), count - 1, 'all of it is taken and stored');
    assert.equal(parkedRows(world), count - 1, 'and counted');
    assert.deepEqual(
      world.runtime.inspection.parked().map(({ address, hold }) => [address, hold?.why]),
      [[a, 'paused']],
    );
    world = await succeed(t, world, space);
    await assert.rejects(world.messaging.ask({ to: a, type: 'read' }), { reason: 'PARKED' });
    assert.equal(parkedRows(world), count - 1, 'over a kill, too');
    await world.runtime.activations.resume(a);
    assert.deepEqual(await notes(world, count), numbers(count));
    assert.deepEqual([await rows(world.engine, 'parked'), await rows(world.engine, 'park')], [0, 0]);
    assert.equal(parkedRows(world), 0);
    await world.close();
  });

  test('a shard that is full of the mail of many refuses all of it, and takes mail again when there is room', async (t) => {
    const world = await startWorld(t, { app: 'courier' });
    const most = 40;
    lower(t, 'shardParkedEnvelopes', most);
    const held = numbers(16).map((n) => `/couriers/held-${n}` as Address);
    for (const to of held) {
      await world.messaging.ask({ to, type: 'read' });
      await world.runtime.activations.pause(to, 'slow');
    }
    const sent = (to: string, n: number): Promise<boolean> =>
      world.messaging.tell({ to, type: 'note', payload: { n } }).then(
        () => true,
        (error: TroupeError) => {
          assert.equal(error.reason, 'MAILBOX_FULL');
          assert.match(error.message, /shard of .* is full, of all its mailboxes together/);
          return false;
        },
      );
    const accepted = new Map<string, number[]>(held.map((to) => [to, []]));
    // None has much, and each shard gets full.
    for (const n of numbers(4 * most)) for (const to of held) if (await sent(to, n)) accepted.get(to)?.push(n);
    for (const shard of world.runtime.inspection.shards())
      assert.ok(shard.parked >= most && shard.parked < most + limits.actorWaitingEnvelopes, JSON.stringify(shard));
    for (const to of held) await world.runtime.activations.resume(to);
    for (const to of held) {
      const found = await eventually(
        async () => ((await world.messaging.ask({ to, type: 'read' })) as { notes: number[] }).notes,
        (list) => list.length === accepted.get(to)?.length,
      );
      assert.deepEqual(found, accepted.get(to), 'nothing of what was accepted is lost');
      await eventually(
        () => sent(to, 9_999),
        (done) => done,
      );
    }
    await world.close();
  });

  test('a slow actor keeps a bounded number in memory and its neighbours in the shard go on', async (t) => {
    const world = await startWorld(t, { app: 'courier' });
    await notes(world, 0);
    await world.runtime.activations.pause(a, 'slow');
    const count = 2 * limits.shardInHandEnvelopes;
    for (const block of numbers(8))
      await Promise.all(numbers(count / 8).map((n) => note(world, block * (count / 8) + n)));
    // Every shard has an answer for somebody else.
    for (const n of numbers(16)) {
      const to = `/couriers/other-${n}`;
      await world.messaging.tell({ to, type: 'note', payload: { n } });
      await eventually(
        async () => ((await world.messaging.ask({ to, type: 'read' })) as { notes: number[] }).notes,
        (found) => found.length === 1,
      );
    }
    assert.ok(inHand(world) <= limits.shardInHandEnvelopes);
    await world.runtime.activations.resume(a);
    assert.deepEqual(await notes(world, count), numbers(count));
    await world.close();
  });

  test('attempts are counted over kills: a poisonous message ends with its whole history, what came after it is handled', async (t) => {
    const space = createMemorySpace();
    let world = await startWorld(t, { app: 'courier', space });
    await note(world, 1);
    await world.messaging.tell({ to: a, type: 'fail' });
    await note(world, 2);
    await eventually(
      async () => world.runtime.inspection.parked(),
      (parked) => parked.some(({ hold }) => hold?.why === 'backoff'),
    );
    world = await succeed(t, world, space);
    const { items } = await eventually(
      () => world.runtime.inspection.deadLetters({ limit: 10 }),
      (page) => page.items.length > 0,
    );
    assert.deepEqual(
      items.map(({ type, reason, errors, attempts }) => [type, reason, errors.length, attempts]),
      [['fail', 'ATTEMPTS_SPENT', defaults.messageAttempts, defaults.messageAttempts]],
    );
    assert.deepEqual(await notes(world, 2), [1, 2]);
    await world.close();
  });

  test('a delayed message waits its time, over a kill too; a bad delay is refused', async (t) => {
    const space = createMemorySpace();
    let world = await startWorld(t, { app: 'courier', space });
    await note(world, 3, { delayMs: 400 });
    await note(world, 2, { delayMs: 200 });
    await note(world, 1);
    assert.deepEqual(await notes(world, 1), [1]);
    assert.equal(await rows(world.engine, 'delayed'), 2);
    world = await succeed(t, world, space);
    assert.deepEqual(await notes(world, 3), [1, 2, 3]);
    assert.equal(await rows(world.engine, 'delayed'), 0);
    for (const bad of [{ delayMs: -1 }, { delayMs: Number.NaN }, { delayMs: 1, delivery: 'at-most-once' }])
      await assert.rejects(note(world, 0, bad), { reason: 'INVALID_MESSAGE' });
    await world.close();
  });

  test('damaged rows keep no shard from being taken, and lose nothing that can be read', async (t) => {
    const space = createMemorySpace();
    const first = await startWorld(t, { app: 'courier', space });
    await first.runtime.activations.pause(a, 'for now');
    for (const n of numbers(3)) await note(first, n);
    await note(first, 9, { delayMs: 2_000 });
    // What had come when the address is held is parked at once.
    await first.runtime.activations.pause(a, 'for now');
    await eventually(
      async () => [await rows(first.engine, 'parked'), await rows(first.engine, 'delayed')],
      ([parked, delayed]) => parked === 3 && delayed === 1,
    );
    first.abandon();
    for (const { tables } of [...space.namespaces.values()].flatMap(({ shards: all }) => [...all.values()])) {
      tables.get('park')?.set(a, '{"tails":');
      for (const id of tables.get('delayed')?.keys() ?? []) tables.get('delayed')?.set(id, 'x');
    }
    const second = await startWorld(t, { app: 'courier', space, succeeds: first.runtime.nodeEpoch });
    assert.match(second.runtime.inspection.parked()[0]?.hold?.text ?? '', /damaged/);
    await second.runtime.activations.resume(a);
    await note(second, 3);
    assert.deepEqual(await notes(second, 4), numbers(4));
    await note(second, 4, { delayMs: 2_000 });
    assert.deepEqual(await notes(second, 5), numbers(5), 'the damaged one, due before, holds nothing up');
    await second.close();
  });

  test('the more urgent go first, each class in its order, parked or not', async (t) => {
    const world = await startWorld(t, { app: 'courier' });
    await notes(world, 0);
    await world.runtime.activations.pause(a, 'to gather');
    for (const n of numbers(30)) await note(world, n, { priority: (['low', 'normal', 'high'] as const)[n % 3] });
    await world.runtime.activations.resume(a);
    const found = await notes(world, 30);
    const rank = (n: number): number => 2 - (n % 3);
    assert.deepEqual(
      found,
      numbers(30).sort((left, right) => rank(left) - rank(right) || left - right),
    );
    await world.close();
  });

  test('property: whatever is held, released, delayed and killed in between, each message is applied once and in order', async (t) => {
    const step = fc.oneof(
      {
        weight: 4,
        arbitrary: fc.record({ do: fc.constant('send' as const), count: fc.integer({ min: 1, max: 700 }) }),
      },
      {
        weight: 1,
        arbitrary: fc.record({ do: fc.constantFrom('pause' as const, 'resume' as const, 'kill' as const) }),
      },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 12 }), async (steps) => {
        const space = createMemorySpace();
        let world = await startWorld(t, { app: 'courier', space });
        let next = 0;
        const accepted = new Set<number>();
        for (const one of steps) {
          if (one.do === 'send') {
            const sends = numbers(one.count).map(async () => {
              const n = next++;
              await note(world, n);
              accepted.add(n);
            });
            // A kill may come before all of it is acknowledged.
            await Promise.race([Promise.all(sends), new Promise((resolve) => setImmediate(resolve))]);
          } else if (one.do === 'kill') world = await succeed(t, world, space);
          else await world.runtime.activations[one.do](a, 'by the property');
        }
        await world.runtime.activations.resume(a);
        const found = await eventually(
          () => notes(world, 0),
          (list) => [...accepted].every((n) => list.includes(n)),
        );
        assert.deepEqual(
          found,
          [...new Set(found)].sort((left, right) => left - right),
          'once and in order',
        );
        await eventually(
          () => rows(world.engine, 'parked'),
          (count) => count === 0 && parkedRows(world) === 0,
        );
        await world.close();
      }),
      { numRuns: 12 },
    );
  });
});
