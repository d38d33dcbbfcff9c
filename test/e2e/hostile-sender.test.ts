/** What a message can do to the supervisors: nothing, by crashes, hangs and exhausted heaps, nor by a thread that hangs. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseAddress } from '../../runtime/address.ts';
import { defaults } from '../../runtime/limits.ts';
import { eventually, startWorld } from '../support/world.ts';

const slow = { timeout: 120_000 };
const supervisors = ['/', '/ledger', '/system/threads'];

test('no sender can spend the budget of a supervisor, by whatever its messages do', slow, async (t) => {
  const world = await startWorld(t, { app: 'ledger', threads: { watchdogMs: 250, heapLimitMb: 64 } });
  const { messaging, tree } = world;
  const tell = (to: string, type: string, payload = {}, delivery: 'at-most-once' | 'at-least-once' = 'at-most-once') =>
    messaging.tell({ to, type, payload, delivery });
  const alive = (to: string): Promise<unknown> =>
    eventually(
      () => messaging.ask({ to, type: 'read' }, { timeoutMs: 2_000 }).catch(() => undefined),
      (answer) => answer !== undefined,
    );
  /** So many deadly messages of each sort that even one charged restart in three would be too many. */
  const flood = defaults.restartMax * 4;
  for (let n = 0; n < flood; n += 1) {
    await tell(`/ledger/crash-${n % 3}`, 'crash').catch(() => undefined);
    await tell('/ledger/durable', 'crash', {}, 'at-least-once');
  }
  await alive('/ledger/crash-0');
  let deaths = 0;
  let lives = 0;
  const incarnations = (): number =>
    world.runtime.inspection.threads().reduce((sum, { incarnation }) => sum + incarnation, 0);
  for (const [type, payload] of [
    ['hang', {}],
    ['allocate', { mb: 4_096 }],
  ] as const)
    for (let n = 0; n <= defaults.restartMax / 2; n += 1) {
      lives = incarnations();
      await eventually(
        () =>
          tell(`/ledger/${type}`, type, payload).then(
            () => true,
            () => false,
          ),
        (sent) => sent,
      );
      await eventually(
        async () => incarnations(),
        (now) => now > lives,
      );
      deaths += 1;
    }
  assert.ok(deaths > defaults.restartMax, 'more threads died than any budget allows');
  await alive('/ledger/bystander');
  for (const address of supervisors) {
    const report = tree.supervisor(address);
    assert.equal(report?.state, 'running', address);
    assert.equal(report?.budgetLeft, defaults.restartMax, `${address} was charged nothing`);
    for (const restart of report?.recentRestarts ?? []) assert.equal(restart.charged, false, JSON.stringify(restart));
  }
  assert.ok((tree.supervisor('/ledger')?.recentRestarts.length ?? 0) > 0, 'there were restarts');
  await world.close();
});

test('nor by what its messages leave running, which is given up after its attempts and named', slow, async (t) => {
  const world = await startWorld(t, { app: 'unruly', threads: { watchdogMs: 5_000 } });
  const { messaging, tree, runtime } = world;
  const deeds = ['fail', 'reject', 'throw', 'exit'];
  const exits = new Map<string, number>();
  tree.onEvent(({ type, address }) => {
    if (type === 'exited') exits.set(address, (exits.get(address) ?? 0) + 1);
  });
  const add = async (to: string): Promise<number> => {
    const answer = await eventually(
      () => messaging.ask({ to, type: 'add', payload: {} }, { timeoutMs: 2_000 }).catch(() => undefined),
      (given) => given !== undefined,
    );
    return (answer as { count: number }).count;
  };
  // A life of its own for each message: more of them than any budget allows.
  for (let round = 1; round <= 2; round += 1)
    for (const deed of deeds) {
      const to = `/unruly/${deed}`;
      await add(to);
      await messaging.tell({ to, type: 'later', payload: { deed }, delivery: 'at-most-once' });
      await eventually(
        async () => exits.get(to),
        (count) => count === round,
      );
    }
  // The end of a whole thread, beside a durable turn.
  const lives = (): number => runtime.inspection.threads().reduce((sum, { incarnation }) => sum + incarnation, 0);
  for (let n = 0; n <= defaults.restartMax; n += 1) {
    const before = lives();
    await add('/unruly/leave');
    await messaging.tell({ to: '/unruly/leave', type: 'now', payload: { deed: 'leave' }, delivery: 'at-most-once' });
    await eventually(
      async () => lives(),
      (now) => now > before,
    );
  }
  // One message each: what is stored goes on in each life.
  for (const deed of deeds) {
    await add(`/kept/${deed}`);
    await messaging.tell({ to: `/kept/${deed}`, type: 'later', payload: { deed }, delivery: 'at-least-once' });
  }
  const { items } = await eventually(
    () => runtime.inspection.deadLetters({ limit: 10 }),
    (page) => page.items.length === deeds.length,
  );
  assert.deepEqual(
    items.map(({ address, type, reason, errors }) => [address, type, reason, errors.length]).sort(),
    deeds.map((deed) => [`/kept/${deed}`, 'later', 'WORK_FAILED', defaults.messageAttempts]).sort(),
  );
  for (const { errors } of items)
    for (const { message } of errors) assert.match(message, /^invocation "0\..*straying": ./);
  for (const deed of deeds) {
    assert.equal(await add(`/kept/${deed}`), 2, 'it lives on, with what it had');
    assert.equal(exits.get(`/kept/${deed}`), defaults.messageAttempts, 'and fails no more');
  }
  for (const address of ['/', '/unruly', '/kept', '/system/threads']) {
    const report = tree.supervisor(address);
    assert.equal(report?.state, 'running', address);
    assert.equal(report?.budgetLeft, defaults.restartMax, `${address} was charged nothing`);
  }
  assert.ok((tree.supervisor('/unruly')?.recentRestarts.length ?? 0) > defaults.restartMax, 'there were restarts');
  await world.close();
});

test(
  'an actor whose thread hangs is dropped when its time to stop is over, and the watchdog ends the thread',
  slow,
  async (t) => {
    const world = await startWorld(t, { app: 'sentry', threads: { watchdogMs: 2_500 } });
    const { messaging, tree, runtime } = world;
    const read = (to: string) => messaging.ask({ to, type: 'heard' }, { timeoutMs: 5_000 });
    await read('/brief/a');
    const { thread } = await runtime.inspection.actor('/brief/a');
    await runtime.faults.hangActor('/brief/a');
    const startedMs = performance.now();
    assert.equal((await tree.subtrees.stop('/brief/a')).status, 'stopped');
    assert.ok(performance.now() - startedMs < 2_000, 'it waited for its shutdown time, not for the watchdog');
    assert.ok(runtime.inspection.threads().every(({ incarnation }) => incarnation === 1));
    await eventually(
      async () => runtime.inspection.threads().find(({ slot }) => slot === thread),
      (view) => view?.incarnation === 2 && view.status === 'running',
    );
    assert.equal(await tree.port.ensure(parseAddress('/brief/a')), 'held', 'it has not come back with its thread');
    await tree.subtrees.resume('/brief/a');
    await read('/brief/a');
    assert.equal(tree.supervisor('/brief')?.budgetLeft, defaults.restartMax);
    await world.close();
  },
);
