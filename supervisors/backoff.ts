/**
 * How long a child waits before it is started again: full jitter (a uniform draw from zero to a ceiling), where the
 * ceiling doubles with each restart in a row. See "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
 */

import { defaults } from '../runtime/limits.ts';

/** The ceiling for restarts that a message caused: no sender may hold an actor down for longer. */
const unchargedCeilingMs = 1_000;

/**
 * The delay before restart number `inARow` (from 0) of a child, in milliseconds.
 *
 * @param draw uniform in [0, 1)
 */
export function restartDelayMs(inARow: number, charged: boolean, draw: number): number {
  const ceilingMs = Math.min(
    defaults.backoffFirstMs * 2 ** Math.min(inARow, 30),
    charged ? defaults.backoffMaxMs : unchargedCeilingMs,
  );
  return Math.floor(draw * ceilingMs);
}

/** Restarts in a row after a life of `livedMs`: a life as long as the quiet window starts the count anew. */
export function restartsInARow(before: number, livedMs: number, quietMs: number): number {
  return livedMs >= quietMs ? 0 : before;
}
