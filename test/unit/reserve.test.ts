/** What actors send to a full actor (G8): a reserve of twice its capacity, then letters; nobody waits for room. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fromTransition } from 'xstate';
import { z } from 'zod';
import type { Address } from '../../runtime/address.ts';
import { defineActor, type EventsOf } from '../../runtime/define-actor.ts';
import { defineApp } from '../../runtime/define-app.ts';
import { type Effect, effect } from '../../runtime/effects.ts';
import type { Json } from '../../runtime/envelope.ts';
import { limits } from '../../runtime/limits.ts';
import type { DeadLetterView } from '../../runtime/messaging.ts';
import { ref } from '../../runtime/ref.ts';
import {
  createTestWorld,
  type TestNode,
  type TestTreeOptions,
  type TestWorld,
  worldNamespace,
} from '../../runtime/testing/index.ts';
import { createTree } from '../../supervisors/index.ts';
import { courier } from '../apps/courier.ts';

const capacity = 8;
const reserve = limits.actorSentReserve * capacity;
const numbers = (count: number, from = 0): number[] => Array.from({ length: count }, (_, index) => from + index);
const mailbox = { durable: capacity };

const narrow = defineActor({
  kind: 'narrow',
  messages: courier.messages,
  logic: courier.logic,
  persist: 'snapshot',
  mailbox,
});

const ballMessages = {
  /** Tells each of the addresses of it, `width` times, with one hop less. */
  ball: { payload: z.object({ hops: z.int(), width: z.int(), to: z.array(z.string()) }) },
  read: { payload: z.object({}), reply: z.object({ handled: z.int(), told: z.int() }) },
};
/** Players that answer each ball with several: what is under way grows until a mailbox is full. */
const player = defineActor({
  kind: 'player',
  messages: ballMessages,
  logic: fromTransition(
    (state: { readonly handled: number; readonly told: number }, event: EventsOf<typeof ballMessages>, scope) => {
      const emit = scope.emit as (emitted: Effect) => void;
      if (event.type === 'read') {
        emit(effect.reply(state));
        return state;
      }
      const { hops, width, to } = event.payload;
      const targets = hops === 0 ? [] : to.flatMap((address) => Array.from({ length: width }, () => address));
      for (const address of targets)
        emit(effect.tell(ref<typeof player>(address), 'ball', { hops: hops - 1, width, to }));
      return { handled: state.handled + 1, told: state.told + targets.length };
    },
    { handled: 0, told: 0 },
  ),
  persist: 'snapshot',
  mailbox,
});

const app = defineApp({
  tree: [
    { id: 'couriers', strategy: 'dynamic', onDemand: true, child: { actor: courier } },
    { id: 'narrow', strategy: 'dynamic', onDemand: true, child: { actor: narrow } },
    { id: 'players', strategy: 'dynamic', onDemand: true, child: { actor: player } },
  ],
});

const full = '/narrow/full' as Address;
const forward = (list: readonly number[]) => ({
  to: '/couriers/sender',
  type: 'forward',
  payload: { to: full, numbers: list } as Json,
});

async function lettersOf(world: TestWorld, node: TestNode): Promise<DeadLetterView[]> {
  return (await world.settle(node.runtime.inspection.deadLetters({ limit: limits.pageItems }))).items.slice();
}

async function notesOf(world: TestWorld, node: TestNode): Promise<number[]> {
  await world.advance(5_000);
  return ((await node.ask({ to: full, type: 'read' })) as { notes: number[] }).notes;
}

/** The numbers in letters, after checking that nothing else is there. */
async function refusedOf(world: TestWorld, node: TestNode): Promise<number[]> {
  const letters = await lettersOf(world, node);
  const details = await world.settle(Promise.all(letters.map(({ id }) => node.runtime.deadLetters.show(id))));
  for (const { reason, address, from } of details)
    assert.deepEqual([reason, address, from], ['MAILBOX_FULL', full, '/couriers/sender']);
  return details.map(({ payload }) => (payload as { n: number }).n).sort((left, right) => left - right);
}

describe('a full actor', () => {
  for (const [kind, options] of [
    ['of the test kit', { app }],
    ['of a node', { app, tree: (given: TestTreeOptions) => createTree(given) }],
  ] as const)
    test(`takes from actors up to its reserve, then each becomes a letter, awake or not; none before is lost; under a tree ${kind}`, async () => {
      const world = createTestWorld();
      let node = await world.start(options);
      await node.tell({ to: full, type: 'note', payload: { n: 0 } });
      assert.deepEqual(await notesOf(world, node), [0]);
      await world.settle(node.runtime.activations.pause(full, 'full'));
      // From outside up to its capacity, then refused before it has a number.
      const messaging = node.messaging();
      const tells = numbers(2 * capacity, 1).map((n) => messaging.tell({ to: full, type: 'note', payload: { n } }));
      const outcomes = await world.settle(Promise.allSettled(tells));
      assert.deepEqual(
        outcomes.map((outcome) => (outcome.status === 'fulfilled' ? 'accepted' : outcome.reason.reason)),
        numbers(2 * capacity).map((index) => (index < capacity ? 'accepted' : 'MAILBOX_FULL')),
      );
      const sent = numbers(3 * capacity, capacity + 1);
      await node.tell(forward(sent));
      await world.advance(5_000);
      const taken = numbers(reserve + 1);
      const beyond = sent.filter((n) => !taken.includes(n));
      assert.deepEqual(await refusedOf(world, node), beyond);
      assert.deepEqual(
        node.runtime.inspection.parked().map(({ address, waiting }) => [address, waiting]),
        [[full, reserve]],
      );
      assert.equal(node.runtime.inspection.counters().delivery_failed_total, beyond.length);
      const sender = await node.ask({ to: '/couriers/sender', type: 'read' });
      assert.deepEqual(sender, { notes: [] }, 'its sender goes on');

      node.kill();
      node = await world.start({ ...options, succeeds: node });
      await node.tell(forward([1_000]));
      await world.advance(5_000);
      assert.deepEqual(await refusedOf(world, node), [...beyond, 1_000]);
      await world.settle(node.runtime.activations.resume(full));
      assert.deepEqual(await notesOf(world, node), taken);
      await node.tell(forward([2_000]));
      assert.deepEqual(await notesOf(world, node), [...taken, 2_000], 'there is room again');
    });

  for (const [name, players] of [
    ['actors that fill each other', ['/players/a', '/players/b', '/players/c']],
    ['an actor that fills itself', ['/players/a']],
  ] as const)
    test(`${name} come to rest: each message is handled or in a letter`, async () => {
      const world = createTestWorld({ seed: 5 });
      const node = await world.start({ app });
      const ball = { to: players[0], type: 'ball', payload: { hops: 4, width: 12 / players.length, to: [...players] } };
      await node.tell(ball);
      const stateOf = async () => {
        const states: { handled: number; told: number }[] = [];
        for (const to of players) states.push((await node.ask({ to, type: 'read' })) as (typeof states)[number]);
        const sum = (key: 'handled' | 'told'): number => states.reduce((total, state) => total + state[key], 0);
        return { handled: sum('handled'), told: sum('told') };
      };
      await world.advance(60_000);
      const { handled, told } = await stateOf();
      const shards = [...(world.space.namespaces.get(worldNamespace)?.shards.values() ?? [])];
      const letters = shards.reduce((sum, { tables }) => sum + (tables.get('dead')?.size ?? 0), 0);
      assert.ok(letters > 0, 'they were full');
      assert.equal(handled + letters, 1 + told);
      assert.ok(node.runtime.inspection.shards().every(({ outbox, inHand }) => outbox + inHand === 0));
      await node.tell({ ...ball, payload: { ...ball.payload, hops: 0 } });
      await world.advance(1_000);
      assert.equal((await stateOf()).handled, handled + 1, 'they go on');
    });
});
