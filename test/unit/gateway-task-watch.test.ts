import assert from 'node:assert/strict';
import { test } from 'node:test';
import { watchTask } from '../../gateway/task-watch.ts';
import { TroupeError } from '../../runtime/errors.ts';
import type { TaskView } from '../../runtime/messaging.ts';
import { createVirtualClock } from '../../runtime/testing/index.ts';

const waiting: TaskView = { taskId: 's0.a', status: 'waiting' };
const done: TaskView = { taskId: 's0.a', status: 'done', value: 7, atMs: 1, expiresAtMs: 2 };

function watched(signal = new AbortController().signal) {
  const clock = createVirtualClock();
  const seen: string[] = [];
  const store: { looks: number; answer: () => TaskView } = { looks: 0, answer: () => waiting };
  const read = async (): Promise<TaskView> => {
    store.looks += 1;
    return store.answer();
  };
  const over = watchTask(read, ({ status }) => seen.push(status), clock, signal);
  over.catch(() => undefined);
  return { clock, seen, store, over };
}

test('a watched task is told as it is and as it ended, soon when it ends soon', async () => {
  const { clock, seen, store, over } = watched();
  await clock.advance(0);
  assert.deepEqual(seen, ['waiting']);
  store.answer = () => done;
  await clock.advance(50);
  await over;
  assert.deepEqual(seen, ['waiting', 'done']);
});

test('a task that takes an hour is looked at seldom', async () => {
  const { clock, store, over } = watched();
  await clock.advance(3_600_000);
  assert.ok(store.looks > 1_000 && store.looks < 1_850, `${store.looks}`);
  store.answer = () => done;
  await clock.advance(2_000);
  await over;
});

test('a watch outlasts an engine that is away, and ends with what does not pass', async () => {
  const { clock, store, over } = watched();
  const failWith = (reason: 'UNAVAILABLE' | 'NOT_FOUND') => () => {
    throw new TroupeError(reason, 'as told');
  };
  await clock.advance(0);
  store.answer = failWith('UNAVAILABLE');
  await clock.advance(60_000);
  assert.ok(store.looks > 20);
  store.answer = failWith('NOT_FOUND');
  await clock.advance(2_000);
  await assert.rejects(over, { reason: 'NOT_FOUND' });
});

test('nobody looks on after the watcher has gone', async () => {
  const watcher = new AbortController();
  const { clock, store, over } = watched(watcher.signal);
  await clock.advance(1_000);
  watcher.abort();
  await assert.rejects(over, { name: 'AbortError' });
  const { looks } = store;
  await clock.advance(60_000);
  assert.equal(store.looks, looks);
});
