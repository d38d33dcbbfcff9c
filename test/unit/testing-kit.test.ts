/** The test kit: what a user's own tests can do with whole nodes in virtual time. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { defineApp } from '../../runtime/define-app.ts';
import { createMemoryEngine, EngineDown, EngineUnknown } from '../../runtime/engines/index.ts';
import type { TroupeError } from '../../runtime/errors.ts';
import {
  createFaultyEngine,
  createProbe,
  createSchedule,
  createSeededRandom,
  createTestWorld,
  type TestNode,
  type TestWorld,
} from '../../runtime/testing/index.ts';
import courierApp, { courier } from '../apps/courier.ts';

const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index);
/** What the courier has noted of all that was told before. */
async function notesOf(world: TestWorld, node: TestNode): Promise<number[]> {
  await world.advance(10_000);
  return ((await node.ask({ to: '/couriers/a', type: 'read' })) as { notes: number[] }).notes;
}
const note = (n: number) => ({ to: '/couriers/a', type: 'note', payload: { n } });

describe('a test world', () => {
  test('a killed node’s durable mail and timers go on in its successor, minutes pass in no time', async () => {
    const world = createTestWorld({ seed: 4 });
    const first = await world.start({ app: courierApp });
    for (const n of numbers(20)) await first.tell(note(n));
    await first.tell({ to: '/couriers/a', type: 'remind', payload: { ms: 600_000, n: 99 } });
    first.kill();
    const second = await world.start({ app: courierApp, succeeds: first });
    assert.deepEqual(await notesOf(world, second), numbers(20));
    await world.advance(2 * 600_000);
    assert.deepEqual(await notesOf(world, second), [...numbers(20), 99]);
  });

  test('a node that nobody knows to be dead is succeeded when its lease has ended', async () => {
    const world = createTestWorld();
    const first = await world.start({ app: courierApp });
    await first.tell(note(1));
    first.pause();
    const startedMs = world.schedule.now();
    const launch = async (): Promise<TestNode> => {
      for (;;) {
        try {
          return await world.start({ app: courierApp });
        } catch (error) {
          assert.equal((error as TroupeError).reason, 'UNAVAILABLE');
          await world.advance(1_000);
        }
      }
    };
    const second = await launch();
    assert.ok(world.schedule.now() - startedMs >= 7_000, 'not before the lease has ended');
    first.resume();
    await second.tell(note(2));
    await world.advance(5_000);
    assert.deepEqual(await notesOf(world, second), [1, 2], 'what the former node still did changed nothing');
  });

  test('bad weather between node and engine loses, repeats and reorders nothing', async () => {
    const world = createTestWorld({ seed: 11 });
    const bad = { loseRequest: 0.1, loseReply: 0.2, late: 0.1, duplicate: 0.3 };
    const node = await world.start({ app: courierApp });
    Object.assign(node.weather, bad);
    const messaging = node.messaging();
    const sends = numbers(60).map((n) => messaging.tell(note(n)));
    await world.settle(Promise.all(sends));
    Object.assign(node.weather, { loseRequest: 0, loseReply: 0, late: 0, duplicate: 0 });
    await world.advance(20_000);
    assert.deepEqual(await notesOf(world, node), numbers(60));
  });

  test('an engine that is down is heard of at once, and nothing is silently dropped', async () => {
    const world = createTestWorld();
    const node = await world.start({ app: courierApp });
    node.weather.down = true;
    await assert.rejects(node.tell(note(1)), (error: TroupeError) => error.reason === 'UNAVAILABLE');
    node.weather.down = false;
    await world.advance(15_000);
    await node.tell(note(2));
    assert.deepEqual(await notesOf(world, node), [2]);
  });

  test('a probe hears what the actors under test say, and answers them', async () => {
    const probe = createProbe({ types: ['note'] });
    const oracle = createProbe({ kind: 'oracle', types: ['riddle'], answer: ({ payload }) => ({ echo: payload }) });
    const app = defineApp({
      tree: [
        { id: 'probe', actor: probe.actor },
        { id: 'oracle', actor: oracle.actor },
        { id: 'couriers', strategy: 'dynamic', onDemand: true, child: { actor: courier } },
      ],
    });
    const world = createTestWorld();
    const node = await world.start({ app });
    await node.tell({ to: '/couriers/a', type: 'forward', payload: { to: '/probe', numbers: [3, 1, 2] } });
    assert.ok(await world.until(() => probe.received.length === 3));
    assert.deepEqual(probe.payloads('note'), [{ n: 3 }, { n: 1 }, { n: 2 }]);
    assert.equal(probe.received[0]?.message.from, '/couriers/a');
    assert.deepEqual(await node.ask({ to: '/oracle', type: 'riddle', payload: 7 }), { echo: 7 });
  });

  test('an actor that crashed and a thread that was killed come back', async () => {
    const world = createTestWorld({ seed: 2 });
    const node = await world.start({ app: courierApp });
    await node.tell(note(1));
    await world.settle(node.runtime.faults.crashActor('/couriers/a'));
    await node.tell(note(2));
    for (const slot of [1, 2]) await world.settle(node.runtime.faults.killThread(slot));
    await node.tell(note(3));
    await world.advance(5_000);
    assert.deepEqual(await notesOf(world, node), [1, 2, 3]);
  });
});

describe('a schedule', () => {
  /** In which order tasks of one moment run. */
  const orderOf = async (seed: number): Promise<number[]> => {
    const schedule = createSchedule({ random: createSeededRandom(seed) });
    const { clock } = schedule.party();
    const ran: number[] = [];
    for (const n of numbers(12)) clock.after(5, () => ran.push(n));
    await schedule.advance(5);
    return ran;
  };

  test('the seed decides the order of one moment, and nothing else does', async () => {
    const orders = await Promise.all(numbers(6).map((seed) => orderOf(seed)));
    assert.deepEqual(await Promise.all(numbers(6).map((seed) => orderOf(seed))), orders);
    assert.ok(new Set(orders.map(String)).size > 4, 'seeds differ');
  });

  test('a paused party’s tasks wait, in their order, and an ended one’s never run', async () => {
    const schedule = createSchedule({ random: createSeededRandom(3) });
    const [paused, ended] = [schedule.party(), schedule.party()];
    const ran: string[] = [];
    for (const ms of [30, 10, 20]) paused.clock.after(ms, () => ran.push(`paused ${ms}`));
    ended.clock.every(10, () => ran.push('ended'));
    paused.pause();
    ended.end();
    await schedule.advance(100);
    assert.deepEqual(ran, []);
    paused.resume();
    await schedule.advance(0);
    assert.deepEqual(ran, ['paused 10', 'paused 20', 'paused 30']);
  });

  test('between two tasks everything that waits on promises runs', async () => {
    const schedule = createSchedule({ random: createSeededRandom(1) });
    const { clock } = schedule.party();
    const ran: string[] = [];
    const chain = async (): Promise<void> => {
      for (const n of numbers(50)) {
        await undefined;
        if (n === 49) ran.push('chain');
      }
    };
    clock.after(1, () => void chain());
    clock.after(2, () => ran.push('next'));
    await schedule.advance(3);
    assert.deepEqual(ran, ['chain', 'next']);
  });
});

describe('seeded chance', () => {
  test('purposes of one seed draw apart from each other', () => {
    const load = createSeededRandom(9, { purpose: 'load' });
    const expected = numbers(5).map(() => load.next());
    const [again, other] = [createSeededRandom(9, { purpose: 'load' }), createSeededRandom(9, { purpose: 'faults' })];
    const drawn = numbers(5).map(() => {
      other.next();
      return again.next();
    });
    assert.deepEqual(drawn, expected);
    assert.notEqual(createSeededRandom(9, { purpose: 'faults' }).next(), expected[0]);
  });

  test('ids are UUIDs of version 7, and rise with their time', () => {
    let nowMs = 1_000;
    const clock = { ...createSchedule({ random: createSeededRandom(1) }).party().clock, now: () => nowMs };
    const random = createSeededRandom(1, { clock });
    const ids = numbers(20).map(() => {
      nowMs += 1;
      return random.id();
    });
    for (const id of ids) assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    assert.deepEqual(ids, [...ids].sort());
  });
});

describe('a faulty engine', () => {
  const open = async () => {
    const schedule = createSchedule({ random: createSeededRandom(5) });
    const { clock } = schedule.party();
    const plain = createMemoryEngine({ namespace: 'faulty', shards: 2, clock });
    await plain.open();
    const engine = createFaultyEngine(plain, { random: createSeededRandom(5), clock });
    const outcome = async (call: Promise<unknown>): Promise<unknown> => {
      let found: unknown;
      call.then(
        (value) => {
          found = value ?? 'done';
        },
        (error: unknown) => {
          found = error;
        },
      );
      await schedule.runUntil(() => found !== undefined, 10_000);
      return found;
    };
    return { plain, engine, schedule, outcome };
  };

  test('down does nothing and says so; a lost reply may have been done, a lost request was not', async () => {
    const { plain, engine, outcome } = await open();
    engine.weather.down = true;
    assert.ok((await outcome(engine.transport.add('s0', 'one'))) instanceof EngineDown);
    engine.weather.down = false;
    engine.weather.loseRequest = 1;
    assert.ok((await outcome(engine.transport.add('s0', 'two'))) instanceof EngineUnknown);
    engine.weather.loseRequest = 0;
    engine.weather.loseReply = 1;
    assert.ok((await outcome(engine.transport.add('s0', 'three'))) instanceof EngineUnknown);
    assert.deepEqual(
      (await plain.transport.waiting('s0')).map(({ data }) => data),
      ['three'],
    );
  });

  test('late arrives after its caller has given up; a duplicate arrives twice', async () => {
    const { plain, engine, schedule, outcome } = await open();
    engine.weather.late = 1;
    assert.ok((await outcome(engine.transport.add('s0', 'late'))) instanceof EngineUnknown);
    engine.weather.late = 0;
    engine.weather.duplicate = 1;
    assert.equal(await outcome(engine.transport.add('s0', 'twice')), 'done');
    await schedule.advance(10_000);
    const found = (await plain.transport.waiting('s0')).map(({ data }) => data);
    assert.deepEqual(found.toSorted(), ['late', 'twice', 'twice']);
  });
});
