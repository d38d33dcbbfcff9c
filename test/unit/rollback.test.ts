/** What a failover to a replica that was behind takes away, on a whole node in virtual time. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import simulated from '../../ops/simulate/app.ts';
import { defaults } from '../../runtime/limits.ts';
import { createShardOf } from '../../runtime/mailbox/shards.ts';
import { createTestWorld, type TestWorld, worldNamespace } from '../../runtime/testing/index.ts';
import counters from '../apps/counter.ts';

const to = '/counters/a';

test('a shard that nobody writes to learns at its next renewal that its engine lost commits', async () => {
  const world = createTestWorld({ seed: 3 });
  const node = await world.start({ app: counters });
  await node.ask({ to, type: 'increment', payload: { by: 1 } });
  const takeBack = remember(world);
  await node.ask({ to, type: 'increment', payload: { by: 10 } });
  takeBack();
  assert.deepEqual(await node.ask({ to, type: 'read' }), { value: 11 }, 'what is in memory, before the renewal');
  await world.advance(2 * defaults.leaseRenewMs);
  assert.deepEqual(await node.ask({ to, type: 'read' }), { value: 1 }, 'what is stored');
  assert.deepEqual(await node.ask({ to, type: 'increment', payload: { by: 100 } }), { value: 101 });
});

test('an actor without a snapshot outlives many lost leases, and what was being committed at each is not held against it', async () => {
  const world = createTestWorld({ seed: 5 });
  const node = await world.start({ app: simulated });
  const relay = (n: number) =>
    node.tell({
      to: '/relay',
      type: 'relay',
      payload: { to: '/mirrors/m0', sender: 's', n },
      delivery: 'at-least-once',
    });
  const atRest = async (): Promise<boolean> => {
    const [view] = await world.settle(node.runtime.inspection.actors(['/relay']));
    return view !== undefined && view.mailbox.inHand + view.mailbox.waiting + view.mailbox.durableWaiting === 0;
  };
  for (let round = 0; round < 12; round++) {
    for (let n = 0; n < 40; n++) await relay(40 * round + n);
    // The engine's time runs out for the lease while turns are on their way to the store.
    world.engine.jump(2 * defaults.leaseMs);
    await world.advance(2 * defaults.leaseRenewMs);
  }
  await relay(480);
  await world.advance(2 * defaults.leaseMs);
  assert.ok(await atRest());
});

/** Keeps a copy of what the engine holds of the counter's shard; the answer puts it back. */
function remember({ space, shards }: TestWorld): () => void {
  const shard = createShardOf(shards)(to as never);
  const stored = space.namespaces.get(worldNamespace)?.shards;
  const there = stored?.get(shard);
  assert.ok(stored !== undefined && there !== undefined);
  const copy = structuredClone(there);
  return () => void stored.set(shard, copy);
}
