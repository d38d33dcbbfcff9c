import { type Clock, wait } from '../runtime/clock.ts';
import { toErrorData } from '../runtime/errors.ts';
import type { TaskView } from '../runtime/messaging.ts';

/** How often a watched task is looked at: soon at first, as most end soon. */
const firstLookMs = 50;
const seldomLookMs = 2_000;

/**
 * Hands over the task as it is, and once more when it has ended. The node that takes the answer need not be this one,
 * so it looks again and again; an engine that does not answer meanwhile is waited for.
 *
 * @throws what `read` throws, and the signal's reason
 */
export async function watchTask(
  read: () => Promise<TaskView>,
  onTask: (task: TaskView) => void,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  const first = await read();
  onTask(first);
  if (first.status !== 'waiting') return;
  for (let lookMs = firstLookMs; ; lookMs = Math.min(2 * lookMs, seldomLookMs)) {
    await wait(clock, lookMs, signal);
    const task = await read().catch(passing);
    if (task !== undefined && task.status !== 'waiting') return onTask(task);
  }
}

/** @throws what will not pass */
function passing(thrown: unknown): undefined {
  if (toErrorData(thrown).reason !== 'UNAVAILABLE') throw thrown;
}
