/**
 * A shard that its engine takes back to an earlier state, as a failover to a replica that was behind does: mail that is
 * still there is handled, each message once, and what is gone blocks nobody.
 */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Address } from '../../runtime/address.ts';
import type { Engine, StoreOperation } from '../../runtime/engines/index.ts';
import { defaults } from '../../runtime/limits.ts';
import { nodeWriter } from '../../runtime/mailbox/batch.ts';
import { shardOf } from '../../runtime/mailbox/shards.ts';
import { decodeTaken } from '../../runtime/mailbox/taken.ts';
import { createTestWorld, worldNamespace } from '../../runtime/testing/index.ts';
import courierApp from '../apps/courier.ts';

const a = '/couriers/a';
const note = (n: number) => ({ to: a, type: 'note', payload: { n } });

/** How far mail has come that is to go back there. */
type Moment = 'written' | 'in hand';

/** One node on an engine that can lose what it did to a shard since a moment. */
async function losing(shards: number) {
  const world = createTestWorld({ shards });
  const stored = (shard: string) => world.space.namespaces.get(worldNamespace)?.shards.get(shard);
  let expected: { readonly shard: string; readonly moment: Moment } | undefined;
  let before: ReturnType<typeof stored>;
  const reached = (shard: string, moment: Moment): void => {
    if (shard !== expected?.shard || moment !== expected.moment) return;
    before = structuredClone(stored(shard));
    expected = undefined;
  };
  const takes = (operations: readonly StoreOperation[]): boolean =>
    operations.some((operation) => operation.op === 'put' && operation.table === 'in');
  const observe = (engine: Engine): Engine => ({
    ...engine,
    transport: {
      ...engine.transport,
      async add(shard, data) {
        await engine.transport.add(shard, data);
        reached(shard, 'written');
      },
    },
    store: {
      ...engine.store,
      commit(shard, fence, operations) {
        if (takes(operations)) reached(shard, 'in hand');
        return engine.store.commit(shard, fence, operations);
      },
    },
  });
  const node = await world.start({ app: courierApp, observe });
  return {
    world,
    node,
    /** What a shard's next mail does after this moment is to be lost. */
    expectLoss(shard: string, moment: Moment) {
      expected = { shard, moment };
    },
    /** What is done to a shard from now on is to be lost. */
    remember(shard: string) {
      before = structuredClone(stored(shard));
    },
    lose(shard: string) {
      assert(before, 'there is a state to go back to');
      world.space.namespaces.get(worldNamespace)?.shards.set(shard, before);
    },
    async notesOf(to: string): Promise<number[]> {
      await world.advance(2 * defaults.fetchPollMs);
      return ((await node.ask({ to, type: 'read' })) as { notes: number[] }).notes;
    },
    marks: (shard: string, writer: string) => decodeTaken(stored(shard)?.tables.get('in')?.get(writer)),
    letters: async () =>
      (await world.settle(node.runtime.inspection.deadLetters({ limit: 10 }))).items.map(({ reason }) => reason),
  };
}

describe('after a rollback of a shard', () => {
  for (const moment of ['written', 'in hand'] as const)
    for (const [when, idleMs] of [
      ['at once', 0],
      ['later', 2 * defaults.leaseRenewMs],
    ] as const)
      test(`mail that was ${moment} is taken again, once and in order; the next message comes ${when}`, async () => {
        const { world, node, expectLoss, lose, notesOf, marks, letters } = await losing(1);
        for (const n of [1, 2]) await node.tell(note(n));
        assert.deepEqual(await notesOf(a), [1, 2]);
        expectLoss('s0', moment);
        const messaging = node.messaging();
        await world.settle(Promise.all([3, 4, 5].map((n) => messaging.tell(note(n)))));
        assert.deepEqual(await notesOf(a), [1, 2, 3, 4, 5]);
        lose('s0');
        await world.advance(idleMs);
        await node.tell(note(6));
        assert.deepEqual(await notesOf(a), [1, 2, 3, 4, 5, 6]);
        assert.deepEqual(marks('s0', nodeWriter(node.epoch)), [[0, 6]]);
        assert.deepEqual(await letters(), []);
      });

  test('mail that is gone leaves a letter when the next message shows it, and holds nobody up', async () => {
    const { node, remember, lose, notesOf, letters } = await losing(1);
    await node.tell(note(1));
    assert.deepEqual(await notesOf(a), [1]);
    remember('s0');
    for (const n of [2, 3]) await node.tell(note(n));
    assert.deepEqual(await notesOf(a), [1, 2, 3]);
    lose('s0');
    await node.tell(note(4));
    assert.deepEqual(await notesOf(a), [1, 4]);
    assert.deepEqual(await letters(), ['LOST']);
  });

  test('what its actors send takes new numbers, and these join what the receiver has taken', async () => {
    const { node, expectLoss, lose, notesOf, marks, letters } = await losing(2);
    const shardNameOf = (to: string): string => shardOf(to as Address, 2);
    const others = ['b', 'c', 'd', 'e'].map((name) => `/couriers/${name}`);
    const other = others.find((to) => shardNameOf(to) !== shardNameOf(a));
    assert(other);
    const [sender, receiver] = [shardNameOf(a), shardNameOf(other)];
    const forward = (numbers: number[]) => ({ to: a, type: 'forward', payload: { to: other, numbers } });
    await node.tell(forward([1, 2]));
    assert.deepEqual(await notesOf(other), [1, 2]);
    expectLoss(sender, 'in hand');
    await node.tell(forward([3, 4]));
    assert.deepEqual(await notesOf(other), [1, 2, 3, 4]);
    lose(sender);
    await node.tell(forward([5, 6]));
    // The turn that was lost is run again, and what it sends now is another message.
    assert.deepEqual(await notesOf(other), [1, 2, 3, 4, 3, 4, 5, 6]);
    assert.equal(marks(receiver, sender).length, 1, 'no gap is left');
    assert.deepEqual(await letters(), []);
  });
});
