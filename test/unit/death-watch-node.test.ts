/** Death watch on a whole node: from the effect of an actor to the turn of its watcher, across threads. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { eventually, startWorld, type World } from '../support/world.ts';

async function heard(world: World, to: string): Promise<string[]> {
  return ((await world.messaging.ask({ to, type: 'heard' })) as { heard: string[] }).heard;
}

/** Waits for something to be heard. */
const hears = (world: World, to: string, count = 1): Promise<string[]> =>
  eventually(
    () => heard(world, to).catch(() => []),
    (found) => found.length >= count,
  );

const watch = (world: World, to: string, address: string): Promise<unknown> =>
  world.messaging.ask({ to, type: 'watch', payload: { address } });

describe('on a whole node', () => {
  for (const group of ['sentries', 'keepers'])
    test(`${group} hear of the end of whom they watch, once, whatever thread that was on`, async (t) => {
      const world = await startWorld(t, { app: 'sentry' });
      const targets = [1, 2, 3, 4].map((n) => `/sentries/target-${n}`);
      for (const target of targets) await heard(world, target);
      const slots = new Set(
        await Promise.all(targets.map(async (at) => (await world.runtime.inspection.actor(at)).thread)),
      );
      assert.equal(slots.size, 2, 'the targets are on both threads');
      const watcher = `/${group}/watcher`;
      for (const target of targets) await watch(world, watcher, target);
      for (const target of targets) await world.runtime.faults.crashActor(target);
      const told = await hears(world, watcher, 4);
      assert.deepEqual(
        told.sort(),
        targets.map((target) => `${target} 1 failed`),
      );
      for (const target of targets)
        await eventually(
          () => heard(world, target).catch(() => 'no'),
          (found) => found !== 'no',
        );
      await world.runtime.faults.crashActor(targets[0] as string);
      await eventually(
        () => heard(world, targets[0] as string).catch(() => 'no'),
        (found) => found !== 'no',
      );
      assert.equal((await heard(world, watcher)).length, 4, 'the next life is not watched');
      await world.close();
    });

  test('nobody at the address, a stop by order and unwatch', async (t) => {
    const world = await startWorld(t, { app: 'sentry' });
    await watch(world, '/sentries/w', '/sentries/nobody');
    assert.deepEqual(await hears(world, '/sentries/w'), ['/sentries/nobody 0 absent']);
    for (const target of ['a', 'b']) {
      await heard(world, `/sentries/${target}`);
      await watch(world, '/sentries/w', `/sentries/${target}`);
    }
    await world.messaging.ask({ to: '/sentries/w', type: 'unwatch', payload: { address: '/sentries/a' } });
    for (const target of ['a', 'b']) await world.tree.subtrees.stop(`/sentries/${target}`);
    assert.deepEqual((await hears(world, '/sentries/w', 2)).slice(1), ['/sentries/b 1 stopped']);
    await world.close();
  });

  test('a watcher that sleeps is awakened to hear of it', async (t) => {
    const world = await startWorld(t, { app: 'sentry' });
    await heard(world, '/sentries/a');
    await watch(world, '/dozers/w', '/sentries/a');
    await eventually(
      async () => (await world.runtime.inspection.actors()).map(({ address }) => address),
      (awake) => !awake.includes('/dozers/w'),
    );
    await world.runtime.faults.crashActor('/sentries/a');
    await eventually(
      async () => (await world.runtime.inspection.actors()).map(({ address }) => address),
      (awake) => awake.includes('/dozers/w'),
    );
    assert.deepEqual(await hears(world, '/dozers/w'), ['/sentries/a 1 unseen']);
    await world.close();
  });

  test('a persistent watcher keeps what it heard: the event is a turn that is committed', async (t) => {
    const world = await startWorld(t, { app: 'sentry' });
    await heard(world, '/sentries/a');
    await watch(world, '/keepers/w', '/sentries/a');
    await world.runtime.faults.crashActor('/sentries/a');
    assert.deepEqual(await hears(world, '/keepers/w'), ['/sentries/a 1 failed']);
    await world.runtime.faults.crashActor('/keepers/w');
    assert.deepEqual(await hears(world, '/keepers/w'), ['/sentries/a 1 failed']);
    await world.close();
  });
});
