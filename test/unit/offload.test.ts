/** Which offloaded tasks run, wait, and are refused: the books of the main thread, on a pool that a test plays. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MessageChannel } from 'node:worker_threads';
import { defineApp } from '../../runtime/define-app.ts';
import type { ErrorData } from '../../runtime/errors.ts';
import { limits } from '../../runtime/limits.ts';
import { silentLog } from '../../runtime/log.ts';
import { Offloads } from '../../runtime/offload/offloads.ts';
import { createVirtualClock } from '../../runtime/testing/clock.ts';

interface Begun {
  readonly id: string;
  readonly signal: AbortSignal;
  end(succeeded: boolean): void;
  die(error: Error): void;
}

function desk(offloadThreads: number) {
  const clock = createVirtualClock();
  const begun: Begun[] = [];
  const told = new Map<number, ErrorData>();
  let closed = 0;
  const offloads = new Offloads({
    app: defineApp({ tree: [], tasks: { work: () => 1 } }),
    appUrl: 'file:///app.ts',
    clock,
    log: silentLog,
    offloadThreads,
    post: (_slot, message) => {
      if (message.to === 'settled' && 'error' in message.result) told.set(message.request, message.result.error);
    },
    startPool: async () => ({
      run: ({ id, port }, signal) =>
        new Promise((resolve, reject) => {
          signal.addEventListener('abort', () => reject(new Error('aborted')));
          port.close();
          begun.push({ id, signal, end: resolve, die: reject });
        }),
      close: async () => {
        closed += 1;
      },
    }),
  });
  let requests = 0;
  return {
    clock,
    offloads,
    told,
    begun,
    ids: () => begun.map(({ id }) => id),
    closedCount: () => closed,
    offload(slot = 1, timeoutMs = 60_000, task = 'work'): number {
      requests += 1;
      const port = new MessageChannel().port2;
      offloads.receive(slot, {
        from: 'offload',
        activation: 1,
        request: requests,
        task,
        id: `t${requests}`,
        timeoutMs,
        port,
      });
      return requests;
    },
    /** Runs the number of turns of the event loop that promises need. */
    async settle() {
      for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

test('as many tasks run as there are threads, the rest in the order in which they came', async () => {
  const { offload, begun, ids, settle, offloads } = desk(2);
  for (let n = 0; n < 4; n += 1) offload();
  await settle();
  assert.deepEqual(ids(), ['t1', 't2']);
  assert.deepEqual([offloads.counters().offload_running, offloads.counters().offload_waiting], [2, 2]);
  begun[1]?.end(true);
  await settle();
  assert.deepEqual(ids(), ['t1', 't2', 't3']);
  begun[0]?.end(false);
  await settle();
  assert.deepEqual(ids(), ['t1', 't2', 't3', 't4']);
  assert.deepEqual([offloads.counters().offload_done_total, offloads.counters().offload_failed_total], [1, 1]);
  // What has ended is not aborted afterwards, which would end the thread of another task.
  assert.deepEqual(
    begun.map(({ signal }) => signal.aborted),
    [false, false, false, false],
  );
});

test('a full queue refuses with a delay, and takes more when one has ended', async () => {
  const { offload, told, begun, settle } = desk(1);
  for (let n = 0; n < 1 + limits.offloadWaitingTasks; n += 1) offload();
  assert.equal(told.size, 0);
  const refused = told.get(offload());
  assert.deepEqual([refused?.reason, refused?.outcome], ['MAILBOX_FULL', 'not_started']);
  assert.ok((refused?.retryAfterMs ?? 0) > 0);
  await settle();
  begun[0]?.end(true);
  await settle();
  assert.equal(told.get(offload()), undefined);
});

test('a time limit counts the wait, and ends the thread of a task that runs', async () => {
  const { offload, told, begun, clock, settle, offloads } = desk(1);
  const running = offload(1, 1_000);
  const waiting = offload(1, 900);
  await settle();
  await clock.advance(1_000);
  await settle();
  assert.deepEqual([told.get(running)?.reason, told.get(running)?.outcome], ['DEADLINE_EXCEEDED', 'unknown']);
  assert.deepEqual([told.get(waiting)?.reason, told.get(waiting)?.outcome], ['DEADLINE_EXCEEDED', 'not_started']);
  assert.deepEqual(
    begun.map(({ signal }) => signal.aborted),
    [true],
  );
  offload();
  await settle();
  assert.equal(begun.length, 2);
  assert.equal(offloads.counters().offload_failed_total, 2);
});

test('a dead thread fails its task, a lost host those that it had, and others go on', async () => {
  const { offload, told, begun, settle, offloads, ids } = desk(2);
  const [first, second, third, fourth] = [offload(1), offload(2), offload(1), offload(2)];
  await settle();
  begun[0]?.die(new Error('worker exited with code: 7'));
  await settle();
  assert.match(told.get(first as number)?.message ?? '', /the thread of task "work" died: worker exited with code: 7/);
  assert.deepEqual(ids(), ['t1', 't2', 't3']);
  offloads.hostLost(1);
  offloads.hostLost(1);
  await settle();
  assert.equal(begun[2]?.signal.aborted, true);
  assert.deepEqual(ids(), ['t1', 't2', 't3', 't4']);
  assert.deepEqual(
    [second, third, fourth].map((request) => told.get(request as number)),
    [undefined, undefined, undefined],
  );
  assert.equal(offloads.counters().offload_cancelled_total, 1);
});

test('an unknown task is refused with the names of those there are; no pool is made for it, nor when none comes', async () => {
  const { offload, told, offloads, closedCount } = desk(1);
  assert.match(
    told.get(offload(1, 1_000, 'toString'))?.message ?? '',
    /declares no task "toString"; it declares: work/,
  );
  await offloads.close();
  assert.equal(closedCount(), 0);
});

test('closing tells who waits, ends the pool, and refuses what comes after', async () => {
  const { offload, told, offloads, closedCount, settle } = desk(1);
  const requests = [offload(), offload()];
  await settle();
  await offloads.close();
  requests.push(offload());
  for (const request of requests) assert.equal(told.get(request)?.reason, 'DRAINING');
  assert.equal(closedCount(), 1);
});

test('tasks need names and modules that can be', () => {
  assert.throws(() => defineApp({ tree: [], tasks: { 'a b': () => 1 } }), /"a b" is no name for a task/);
  assert.throws(() => defineApp({ tree: [], tasks: { a: { module: './a.ts' } } }), /the module of task "a" is no URL/);
});
