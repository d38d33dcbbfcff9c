import type { Cancel, Clock } from '../clock.ts';

export interface Watchdog {
  /** The loop answered the ping sent at `sentMs`. */
  pong(sentMs: number): void;
  /** How late the last answer was; while one is missing, how long it has been missing. */
  lagMs(): number;
  /** The worst of the last half to full minute. */
  worstLagMs(): number;
  stop: Cancel;
}

const worstPeriodMs = 30_000;

/**
 * Pings an event loop and calls `onStuck` once when it answers none for `limitMs`. It counts its own ticks, not the
 * clock: while the watching thread itself was blocked or suspended no ticks passed, and nobody is blamed for that.
 */
export function startWatchdog(options: {
  readonly clock: Clock;
  readonly limitMs: number;
  readonly ping: (sentMs: number) => void;
  readonly onStuck: () => void;
}): Watchdog {
  const { clock, limitMs } = options;
  const periodMs = Math.min(1_000, limitMs / 4);
  let missing: { readonly sentMs: number; ticks: number } | undefined;
  let lastLagMs = 0;
  const worst = { sinceMs: clock.monotonic(), lagMs: 0, beforeMs: 0 };

  const lagMs = (): number =>
    missing === undefined ? lastLagMs : Math.max(lastLagMs, clock.monotonic() - missing.sentMs);
  const tick = (): void => {
    if (missing === undefined) {
      missing = { sentMs: clock.monotonic(), ticks: 0 };
      options.ping(missing.sentMs);
      return;
    }
    missing.ticks += 1;
    if (missing.ticks * periodMs < limitMs) return;
    stop();
    options.onStuck();
  };
  const stop = clock.every(periodMs, tick);
  tick();

  return {
    pong(sentMs) {
      if (missing?.sentMs !== sentMs) return;
      const nowMs = clock.monotonic();
      lastLagMs = nowMs - sentMs;
      missing = undefined;
      if (nowMs - worst.sinceMs >= worstPeriodMs)
        Object.assign(worst, { sinceMs: nowMs, lagMs: lastLagMs, beforeMs: worst.lagMs });
      else worst.lagMs = Math.max(worst.lagMs, lastLagMs);
    },
    lagMs,
    worstLagMs: () => Math.max(worst.lagMs, worst.beforeMs, lagMs()),
    stop,
  };
}
