import { systemClock } from '../../runtime/clock.ts';

/** Milliseconds on a time line that all threads of the process share, unlike `Clock.monotonic`. */
export const instantMs = (): number => performance.timeOrigin + systemClock.monotonic();
