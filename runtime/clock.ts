/** A source of time. Only this file reads the process's clocks, so that tests and simulation can stand in. */
export interface Clock {
  /** Milliseconds since the epoch; may jump. */
  now(): number;
  /** Milliseconds since an arbitrary start; never goes back. */
  monotonic(): number;
  /** Runs `task` once after `delayMs`; the answer cancels it. Never keeps the process alive unless `keepAlive`. */
  after(delayMs: number, task: () => void, options?: { readonly keepAlive?: boolean }): Cancel;
  /** Runs `task` every `periodMs`; the answer ends it. Never keeps the process alive. */
  every(periodMs: number, task: () => void): Cancel;
  /** Runs `task` in the next round of the event loop, after what is ready now. */
  soon(task: () => void): void;
}

export type Cancel = () => void;

/** The longest delay that Node's timers take; longer ones are waited for in pieces. */
const longestTimerMs = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(delayMs, task, options) {
    let timer: NodeJS.Timeout;
    const arm = (remainingMs: number): void => {
      const pieceMs = Math.min(Math.max(0, remainingMs), longestTimerMs);
      timer = setTimeout(() => (remainingMs > pieceMs ? arm(remainingMs - pieceMs) : task()), pieceMs);
      if (options?.keepAlive !== true) timer.unref();
    };
    arm(delayMs);
    return () => clearTimeout(timer);
  },
  every(periodMs, task) {
    const timer = setInterval(task, periodMs);
    timer.unref();
    return () => clearInterval(timer);
  },
  soon(task) {
    setImmediate(task);
  },
};

/** Which round the event loop of this thread is in; of the real one, beside a virtual clock too. */
export function loopRound(): number {
  return performance.nodeTiming.uvMetricsInfo.loopCount;
}

/** Resolves after `delayMs`, and keeps the process alive meanwhile; rejects with the signal's reason when aborted. */
export function wait(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const abort = (): void => {
      cancel();
      reject(signal?.reason);
    };
    const cancel = clock.after(
      delayMs,
      () => {
        signal?.removeEventListener('abort', abort);
        resolve();
      },
      { keepAlive: true },
    );
    signal?.addEventListener('abort', abort, { once: true });
  });
}

/** Resolves when `task` has ended, in whatever way, or after `limitMs`; keeps the process alive meanwhile. */
export function within(clock: Clock, limitMs: number, task: Promise<unknown>): Promise<void> {
  return new Promise((resolve) => {
    const cancel = clock.after(limitMs, resolve, { keepAlive: true });
    const end = (): void => {
      cancel();
      resolve();
    };
    task.then(end, end);
  });
}
