import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate as nextRound } from 'node:timers/promises';
import { parseAddress } from '../../runtime/address.ts';
import { systemClock } from '../../runtime/clock.ts';
import type { Child } from '../../runtime/define-app.ts';
import { limits } from '../../runtime/limits.ts';
import { createPacer } from '../../supervisors/pace.ts';
import { createStartGate } from '../../supervisors/start-gate.ts';
import { actor, type FakeTree, fakeTree, silent } from '../support/fake-tree.ts';

const many = 10_000;
const pool: Child = { id: 'pool', strategy: 'dynamic', onDemand: true, child: { actor: silent } };
const keys = Array.from({ length: many }, (_, index) => parseAddress(`/pool/${index}`));
const some = keys.slice(0, 1_000);

interface Watched {
  /** Most starts under way at once. */
  mostStarts(): number;
  /** Most tree events between two rounds of the event loop. */
  mostEvents(): number;
  end(): void;
}

/** Counts work, not time: how much happens between two rounds of the event loop. */
function watchLoad({ tree, activations }: FakeTree): Watched {
  let underWay = 0;
  let mostStarts = 0;
  let events = 0;
  let mostEvents = 0;
  let isOver = false;
  const { start } = activations;
  Object.assign(activations, {
    async start(request: Parameters<typeof start>[0]) {
      underWay += 1;
      mostStarts = Math.max(mostStarts, underWay);
      // A start takes some rounds, as on a thread.
      for (let round = 0; round < 2; round += 1) await nextRound();
      try {
        return await start(request);
      } finally {
        underWay -= 1;
      }
    },
  });
  tree.onEvent(() => {
    events += 1;
  });
  void (async () => {
    while (!isOver) {
      await nextRound();
      mostEvents = Math.max(mostEvents, events);
      events = 0;
    }
  })();
  return {
    mostStarts: () => mostStarts,
    mostEvents: () => mostEvents,
    end() {
      isOver = true;
    },
  };
}

async function until(holds: () => boolean): Promise<void> {
  for (let round = 0; round < 200_000 && !holds(); round += 1) await nextRound();
  assert.ok(holds(), 'it came about');
}

/** Exits and started lives of one round: an exit says two things, a restart one. */
const eventsPerRound = 2 * limits.exitsPerRound + limits.nodeStarts + limits.exitsPerRound;

describe('ten thousand children lost at once', () => {
  it('come back with bounded work a round and bounded starts, and cost the budget once', async () => {
    const fake = fakeTree([pool], { clock: systemClock });
    await fake.tree.start();
    await Promise.all(keys.map((key) => fake.tree.port.ensure(key)));
    const load = watchLoad(fake);
    for (const key of keys) fake.activations.exit(key, { cause: 'thread-lost', threadDeath: '1@1' });
    await until(() => fake.activations.live.size === many);
    load.end();
    assert.ok(load.mostStarts() <= limits.supervisorStarts, `${load.mostStarts()} starts at once`);
    assert.ok(load.mostEvents() <= eventsPerRound, `${load.mostEvents()} events in a round`);
    assert.equal(fake.tree.supervisor('/pool')?.budgetLeft, 4);
    assert.deepEqual(fake.activations.doubles, []);
    await fake.tree.stop(60_000);
    assert.equal(fake.activations.live.size, 0);
  });

  it('spread their restarts over the first delay', async () => {
    const { tree, start, clock, activations, events } = fakeTree([pool], { random: uniform() });
    await start();
    await Promise.all(some.map((key) => tree.port.ensure(key)));
    for (const key of some) activations.exit(key, { cause: 'thread-lost', threadDeath: '1@1' });
    await clock.advance(10);
    const delays = events.filter(({ type }) => type === 'restarting').map(({ delayMs }) => delayMs ?? 0);
    assert.equal(delays.length, 1_000);
    for (const from of [0, 25, 50, 75]) {
      const share = delays.filter((delayMs) => delayMs >= from && delayMs < from + 25).length;
      assert.ok(share > 150 && share < 350, `${share} of 1,000 from ${from} ms on`);
    }
  });

  it('do not hold up a stop: it overtakes what waits to start', async () => {
    const fake = fakeTree([pool, actor('other')], { clock: systemClock });
    const { tree, activations } = fake;
    await tree.start();
    await Promise.all(some.map((key) => tree.port.ensure(key)));
    activations.pace = () => new Promise(() => {});
    activations.stopEndsStart = true;
    for (const key of some) activations.exit(key, { charged: false });
    await until(() => activations.calls.filter((call) => call.startsWith('start /pool/')).length > some.length);
    activations.pace = async () => {};
    fake.calls();
    await tree.subtrees.stop('/other');
    assert.deepEqual(
      fake.calls().filter((call) => call.includes('/other')),
      ['stop /other'],
    );
    assert.equal(activations.live.has('/other'), false);
  });

  it('do not hold up the stop of one that waits for its start behind them, and it starts no more', async () => {
    const pools = ['p', 'q', 'r', 's'].map((id): Child => ({ ...pool, id }) as Child);
    const fake = fakeTree([...pools, actor('late')]);
    const { tree, activations, clock, start, calls } = fake;
    await start();
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    activations.pace = () => released;
    for (const { id } of pools)
      for (let n = 0; n < limits.supervisorStarts; n += 1)
        void tree.port.ensure(parseAddress(`/${id}/${n}`)).catch(() => undefined);
    await clock.settle();
    activations.exit('/late');
    await clock.advance(200);
    assert.equal(calls().filter((call) => call === 'start /late').length, 1, 'its first life: the next one waits');
    activations.pace = async () => {};
    let isDown = false;
    void tree.subtrees.stop('/late').then(() => {
      isDown = true;
    });
    await clock.settle();
    assert.equal(isDown, true);
    release();
    await clock.settle();
    assert.ok(!calls().includes('start /late'));
  });

  it('a supervisor that is told to stop in the middle of it starts nothing more', async () => {
    const fake = fakeTree([pool], { clock: systemClock });
    const { tree, activations } = fake;
    await tree.start();
    await Promise.all(some.map((key) => tree.port.ensure(key)));
    for (const key of some) activations.exit(key, { charged: false });
    await until(() => activations.calls.filter((call) => call.startsWith('start')).length > some.length + 100);
    await tree.subtrees.stop('/pool');
    fake.calls();
    for (let round = 0; round < 500; round += 1) await nextRound();
    assert.deepEqual(fake.calls(), []);
    assert.equal(activations.live.size, 0);
  });

  it('an escalation overtakes them too', async () => {
    const team: Child = { id: 'team', strategy: 'one_for_one', intensity: { max: 0 }, children: [actor('x'), pool] };
    const fake = fakeTree([team], { clock: systemClock });
    const { tree, activations } = fake;
    await tree.start();
    const inside = some.map((key) => parseAddress(`/team${key}`));
    await Promise.all(inside.map((key) => tree.port.ensure(key)));
    activations.exit('/team/x');
    for (const key of inside) activations.exit(key, { charged: false });
    await until(() => activations.live.has('/team/x') && tree.supervisor('/team')?.state === 'running');
    assert.equal(activations.live.size, 1, 'nothing of the former life came back');
    assert.deepEqual(activations.doubles, []);
  });
});

describe('a static group', () => {
  it('keeps its order in a storm, one start at a time', async () => {
    const children = Array.from({ length: 300 }, (_, index) => actor(`c${String(index).padStart(3, '0')}`));
    const fake = fakeTree([{ id: 'group', strategy: 'rest_for_one', children }]);
    const { start, clock, activations } = fake;
    await start();
    const load = watchLoad(fake);
    fake.calls();
    for (const { id } of children) activations.exit(`/group/${id}`, { cause: 'thread-lost', threadDeath: '1@1' });
    await clock.advance(1_000);
    for (let round = 0; round < 3_000 && activations.live.size < children.length; round += 1) await nextRound();
    load.end();
    assert.deepEqual(
      fake.calls().filter((call) => call.startsWith('start')),
      children.map(({ id }) => `start /group/${id}`),
    );
    assert.equal(load.mostStarts(), 1);
  });
});

describe('the pacer', () => {
  it('runs a lone task at once, many in order, so many a round', async () => {
    const { clock } = fakeTree([]);
    const pace = createPacer(clock, 3);
    const ran: number[] = [];
    for (let task = 0; task < 8; task += 1) pace(() => ran.push(task));
    assert.deepEqual(ran, [0, 1, 2]);
    await clock.advance(0);
    assert.deepEqual(ran, [0, 1, 2, 3, 4, 5, 6, 7]);
    assert.equal(clock.armed(), 0);
    pace(() => pace(() => ran.push(9)));
    assert.equal(ran.at(-1), 9, 'also within a task');
  });
});

describe('the start gate', () => {
  it('lets so many in, in order, and those who wait can be withdrawn', async () => {
    const gate = createStartGate(2);
    const entered: string[] = [];
    const ends = new Map<string, () => void>();
    const enter = (name: string): Promise<string> =>
      gate.run(name, () => {
        entered.push(name);
        return new Promise((resolve) => ends.set(name, () => resolve(name)));
      });
    const all = ['a', 'b', 'c', 'd'].map(enter);
    const withdrawn = assert.rejects(all[2] as Promise<string>, { reason: 'UNAVAILABLE' });
    gate.withdraw('c');
    await withdrawn;
    assert.deepEqual(entered, ['a', 'b']);
    ends.get('a')?.();
    await all[0];
    await nextRound();
    assert.deepEqual(entered, ['a', 'b', 'd']);
    gate.withdraw('d');
    for (const name of ['b', 'd']) ends.get(name)?.();
    assert.equal(await all[3], 'd', 'one that has entered is not');
  });
});

/** Draws spread evenly. */
function uniform() {
  let draws = 0;
  return { next: () => (draws++ % 997) / 997, id: () => 'id', nonce: () => 'nonce' };
}
