import type { ErrorData } from '../errors.ts';
import { defaults } from '../limits.ts';
import type { Random } from '../random.ts';
import type { Mail } from './mail.ts';

/**
 * Charges a failed attempt to a message. `spent`: it was the last; else its next attempt may begin after `delayMs`, of
 * which the second follows at once.
 */
export function chargeAttempt(
  mail: Mail,
  error: ErrorData,
  nowMs: number,
  random: Random,
): { readonly spent: true } | { readonly spent: false; readonly delayMs: number } {
  const { attempt } = mail.envelope;
  mail.errors.push({ atMs: nowMs, message: error.message });
  if (attempt >= defaults.messageAttempts) return { spent: true };
  mail.envelope = { ...mail.envelope, attempt: attempt + 1 };
  return { spent: false, delayMs: retryDelayMs(attempt, random) };
}

/** The wait after so many failed attempts. */
export function retryDelayMs(attempts: number, random: Random): number {
  if (attempts === 1) return 0;
  const baseMs = Math.min(defaults.retryMaxMs, defaults.retryFirstMs * 2 ** (attempts - 2));
  return baseMs * (1 + random.next());
}
