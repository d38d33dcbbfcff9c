import type { Address } from '../address.ts';
import type { ErrorData, ErrorReason } from '../errors.ts';
import type { DeadLetter, DeadLetterReason } from '../mailbox/dead-letters.ts';
import type { Mail } from '../mailbox/mail.ts';
import type { ReportedExit } from './surroundings.ts';

const letterReasons: Partial<Record<ErrorReason, DeadLetterReason>> = {
  UNKNOWN_TYPE: 'UNKNOWN_TYPE',
  DEADLINE_EXCEEDED: 'EXPIRED',
};

/** The dead letter of a message that never reached the logic, or expired when it had been set aside. */
export function letterOfRejected(mail: Mail, rejected: ErrorData, nowMs: number): DeadLetter {
  return {
    envelope: mail.envelope,
    reason: letterReasons[rejected.reason] ?? 'INVALID_MESSAGE',
    errors: [...mail.errors, { atMs: nowMs, message: rejected.message }],
    atMs: nowMs,
  };
}

/** What those hear who wait for an answer of a life that has ended. */
export function errorOfEnd(address: Address, exit: ReportedExit | undefined): ErrorData {
  if (exit?.cause === 'lease-lost')
    return { reason: 'UNAVAILABLE', message: 'the storage engine was lost', outcome: 'unknown', retryAfterMs: 1_000 };
  const message = exit?.error?.message ?? `${address} stopped before it answered`;
  return { reason: 'ACTOR_FAILED', message, outcome: 'unknown' };
}
