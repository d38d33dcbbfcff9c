import { type Address, parentOf } from '../runtime/address.ts';
import type { Clock } from '../runtime/clock.ts';

/**
 * Until when what is being stopped has time. A bound holds for all that stands below its address, so that a subtree
 * ends when its own time is over, however many of its children take all of theirs.
 */
export interface Deadlines {
  /** What is left, in milliseconds, to something with `ownMs` of its own. */
  leftMs(address: Address | '/', ownMs: number): number;
  /** Carries out the stop of a subtree that has `ownMs`. */
  during(address: Address | '/', ownMs: number, stop: () => Promise<void>): Promise<void>;
}

export function createDeadlines(clock: Clock): Deadlines {
  /** Orders may overlap; the tightest holds. */
  const bounds = new Map<string, Set<{ readonly untilMs: number }>>();

  function leftMs(address: Address | '/', ownMs: number): number {
    let untilMs = clock.monotonic() + ownMs;
    for (
      let at: string | undefined = address;
      at !== undefined;
      at = at === '/' ? undefined : (parentOf(at as Address) ?? '/')
    )
      for (const bound of bounds.get(at) ?? []) untilMs = Math.min(untilMs, bound.untilMs);
    return Math.max(0, untilMs - clock.monotonic());
  }

  return {
    leftMs,
    async during(address, ownMs, stop) {
      const bound = { untilMs: clock.monotonic() + leftMs(address, ownMs) };
      const own = bounds.get(address) ?? new Set();
      bounds.set(address, own.add(bound));
      try {
        await stop();
      } finally {
        own.delete(bound);
        if (own.size === 0 && bounds.get(address) === own) bounds.delete(address);
      }
    },
  };
}

/** Waits for `task` at most `limitMs`; answers whether it ended in time. Rejects as the task does. */
export async function inTime(clock: Clock, limitMs: number, task: Promise<unknown>): Promise<boolean> {
  if (!Number.isFinite(limitMs)) return task.then(() => true);
  const { promise: late, resolve } = Promise.withResolvers<boolean>();
  const cancel = clock.after(limitMs, () => resolve(false), { keepAlive: true });
  try {
    return await Promise.race([task.then(() => true), late]);
  } finally {
    cancel();
  }
}
