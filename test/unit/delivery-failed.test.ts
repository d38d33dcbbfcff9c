/** `delivery.failed`: what an actor hears of its undelivered tells, over refusals, full mailboxes and kills in between. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fromTransition } from 'xstate';
import { z } from 'zod';
import type { Address } from '../../runtime/address.ts';
import type { Engine, ShardStore } from '../../runtime/engines/engine.ts';
import {
  type DeliveryFailed,
  defineActor,
  defineApp,
  deliveryFailed,
  type Effect,
  type EventsOf,
  effect,
} from '../../runtime/index.ts';
import type { DeadLetterView } from '../../runtime/messaging.ts';
import { createTestWorld, type TestNode, type TestWorld } from '../../runtime/testing/index.ts';

const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index);
const delivery = z.enum(['at-most-once', 'at-least-once']).optional();

const orders = {
  /** Tells each of them. */
  send: { payload: z.object({ tells: z.array(z.object({ to: z.string(), type: z.string(), delivery })) }) },
  read: { payload: z.object({}), reply: z.object({ failures: z.array(z.any()) }) },
};
const messages = { ...deliveryFailed, ...orders };

const logic = fromTransition((failures: readonly DeliveryFailed[], event: EventsOf<typeof messages>, { emit }) => {
  const say = emit as (emitted: Effect) => void;
  if (event.type === 'send')
    for (const { to, type, delivery: how } of event.payload.tells)
      say({
        type: 'troupe.tell',
        address: to,
        messageType: type,
        payload: {},
        ...(how === undefined ? {} : { delivery: how }),
      });
  if (event.type === 'read') say(effect.reply({ failures }));
  return event.type === 'delivery.failed' ? [...failures, event.payload] : failures;
}, []);

const keeper = defineActor({ kind: 'keeper', messages, logic, persist: 'snapshot' });
const fleeting = defineActor({ kind: 'fleeting', messages, logic });
/** Declares nothing. */
const deaf = defineActor({ kind: 'deaf', messages: orders, logic: logic as never, persist: 'snapshot' });

/** In memory, with room for one message. */
const tight = defineActor({
  kind: 'tight',
  messages: { note: { payload: z.object({}) } },
  logic: fromTransition((state: object) => state, {}),
  mailbox: { ephemeral: 1 },
});

const receiver = (kind: string, durable: number) =>
  defineActor({
    kind,
    messages: {
      note: { payload: z.object({}) },
      fail: { payload: z.object({}) },
      strict: { payload: z.object({ n: z.int() }) },
    },
    logic: fromTransition((state: object, event: { readonly type: string }) => {
      if (event.type === 'fail') throw new Error('told to fail');
      return state;
    }, {}),
    persist: 'snapshot',
    mailbox: { durable },
  });

const app = defineApp({
  tree: [
    { id: 'keeper', actor: keeper },
    { id: 'fleeting', actor: fleeting },
    { id: 'deaf', actor: deaf },
    { id: 'tight', actor: tight },
    { id: 'wide', actor: receiver('wide', 100) },
    // While it is held it takes two messages of actors: twice its capacity.
    { id: 'narrow', actor: receiver('narrow', 1) },
  ],
});

type Tells = { readonly to: string; readonly type: string; readonly delivery?: 'at-most-once' | 'at-least-once' }[];

const send = (node: TestNode, from: string, tells: Tells) =>
  node.tell({ to: from, type: 'send', payload: { tells }, delivery: 'at-least-once' });

async function failuresOf(node: TestNode, address: string): Promise<DeliveryFailed[]> {
  return ((await node.ask({ to: address, type: 'read' })) as unknown as { failures: DeliveryFailed[] }).failures;
}

async function letters(world: TestWorld, node: TestNode): Promise<DeadLetterView[]> {
  return [...(await world.settle(node.runtime.inspection.deadLetters({ limit: 5_000 }))).items];
}

const pause = (world: TestWorld, node: TestNode, address: string) =>
  world.settle(node.runtime.activations.pause(address as Address, 'to fill it'));

describe('an actor that declares delivery.failed', () => {
  for (const sender of ['/keeper', '/fleeting'])
    test(`${sender}: hears once of each durable tell that ended as a letter, by the letter's id, whatever the reason`, async () => {
      const world = createTestWorld({ seed: 3 });
      const node = await world.start({ app });
      await pause(world, node, '/narrow');
      const tells = [
        ...['note', 'fail', 'strict', 'unknown'].map((type) => ({ to: '/wide', type })),
        { to: '/nobody', type: 'note' },
        ...numbers(3).map(() => ({ to: '/narrow', type: 'note' })),
      ];
      await send(
        node,
        sender,
        tells.map((tell) => ({ ...tell, delivery: 'at-least-once' as const })),
      );
      await world.advance(60_000);
      const found = await failuresOf(node, sender);
      const stored = await letters(world, node);
      assert.deepEqual(
        found.map(({ messageId, to, type, reason }) => [messageId, to, type, reason]).sort(),
        stored.map(({ id, address, type, reason }) => [id, address, type, reason]).sort(),
      );
      assert.deepEqual(found.map(({ to, type, reason }) => `${to} ${type} ${reason}`).sort(), [
        '/narrow note MAILBOX_FULL',
        '/nobody note NOT_FOUND',
        '/wide fail ATTEMPTS_SPENT',
        '/wide strict INVALID_MESSAGE',
        '/wide unknown UNKNOWN_TYPE',
      ]);
      const texts = new Map(found.map(({ reason, message }) => [reason, message]));
      assert.match(texts.get('ATTEMPTS_SPENT') ?? '', /told to fail/);
      assert.match(texts.get('UNKNOWN_TYPE') ?? '', /it takes: note, fail, strict/);
      assert.equal(node.runtime.inspection.counters().delivery_failed_total, 1);
      node.kill();
    });

  test('a tell that cannot even be addressed makes one in the commit of its turn', async () => {
    const world = createTestWorld();
    const node = await world.start({ app });
    await send(node, '/keeper', [
      { to: 'no address', type: 'note' },
      { to: '/system/threads', type: 'note' },
      { to: '/wide', type: 'troupe.stop' },
    ]);
    await world.advance(5_000);
    assert.deepEqual(
      (await failuresOf(node, '/keeper')).map(({ to, type, reason, messageId }) => [to, type, reason, messageId]),
      [
        ['no address', 'note', 'INVALID_ADDRESS', undefined],
        ['/system/threads', 'note', 'INVALID_ADDRESS', undefined],
        ['/wide', 'troupe.stop', 'INVALID_MESSAGE', undefined],
      ],
    );
    node.kill();
  });

  test('a tell in memory that is refused makes one in memory, on the same thread or not', async () => {
    const world = createTestWorld();
    // One thread: the ephemeral actors are neighbours.
    const node = await world.start({ app, threads: 1 });
    const ephemeral = (to: string, type: string) => ({ to, type, delivery: 'at-most-once' as const });
    for (const how of ['at-most-once', 'at-least-once'] as const) {
      const tells = [ephemeral('/nobody', 'note'), ephemeral('/fleeting', 'unknown'), ephemeral('/wide', 'strict')];
      await node.tell({ to: '/fleeting', type: 'send', payload: { tells }, delivery: how });
    }
    await send(node, '/keeper', [ephemeral('/nobody', 'note')]);
    await world.advance(30_000);
    const told = (failures: DeliveryFailed[]) =>
      failures.map(({ to, type, reason }) => `${to} ${type} ${reason}`).sort();
    const each = ['/fleeting unknown UNKNOWN_TYPE', '/nobody note NOT_FOUND', '/wide strict INVALID_MESSAGE'];
    assert.deepEqual(
      told(await failuresOf(node, '/fleeting')),
      each.flatMap((one) => [one, one]),
    );
    assert.deepEqual(told(await failuresOf(node, '/keeper')), ['/nobody note NOT_FOUND']);
    const crowd = numbers(3).map(() => ephemeral('/tight', 'note'));
    await node.tell({ to: '/fleeting', type: 'send', payload: { tells: crowd }, delivery: 'at-most-once' });
    await world.advance(1_000);
    assert.deepEqual(
      told(await failuresOf(node, '/fleeting')).filter((one) => one.startsWith('/tight')),
      numbers(2).map(() => '/tight note MAILBOX_FULL'),
    );
    assert.deepEqual(await letters(world, node), []);
    node.kill();
  });

  test('one that does not declare it gets nothing, and nothing is written for it', async () => {
    const world = createTestWorld();
    const node = await world.start({ app });
    await send(node, '/deaf', [
      { to: '/nobody', type: 'note' },
      { to: 'no address', type: 'note' },
      { to: '/nobody', type: 'note', delivery: 'at-most-once' },
    ]);
    await world.advance(10_000);
    assert.deepEqual(await failuresOf(node, '/deaf'), []);
    assert.deepEqual(
      (await letters(world, node)).map(({ type }) => type),
      ['note'],
    );
    assert.equal(node.runtime.inspection.counters().delivery_failed_total, 2);
    node.kill();
  });

  test('nobody else sends the event', async () => {
    const world = createTestWorld();
    const node = await world.start({ app });
    const payload = { to: '/a', type: 'note', reason: 'NOT_FOUND', message: 'forged' };
    await assert.rejects(node.tell({ to: '/keeper', type: 'delivery.failed', payload }), { reason: 'INVALID_MESSAGE' });
    await send(node, '/fleeting', [{ to: '/keeper', type: 'delivery.failed', delivery: 'at-least-once' }]);
    await node.tell({
      to: '/fleeting',
      type: 'send',
      payload: { tells: [{ to: '/fleeting', type: 'delivery.failed' }] },
    });
    await world.advance(5_000);
    assert.deepEqual(await failuresOf(node, '/keeper'), []);
    assert.deepEqual(
      (await failuresOf(node, '/fleeting')).map(({ type, reason }) => [type, reason]),
      numbers(2).map(() => ['delivery.failed', 'INVALID_MESSAGE']),
      'it hears that its own forgeries were refused',
    );
    node.kill();
  });

  for (const [when, isMoment] of [
    ['before the letter is committed', (name: string, text: string) => name === 'commit' && text.includes('"dead"')],
    ['between letter and flush', (name: string, text: string) => name === 'committed' && text.includes('"dead"')],
    ['between flush and trim', (name: string, text: string) => name === 'added' && text.includes('delivery.failed')],
    [
      'before the event is applied',
      (name: string, text: string) => name === 'commit' && /"actor".*NOT_FOUND/.test(text),
    ],
  ] as const)
    test(`a kill of the node ${when}: the event comes once`, async () => {
      const world = createTestWorld({ seed: 9 });
      let kill: (() => void) | undefined;
      const first = await world.start({
        app,
        observe: (engine) =>
          noticing(engine, (name, text) => {
            if (kill === undefined || !isMoment(name, text)) return false;
            kill();
            kill = undefined;
            return true;
          }),
      });
      const process = first;
      kill = () => process.kill();
      await send(first, '/keeper', [{ to: '/nobody', type: 'note' }]);
      await world.advance(20_000);
      assert.equal(first.alive, false, 'the moment came');
      const second = await world.start({ app, succeeds: first });
      await world.advance(60_000);
      const stored = await letters(world, second);
      assert.deepEqual(
        (await failuresOf(second, '/keeper')).map(({ messageId, reason }) => [messageId, reason]),
        stored.map(({ id, reason }) => [id, reason]),
      );
      assert.deepEqual(
        stored.map(({ reason }) => reason),
        ['NOT_FOUND'],
      );
      second.kill();
    });
});

/** Tells of each commit before and after it is done, and of each job that was added; where it answers true, the call ends there. */
function noticing(engine: Engine, notice: (name: 'commit' | 'committed' | 'added', text: string) => boolean): Engine {
  const never = new Promise<never>(() => undefined);
  return {
    ...engine,
    store: Object.assign(Object.create(engine.store) as ShardStore, {
      async commit(...given: Parameters<ShardStore['commit']>) {
        const text = JSON.stringify(given[2]);
        if (notice('commit', text)) return never;
        const outcome = await engine.store.commit(...given);
        return notice('committed', text) ? never : outcome;
      },
    }),
    transport: Object.assign(Object.create(engine.transport) as Engine['transport'], {
      async add(shard: string, data: string) {
        await engine.transport.add(shard, data);
        if (notice('added', data)) await never;
      },
    }),
  };
}

describe('two actors that fill each other', () => {
  const balls = { ...deliveryFailed, ball: { payload: z.object({ left: z.int() }) }, read: orders.read };
  const player = (kind: string, other: string) =>
    defineActor({
      kind,
      messages: balls,
      persist: 'snapshot',
      mailbox: { durable: 2, ephemeral: 10 },
      logic: fromTransition((failures: readonly DeliveryFailed[], event: EventsOf<typeof balls>, { emit }) => {
        const say = emit as (emitted: Effect) => void;
        if (event.type === 'read') say(effect.reply({ failures }));
        if (event.type === 'ball' && event.payload.left > 0)
          for (const _ of numbers(12))
            say({
              type: 'troupe.tell',
              address: other,
              messageType: 'ball',
              payload: { left: event.payload.left - 1 },
            });
        return event.type === 'delivery.failed' ? [...failures, event.payload] : failures;
      }, []),
    });
  const players = defineApp({
    tree: [
      { id: 'ping', actor: player('ping', '/pong') },
      { id: 'pong', actor: player('pong', '/ping') },
    ],
  });

  test('come to an end: each lost ball makes one event, a lost event makes none', async () => {
    const world = createTestWorld({ seed: 5 });
    const node = await world.start({ app: players });
    for (const to of ['/ping', '/pong']) await node.tell({ to, type: 'ball', payload: { left: 4 } });
    const atRest = (): boolean =>
      node.runtime.inspection.shards().every(({ outbox, inHand }) => outbox === 0 && inHand === 0);
    await world.advance(60_000);
    assert.ok(atRest());
    const stored = await letters(world, node);
    const lost = stored.filter(({ type }) => type === 'ball');
    const unheard = stored.filter(({ type }) => type === 'delivery.failed');
    const heard = [...(await failuresOf(node, '/ping')), ...(await failuresOf(node, '/pong'))];
    assert.ok(lost.length > 20 && unheard.length > 0, `${lost.length} balls, ${unheard.length} events were lost`);
    assert.ok(heard.every(({ type, reason }) => type === 'ball' && reason === 'MAILBOX_FULL'));
    assert.equal(heard.length + unheard.length, lost.length);
    node.kill();
  });
});
