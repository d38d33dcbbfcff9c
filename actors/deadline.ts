import type { Clock } from '../runtime/clock.ts';

/** The task took longer than it may. */
export class DeadlineReached extends Error {
  override readonly name = 'DeadlineReached';
}

/**
 * Runs a task that heeds its signal, for at most `withinMs`. Rejects with `DeadlineReached` at that time and with the
 * outer signal's reason when that is aborted, also when the task does not heed its signal.
 */
export async function withDeadline<T>(
  clock: Clock,
  withinMs: number,
  outer: AbortSignal | undefined,
  task: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  outer?.throwIfAborted();
  const controller = new AbortController();
  const abort = (): void => controller.abort(outer?.reason);
  outer?.addEventListener('abort', abort, { once: true });
  const cancel = clock.after(
    withinMs,
    () => controller.abort(new DeadlineReached(`not finished after ${withinMs} ms`)),
    { keepAlive: true },
  );
  const aborted = new Promise<never>((_, reject) => {
    controller.signal.addEventListener('abort', () => reject(controller.signal.reason), { once: true });
  });
  try {
    return await Promise.race([task(controller.signal), aborted]);
  } catch (error) {
    throw controller.signal.aborted ? controller.signal.reason : error;
  } finally {
    cancel();
    outer?.removeEventListener('abort', abort);
  }
}
