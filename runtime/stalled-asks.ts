import type { Address } from './address.ts';
import type { Asks } from './asks.ts';
import type { Cancel, Clock } from './clock.ts';
import type { EngineTrouble } from './engines/watched-engine.ts';

export interface StalledAsksOptions {
  readonly asks: Asks;
  readonly clock: Clock;
  readonly trouble: () => EngineTrouble | undefined;
  /** Whether the answers of an address wait for a commit that the engine does not take. */
  readonly stalled: (address: Address) => boolean;
}

const lookMs = 1_000;
/** How long an engine may be in trouble before those who wait for it are told. */
const patienceMs = 3_000;

/**
 * Ends the asks whose turn was begun and cannot be committed: whoever waits hears of the engine's trouble, and not of a
 * deadline. What such an ask did may still be committed. Durable asks wait on, for their redelivery.
 */
export function endStalledAsks({ asks, clock, trouble, stalled }: StalledAsksOptions): Cancel {
  return clock.every(lookMs, () => {
    const found = asks.openCount === 0 ? undefined : trouble();
    if (found === undefined || found.forMs < patienceMs) return;
    asks.refuseWhere(({ to, durable }) => !durable && stalled(to), {
      reason: 'UNAVAILABLE',
      message: found.what,
      outcome: 'unknown',
      retryAfterMs: 1_000,
    });
  });
}
