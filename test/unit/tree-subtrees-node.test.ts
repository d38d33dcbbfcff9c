/** Parts of the tree that are stopped and paused, on a whole node: what becomes of their mail. */

import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { createMemorySpace } from '../../runtime/engines/index.ts';
import { eventually, startWorld, type World } from '../support/world.ts';

const address = '/couriers/a';

const note = (world: World, n: number, to = address): Promise<unknown> =>
  world.messaging.tell({ to, type: 'note', payload: { n } });

const read = async (world: World, to = address): Promise<number[]> =>
  ((await world.messaging.ask({ to, type: 'read' }, { timeoutMs: 3_000 })) as { notes: number[] }).notes;

const notes = (world: World, count: number, to = address): Promise<number[]> =>
  eventually(
    () => read(world, to).catch(() => []),
    (found) => found.length >= count,
  );

const start = (t: TestContext, more: Partial<Parameters<typeof startWorld>[1]> = {}): Promise<World> =>
  startWorld(t, { app: 'courier', ...more });

describe('a part of the tree', () => {
  for (const [action, pattern] of [
    ['stop', /^\/couriers was stopped by an operator \(a leak\); .* troupe resume \/couriers$/],
    ['pause', /paused by an operator \(a leak\); .* troupe resume \/couriers$/],
  ] as const)
    test(`after ${action} keeps its durable mail and refuses calls in words that say why; resume lets it go on`, async (t) => {
      const world = await start(t);
      await note(world, 1);
      assert.deepEqual(await notes(world, 1), [1]);
      await world.tree.subtrees[action]('/couriers', 'a leak');
      for (const to of [address, '/couriers/new'])
        await assert.rejects(read(world, to), { reason: 'PARKED', message: pattern }, to);
      for (const n of [2, 3]) {
        await note(world, n);
        await note(world, n, '/couriers/new');
      }
      await assert.rejects(read(world), { reason: 'PARKED' });
      await world.tree.subtrees.resume('/couriers');
      assert.deepEqual(await notes(world, 3), [1, 2, 3], 'in the order in which it came');
      assert.deepEqual(await notes(world, 2, '/couriers/new'), [2, 3]);
      assert.deepEqual(world.runtime.inspection.parked(), []);
      await world.close();
    });

  test('paused stays paused through a kill of the node, with those that come to life then; stopped does not', async (t) => {
    const space = createMemorySpace();
    const first = await start(t, { space });
    await note(first, 1);
    await note(first, 1, '/couriers/other');
    assert.deepEqual(await notes(first, 1), [1]);
    await first.tree.subtrees.pause('/couriers');
    await first.tree.subtrees.stop('/couriers/other');
    await note(first, 2);
    first.abandon();
    const second = await start(t, { space, succeeds: first.runtime.nodeEpoch });
    for (const to of [address, '/couriers/other', '/couriers/new'])
      await assert.rejects(read(second, to), { reason: 'PARKED', message: /paused/ }, to);
    assert.equal((await second.tree.subtrees.resume('/couriers')).status, 'running');
    assert.deepEqual(await notes(second, 2), [1, 2]);
    assert.deepEqual(await notes(second, 1, '/couriers/other'), [1]);
    await second.close();
  });

  test('paused while its thread is killed is still paused afterwards', async (t) => {
    const world = await start(t);
    await note(world, 1);
    assert.deepEqual(await notes(world, 1), [1]);
    const { thread } = await world.runtime.inspection.actor(address);
    await world.tree.subtrees.pause('/couriers');
    await note(world, 2);
    await world.runtime.faults.killThread(thread);
    await eventually(
      async () => (await world.runtime.inspection.actors()).find((actor) => actor.address === address)?.incarnation,
      (life) => life === 2,
    );
    await assert.rejects(read(world), { reason: 'PARKED' });
    await world.tree.subtrees.resume(address).then(
      () => assert.fail('it is held from above'),
      (error: { reason: string }) => assert.equal(error.reason, 'INVALID_MESSAGE'),
    );
    await world.tree.subtrees.resume('/couriers');
    assert.deepEqual(await notes(world, 2), [1, 2]);
    await world.close();
  });
});
