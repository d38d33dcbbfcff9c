/** Delivery on a whole node over a memory engine: once, in order, through lost answers, lost leases and abandoned lives. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createMemorySpace, type Engine, EngineUnknown } from '../../runtime/engines/index.ts';
import type { TroupeError } from '../../runtime/errors.ts';
import { shardNames } from '../../runtime/mailbox/shards.ts';
import { eventually, shards, startWorld, type World } from '../support/world.ts';

const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

/** What a courier has noted; nothing while it is between two lives. */
async function notesOf(world: World, address: string): Promise<number[]> {
  try {
    const { notes } = (await world.messaging.ask({ to: address, type: 'read' })) as { notes: number[] };
    return notes;
  } catch (error) {
    assert.ok(['ACTOR_FAILED', 'UNAVAILABLE'].includes((error as TroupeError).reason), String(error));
    return [];
  }
}

const notes = (world: World, address: string, count: number): Promise<number[]> =>
  eventually(
    () => notesOf(world, address),
    (found) => found.length >= count,
  );

/** Loses the answer of every third call, after or before it was done. */
function losing(engine: Engine): Engine {
  let calls = 0;
  const lose =
    <A extends unknown[], R>(call: (...given: A) => Promise<R>) =>
    async (...given: A): Promise<R> => {
      const kind = ++calls % 6;
      if (kind === 3) throw new EngineUnknown('lost before it was done');
      const answer = await call(...given);
      if (kind === 0) throw new EngineUnknown('lost after it was done');
      return answer;
    };
  return {
    ...engine,
    transport: {
      ...engine.transport,
      add: lose(engine.transport.add),
      fetch: lose(engine.transport.fetch),
      acknowledge: lose(engine.transport.acknowledge),
    },
    store: { ...engine.store, commit: lose(engine.store.commit) },
  };
}

// They wait for backoffs and takeovers: side by side, in worlds of their own.
describe('delivery', { concurrency: true }, () => {
  test('what an actor tells in committed turns arrives once and in order, across shards', async (t) => {
    const world = await startWorld(t, { app: 'courier' });
    const targets = numbers(8).map((index) => `/couriers/target-${index}`);
    for (const block of numbers(20))
      for (const to of targets)
        void world.messaging.tell({
          to: '/couriers/sender',
          type: 'forward',
          payload: { to, numbers: numbers(5).map((n) => block * 5 + n) },
        });
    for (const to of targets) assert.deepEqual(await notes(world, to, 100), numbers(100));
    await world.close();
  });

  test('lost answers of the engine neither lose, repeat nor reorder', async (t) => {
    const world = await startWorld(t, { app: 'courier', meddle: losing });
    await Promise.all(
      numbers(120).map((n) => world.messaging.tell({ to: '/couriers/a', type: 'note', payload: { n } })),
    );
    await world.messaging.tell({
      to: '/couriers/a',
      type: 'forward',
      payload: { to: '/couriers/b', numbers: numbers(50) },
    });
    assert.deepEqual(await notes(world, '/couriers/a', 120), numbers(120));
    assert.deepEqual(await notes(world, '/couriers/b', 50), numbers(50));
    await world.close();
  });

  test('a life that is abandoned in the middle is taken over whole', async (t) => {
    const space = createMemorySpace();
    let world = await startWorld(t, { app: 'courier', space });
    const accepted: number[] = [];
    for (const round of numbers(6)) {
      const sends = numbers(40).map(async (index) => {
        const n = round * 40 + index;
        await world.messaging.tell({ to: `/couriers/c${n % 3}`, type: 'note', payload: { n } });
        accepted.push(n);
      });
      await Promise.race([Promise.all(sends), new Promise((resolve) => setImmediate(resolve))]);
      await Promise.race([Promise.all(sends), new Promise((resolve) => setTimeout(resolve, round))]);
      world.abandon();
      const succeeds = world.runtime.nodeEpoch;
      world = await startWorld(t, { app: 'courier', space, succeeds });
    }
    assert.ok(accepted.length > 0);
    for (const key of numbers(3)) {
      const mine = accepted.filter((n) => n % 3 === key);
      const found = await eventually(
        () => notesOf(world, `/couriers/c${key}`),
        (list) => mine.every((n) => list.includes(n)),
      );
      assert.equal(new Set(found).size, found.length, 'nothing is applied twice');
      // Each round was another sender: order is kept within it.
      for (const round of numbers(6)) {
        const sent = found.filter((n) => Math.floor(n / 40) === round);
        assert.deepEqual(
          sent,
          [...sent].sort((left, right) => left - right),
          'in the order sent',
        );
      }
    }
    await world.close();
  });

  test('a durable timer fires once, also in a later life; a cancelled one never', async (t) => {
    const space = createMemorySpace();
    const first = await startWorld(t, { app: 'courier', space });
    const tell = (to: string, type: string, payload = {}) => first.messaging.tell({ to, type, payload });
    await tell('/couriers/kept', 'remind', { ms: 50, n: 7 });
    await tell('/couriers/cancelled', 'remind', { ms: 50, n: 7 });
    await tell('/couriers/cancelled', 'forget');
    await notesOf(first, '/couriers/kept');
    await notesOf(first, '/couriers/cancelled');
    // The reads came after the commits of what was told before them only if those were applied.
    await eventually(
      async () =>
        (await Promise.all(shardNames(shards).map((shard) => first.engine.store.all(shard, 'actor')))).flatMap(
          (rows) => [...rows.keys()],
        ),
      (addresses) => addresses.length === 2,
    );
    first.abandon();
    const second = await startWorld(t, { app: 'courier', space, succeeds: first.runtime.nodeEpoch });
    assert.deepEqual(await notes(second, '/couriers/kept', 1), [7]);
    assert.deepEqual(await notesOf(second, '/couriers/cancelled'), []);
    await second.close();
  });

  test('mail to an address that nobody has becomes a dead letter', async (t) => {
    const world = await startWorld(t, { app: 'courier' });
    await world.messaging.tell({
      to: '/couriers/a',
      type: 'forward',
      payload: { to: '/nobody/here', numbers: [1] },
    });
    const { items } = await eventually(
      () => world.runtime.inspection.deadLetters({ limit: 10 }),
      (page) => page.items.length > 0,
    );
    assert.deepEqual(
      items.map(({ address, reason }) => ({ address, reason })),
      [{ address: '/nobody/here', reason: 'NOT_FOUND' }],
    );
    await world.close();
  });

  test('a poison message ends among the dead letters, and its neighbours are applied in order', async (t) => {
    const world = await startWorld(t, { app: 'courier' });
    const before = world.messaging.tell({ to: '/couriers/a', type: 'note', payload: { n: 1 } });
    const poison = world.messaging.tell({ to: '/couriers/a', type: 'fail' });
    const after = world.messaging.tell({ to: '/couriers/a', type: 'note', payload: { n: 2 } });
    await Promise.all([before, poison, after]);
    assert.deepEqual(await notes(world, '/couriers/a', 2), [1, 2]);
    const { items } = await world.runtime.inspection.deadLetters({ limit: 10 });
    assert.deepEqual(
      items.map(({ reason, attempts, errors }) => ({ reason, attempts, errors: errors.length })),
      [{ reason: 'ATTEMPTS_SPENT', attempts: 5, errors: 5 }],
    );
    await world.close();
  });

  test('a lost lease ends the lives of its shard, and the shard comes back', async (t) => {
    const world = await startWorld(t, { app: 'courier' });
    await world.messaging.tell({ to: '/couriers/a', type: 'note', payload: { n: 1 } });
    assert.deepEqual(await notes(world, '/couriers/a', 1), [1]);
    const before = (await world.runtime.inspection.actor('/couriers/a')).incarnation;
    const held = world.runtime.inspection.shards();
    for (const shard of shardNames(shards)) {
      const fence = await world.engine.store.fence(shard);
      if (fence !== undefined) await world.engine.leases.release(shard, fence.nonce);
    }
    await world.messaging.tell({ to: '/couriers/a', type: 'note', payload: { n: 2 } });
    assert.deepEqual(await notes(world, '/couriers/a', 2), [1, 2]);
    assert.ok((await world.runtime.inspection.actor('/couriers/a')).incarnation > before);
    assert.ok(
      world.runtime.inspection.shards().some((shard, index) => shard.epoch > (held[index]?.epoch ?? 0)),
      'a new epoch',
    );
    await world.close();
  });

  test('a spawned child has an address of its own and ends with its parent', async (t) => {
    const world = await startWorld(t, { app: 'courier' });
    await world.messaging.tell({ to: '/couriers/a', type: 'adopt', payload: { name: 'child' } });
    await eventually(
      () => world.runtime.inspection.actors(['/couriers/a/child']),
      (found) => found.length === 1,
    );
    await world.messaging.tell({ to: '/couriers/a/child', type: 'note', payload: { n: 5 } });
    assert.deepEqual(await notes(world, '/couriers/a/child', 1), [5]);
    await world.close();
    assert.deepEqual(await world.runtime.inspection.actors(), []);
  });
});
