/** CPU work that actors give away, on real threads: it comes back, it holds nobody up, and it ends with its actor. */

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Json } from '../../runtime/envelope.ts';
import { eventually } from '../support/eventually.ts';
import { startWorld, type World, type WorldOptions } from '../support/world.ts';

const slow = { timeout: 60_000 };

interface Office {
  readonly world: World;
  run(address: string, task: string, data?: Json, timeoutMs?: number): Promise<unknown>;
  ask(address: string, type: string, payload?: Json): Promise<Record<string, number>>;
  threadOf(address: string): Promise<number>;
  counter(name: string): number;
}

async function office(t: TestContext, threads: NonNullable<WorldOptions['threads']> = {}): Promise<Office> {
  const world = await startWorld(t, { app: 'offloader', threads: { offloadThreads: 2, ...threads } });
  const ask = async (to: string, type: string, payload: Json = {}) =>
    (await world.messaging.ask({ to, type, payload })) as Record<string, number>;
  return {
    world,
    ask,
    run: (address, task, data, timeoutMs) =>
      ask(address, 'run', {
        task,
        ...(data === undefined ? {} : { data }),
        ...(timeoutMs === undefined ? {} : { timeoutMs }),
      }),
    threadOf: async (address) => (await world.runtime.inspection.actor(address)).thread,
    counter: (name) => world.runtime.inspection.counters()[name] ?? 0,
  };
}

test('a task answers its actor, from the app module or from a module of its own', slow, async (t) => {
  const { world, run, ask, counter } = await office(t);
  assert.deepEqual(await run('/offloader/a', 'apart', 21), { result: 42, isMainThread: false });
  const { id } = (await run('/offloader/a', 'who')) as { id: string };
  assert.match(id, /^[0-9a-f-]{36}$/);
  await assert.rejects(run('/offloader/a', 'nobody'), { reason: 'NOT_FOUND', message: /it declares: burn, who/ });
  await assert.rejects(run('/offloader/a', 'missing'), {
    reason: 'NOT_FOUND',
    message: /exports no function "thrice"/,
  });
  await assert.rejects(run('/offloader/a', 'fails'), {
    reason: 'ACTOR_FAILED',
    message: /"fails" failed: no such number/,
  });
  await assert.rejects(run('/offloader/a', 'refuses'), { reason: 'PERMISSION_DENIED', retryAfterMs: 5 });
  await assert.rejects(run('/offloader/a', 'returnsCode'), { reason: 'ACTOR_FAILED', message: /could not be cloned/ });
  await assert.rejects(ask('/offloader/a', 'unfit'), { reason: 'INVALID_MESSAGE', message: /cannot cross threads/ });
  const kept = world.messaging.ask({ to: '/keeper/a', type: 'mirror', payload: { mib: 0, isMoved: true } });
  await assert.rejects(kept, { reason: 'INVALID_MESSAGE', message: /its snapshot holds JSON only/ });
  assert.deepEqual([counter('offload_done_total'), counter('offload_refused_total')], [2, 1]);
  await world.close();
});

test('buffers are moved both ways, not copied', slow, async (t) => {
  const { world, ask } = await office(t);
  const least = async (isMoved: boolean): Promise<number> => {
    const took: number[] = [];
    for (let turn = 0; turn < 4; turn += 1) {
      const answer = await ask('/offloader/a', 'mirror', { mib: 64, isMoved });
      assert.deepEqual([answer.sentBytes, answer.gotBytes, answer.first], [isMoved ? 0 : 64 << 20, 64 << 20, 7]);
      took.push(answer.tookMs ?? 0);
    }
    return Math.min(...took);
  };
  const [movedMs, copiedMs] = [await least(true), await least(false)];
  t.diagnostic(`64 MiB to a task and back: moved ${movedMs.toFixed(1)} ms, copied ${copiedMs.toFixed(1)} ms`);
  assert.ok(movedMs * 2 < copiedMs, `moved ${movedMs} ms, copied ${copiedMs} ms`);
  await world.close();
});

test('long computations hold up no actor', slow, async (t) => {
  const watchdogMs = 2_000;
  const { world, run, ask, threadOf, counter } = await office(t, { watchdogMs });
  const workers = ['a', 'b', 'c', 'd'].map((name) => `/offloader/${name}`);
  for (const address of [...workers, '/offloader/e']) await ask(address, 'count');
  const burning = Promise.all(workers.map((address) => run(address, 'burn', 1_000)));
  let isBurning = true;
  burning.then(() => {
    isBurning = false;
  });
  const bystander = '/offloader/e';
  const home = await threadOf(bystander);
  assert.ok((await Promise.all(workers.map(threadOf))).includes(home));
  let answers = 0;
  let waitedToo = 0;
  while (isBurning) {
    await ask(bystander, 'count');
    answers += 1;
    waitedToo = Math.max(waitedToo, counter('offload_waiting'));
  }
  assert.deepEqual(await burning, [1_000, 1_000, 1_000, 1_000]);
  assert.ok(answers > 100, `${answers} answers meanwhile`);
  assert.equal(waitedToo, 2);
  for (const thread of world.runtime.inspection.threads()) {
    assert.deepEqual([thread.incarnation, thread.exits], [1, 0]);
    assert.ok(thread.worstLagMs < watchdogMs / 2, `${thread.worstLagMs} ms`);
  }
  t.diagnostic(`${answers} answers while 4 tasks of 1 s ran on 2 threads`);
  await world.close();
});

test('a task ends with its actor: when it lets go, when it fails, and when its thread is killed', slow, async (t) => {
  const { world, run, ask, threadOf, counter } = await office(t, { offloadThreads: 1 });
  const { faults } = world.runtime;
  const actor = '/offloader/a';
  const count = async (): Promise<number> => (await ask(actor, 'count')).count ?? 0;
  const endings = [
    async () => void (await ask(actor, 'drop')),
    () => faults.crashActor(actor),
    async () => faults.killThread(await threadOf(actor)),
  ];
  for (const [index, end] of endings.entries()) {
    const before = await eventually('the actor', 10_000, async () => (await count().catch(() => -1)) + 1);
    world.messaging.ask({ to: actor, type: 'spin', payload: {} }).catch(() => undefined);
    await eventually('spinning', 10_000, async () => (await count()) > before);
    await end();
    await eventually('its end', 10_000, () => counter('offload_cancelled_total') === index + 1);
    // With one thread for tasks, this shows that the former one is out of the way.
    assert.equal(await run('/offloader/other', 'burn', 1), 1);
  }
  await world.close();
});

test('a task that is late, or whose thread dies, fails alone, and leaves room for the next', slow, async (t) => {
  const { world, run, counter } = await office(t, { offloadThreads: 2, heapLimitMb: 64 });
  const beside = run('/offloader/a', 'burn', 3_000);
  await assert.rejects(run('/offloader/b', 'burn', 60_000, 1_000), {
    reason: 'DEADLINE_EXCEEDED',
    message: /"burn" did not end within 1000 ms/,
  });
  await assert.rejects(run('/offloader/b', 'leaves'), {
    reason: 'ACTOR_FAILED',
    message: /died: .*exited with code: 7/,
  });
  await assert.rejects(run('/offloader/b', 'hoards'), { reason: 'ACTOR_FAILED', message: /died: .*memory/ });
  assert.equal(await run('/offloader/b', 'burn', 1), 1);
  assert.equal(await beside, 3_000);
  await eventually('the end of all', 5_000, () => counter('offload_running') + counter('offload_waiting') === 0);
  assert.equal(counter('offload_failed_total'), 3);
  await world.close();
});

test(
  'what a persistent actor had offloaded when its thread was killed is run again, under the id that it gave',
  slow,
  async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'troupe-offload-'));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    const file = join(folder, 'notes');
    const { world, run, threadOf } = await office(t);
    const notes = (): string[] => {
      try {
        return readFileSync(file, 'utf8').trim().split('\n');
      } catch {
        return [];
      }
    };
    const asked = run('/keeper/a', 'notes', file);
    asked.catch(() => undefined);
    await eventually('the first run', 10_000, () => notes().length === 1);
    await world.runtime.faults.killThread(await threadOf('/keeper/a'));
    await eventually('the second run', 10_000, () => notes().length === 2);
    const [first, second] = notes();
    assert.equal(first, second);
    writeFileSync(`${file}.go`, '');
    await eventually('its end', 10_000, async () => {
      const { state } = await world.runtime.inspection.actor('/keeper/a');
      return state === 'idle';
    });
    assert.equal(notes().length, 2);
    await world.close();
  },
);
