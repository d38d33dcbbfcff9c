/** Actors that are put to sleep when they are idle, and awake for their next message or timer. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createMemorySpace } from '../../runtime/engines/index.ts';
import { eventually, startWorld, type World } from '../support/world.ts';

const add = async (world: World, to: string, by = 1): Promise<number> =>
  ((await world.messaging.ask({ to, type: 'add', payload: { by } })) as { total: number }).total;

const awake = async (world: World): Promise<string[]> =>
  (await world.runtime.inspection.actors()).map(({ address }) => address);

const asleep = (world: World, address: string): Promise<unknown> =>
  eventually(
    () => awake(world),
    (addresses) => !addresses.includes(address),
  );

const incarnationOf = async (world: World, address: string): Promise<number> =>
  (await world.runtime.inspection.actor(address)).incarnation;

// They wait for sleep and timers: side by side, in worlds of their own.
describe('passivation', { concurrency: true }, () => {
  test('an idle actor sleeps and awakes with its state, as a new incarnation; no restart is counted', async (t) => {
    const world = await startWorld(t, { app: 'sleeper' });
    for (const address of ['/sleepers/a', '/fixed']) {
      assert.equal(await add(world, address), 1);
      const before = await incarnationOf(world, address);
      await asleep(world, address);
      assert.equal(await add(world, address), 2);
      assert.equal(await incarnationOf(world, address), before + 1);
    }
    assert.equal(await add(world, '/forgetful/a'), 1);
    await asleep(world, '/forgetful/a');
    assert.equal(await add(world, '/forgetful/a'), 1, 'what is not stored is forgotten');
    const fixed = world.tree.describe().find(({ address }) => address === '/fixed');
    assert.equal(fixed?.restarts, 0);
    assert.ok((world.runtime.inspection.counters().passivations_total ?? 0) >= 3);
    await world.close();
  });

  test('what sleeps costs no memory of the tree where any message would start it', async (t) => {
    const world = await startWorld(t, { app: 'sleeper' });
    const addresses = Array.from({ length: 200 }, (_, index) => `/sleepers/k${index}`);
    await Promise.all(addresses.map((address) => add(world, address)));
    await eventually(
      () => awake(world),
      (left) => left.length === 0,
    );
    assert.deepEqual([...(world.tree.supervisor('/sleepers')?.node.children ?? [])], []);
    const totals = await Promise.all(addresses.map((address) => add(world, address)));
    assert.ok(totals.every((total) => total === 2));
    await world.close();
  });

  test('messages that race with falling asleep are neither lost nor doubled nor refused', async (t) => {
    const world = await startWorld(t, { app: 'sleeper' });
    let told = 0;
    for (const to of ['/sleepers/r', '/fixed'])
      for (let round = 1; round <= 30; round++) {
        // Around the moment at which it is put to sleep, from either side.
        await Promise.race([asleep(world, to), new Promise((resolve) => setTimeout(resolve, 40 + round))]);
        await world.messaging.tell({ to, type: 'add', payload: { by: 1 } });
        assert.ok((await add(world, to, 0)) <= round);
        told++;
      }
    assert.equal(told, 60);
    for (const to of ['/sleepers/r', '/fixed'])
      await eventually(
        () => add(world, to, 0),
        (total) => total === 30,
      );
    await world.close();
  });

  test('work in hand, and children, keep an actor awake; a timer awakens it when it is due, in a later life too', async (t) => {
    const space = createMemorySpace();
    const first = await startWorld(t, { app: 'sleeper', space });
    const tell = (to: string, type: string, payload: object): Promise<unknown> =>
      first.messaging.tell({ to, type, payload: payload as never });
    await tell('/sleepers/busy', 'work', { ms: 60_000 });
    await tell('/sleepers/parent', 'adopt', { name: 'child' });
    await tell('/sleepers/timed', 'addLater', { ms: 1_500, by: 5 });
    await tell('/sleepers/later', 'addLater', { ms: 2_500, by: 7 });
    await add(first, '/sleepers/idle');
    await asleep(first, '/sleepers/idle');
    await asleep(first, '/sleepers/timed');
    await asleep(first, '/sleepers/later');
    await asleep(first, '/sleepers/parent/child');
    const still = await awake(first);
    assert.ok(still.includes('/sleepers/busy') && still.includes('/sleepers/parent'));
    assert.equal(await add(first, '/sleepers/parent/child'), 1, 'a child awakes too');
    await eventually(
      () => awake(first),
      (addresses) => addresses.includes('/sleepers/timed'),
    );
    await eventually(
      () => add(first, '/sleepers/timed', 0),
      (total) => total === 5,
    );
    first.abandon();
    const second = await startWorld(t, { app: 'sleeper', space, succeeds: first.runtime.nodeEpoch });
    await eventually(
      () => awake(second),
      (addresses) => ['/sleepers/busy', '/sleepers/parent', '/sleepers/later'].every((one) => addresses.includes(one)),
    );
    await eventually(
      () => add(second, '/sleepers/later', 0),
      (total) => total === 7,
    );
    await second.close();
  });
});
