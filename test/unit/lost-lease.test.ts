/** What begins, or ends, while the lease of its shard is being lost. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setup } from 'xstate';
import { z } from 'zod';
import type { Address } from '../../runtime/address.ts';
import type { Engine } from '../../runtime/engines/index.ts';
import type { ToHost } from '../../runtime/host/messages.ts';
import { defineActor, defineApp, type EventsOf, effect, perform } from '../../runtime/index.ts';
import { defaults } from '../../runtime/limits.ts';
import { createTestWorld, type TestNode, type TestWorld, worldNamespace } from '../../runtime/testing/index.ts';
import schedulerApp from '../apps/scheduler.ts';

const visitorMessages = {
  leave: { payload: z.object({}) },
  greet: { payload: z.object({}), reply: z.object({ here: z.boolean() }) },
};

/** Ends when it is told to leave, and keeps nothing. */
const visitor = defineActor({
  kind: 'visitor',
  messages: visitorMessages,
  logic: setup({ types: { events: {} as EventsOf<typeof visitorMessages> } }).createMachine({
    initial: 'here',
    states: {
      here: { on: { leave: 'left', greet: { actions: perform(() => effect.reply({ here: true })) } } },
      left: { type: 'final' },
    },
  }),
});

const heldNow = (node: TestNode): boolean => node.runtime.inspection.shards().every(({ held }) => held);

const waitingForTimers = (world: TestWorld): number =>
  [...(world.space.namespaces.get(worldNamespace)?.shards.values() ?? [])]
    .map((shard) => shard.indexes.get('due')?.size ?? 0)
    .reduce((sum, size) => sum + size, 0);

/** A gate that lets through while it is open, and a note of what came to it. */
function createGate() {
  let open = Promise.resolve();
  let release = (): void => undefined;
  const gate = {
    waiting: 0,
    shut() {
      open = new Promise((resolve) => {
        release = resolve;
      });
    },
    open: () => release(),
    async pass() {
      gate.waiting += 1;
      await open;
      gate.waiting -= 1;
    },
  };
  return gate;
}

/** An engine whose commits wait at a gate. */
function gatedCommits() {
  const commits = createGate();
  const meddle = (engine: Engine): Engine => ({
    ...engine,
    store: {
      ...engine.store,
      async commit(shard, fence, operations) {
        await commits.pass();
        return await engine.store.commit(shard, fence, operations);
      },
    },
  });
  return { commits, meddle };
}

test('a life whose state was read under a lease that ended meanwhile begins under the next: its timer fires and is stored', async () => {
  const world = createTestWorld({ shards: 1 });
  const reads = createGate();
  const takeOvers = createGate();
  const meddle = (engine: Engine): Engine => ({
    ...engine,
    leases: {
      ...engine.leases,
      async acquire(shard, holder) {
        await takeOvers.pass();
        return await engine.leases.acquire(shard, holder);
      },
    },
    store: {
      ...engine.store,
      async get(shard, table, key) {
        const value = await engine.store.get(shard, table, key);
        if (table === 'actor') await reads.pass();
        return value;
      },
    },
  });
  const node = await world.start({ app: schedulerApp, meddle });
  await node.tell({ to: '/ledgers/a', type: 'plan', payload: { id: 'a', n: 1, ms: 5_000 } });
  assert.ok(await world.until(() => waitingForTimers(world) === 1));
  reads.shut();
  await world.settle(node.runtime.faults.crashActor('/ledgers/a'));
  assert.ok(await world.until(() => reads.waiting === 1), 'it is restarted');
  await world.advance(6_000);
  takeOvers.shut();
  world.engine.jump(2 * defaults.leaseMs);
  assert.ok(await world.until(() => !heldNow(node)));
  reads.open();
  await world.advance(100);
  takeOvers.open();
  assert.ok(await world.until(() => heldNow(node)));
  assert.ok(await world.until(() => waitingForTimers(world) === 0), 'what fired is stored');
  assert.deepEqual(await node.ask({ to: '/ledgers/a', type: 'read' }), { notes: ['noted 1'] });
  node.kill();
});

test('an ephemeral actor whose end was not committed lives again, and takes mail', async () => {
  const world = createTestWorld({ shards: 1 });
  const { commits, meddle } = gatedCommits();
  const orders: ToHost[] = [];
  const node = await world.start({
    app: defineApp({ tree: [{ id: 'visitor', actor: visitor }] }),
    meddle,
    border: (spawn) => (data, events) => {
      const host = spawn(data, events);
      return Object.assign({}, host, {
        post(message: ToHost) {
          orders.push(message);
          host.post(message);
        },
      });
    },
  });
  commits.shut();
  await node.tell({ to: '/visitor', type: 'leave', payload: {}, delivery: 'at-least-once' });
  assert.ok(await world.until(() => commits.waiting === 1), 'it has left, as far as its thread knows');
  world.engine.jump(2 * defaults.leaseMs);
  assert.ok(await world.until(() => !heldNow(node)));
  commits.open();
  // The message comes again, and ends the next life too.
  assert.ok(await world.until(() => heldNow(node) && (node.runtime.inspection.shards()[0]?.inHand ?? 1) === 0));
  assert.ok(
    orders.some(({ to }) => to === 'stop'),
    'its thread is told, and keeps nothing of it',
  );
  assert.deepEqual(await node.ask({ to: '/visitor', type: 'greet', payload: {} }), { here: true });
  node.kill();
});

test('an order to pause or resume whose commit is given up with the lease is stored under the next', async () => {
  const world = createTestWorld({ shards: 1 });
  const { commits, meddle } = gatedCommits();
  const node = await world.start({ app: schedulerApp, meddle });
  const { activations } = node.runtime;
  const address = '/ledgers/a' as Address;
  const isPaused = (): boolean => activations.pauseOf(address) !== undefined;
  for (const [order, wanted] of [
    [() => activations.pause(address, 'an order'), true],
    [() => activations.resume(address), false],
  ] as const) {
    commits.shut();
    const carriedOut = order();
    assert.ok(await world.until(() => commits.waiting === 1));
    world.engine.jump(2 * defaults.leaseMs);
    assert.ok(await world.until(() => !heldNow(node)));
    commits.open();
    await world.settle(carriedOut);
    // What is stored is what the next epoch begins with.
    world.engine.jump(2 * defaults.leaseMs);
    assert.ok(await world.until(() => !heldNow(node)));
    assert.ok(await world.until(() => heldNow(node)));
    assert.equal(isPaused(), wanted);
  }
  node.kill();
});
