/**
 * The one table of exit codes. Scripts branch on them, so a code never changes its meaning; `--help` and the README
 * print this table.
 */

import type { ErrorReason } from '../runtime/errors.ts';

export const exitCodes = {
  ok: 0,
  failed: 1,
  usage: 2,
  notFound: 3,
  unreachable: 4,
  refused: 5,
  superseded: 6,
  notDeterministic: 95,
  healNotVerified: 96,
  notSteady: 97,
  unknown: 98,
  violated: 99,
  deadline: 124,
  interrupted: 130,
} as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

export const exitMeanings: Readonly<Record<keyof typeof exitCodes, string>> = {
  ok: 'done',
  failed: 'it failed; stderr says why',
  usage: 'the command line, the configuration or the message is wrong',
  notFound: 'no actor, file or node has this name',
  unreachable: 'the node or what stands behind it cannot be reached',
  refused: 'not allowed',
  superseded: 'another node has taken the namespace of this one, which was out of touch too long',
  notDeterministic: 'fault run: the same seed gave two executions',
  healNotVerified: 'fault run: a fault may have stayed behind',
  notSteady: 'fault run: the system was not steady, nothing was injected',
  unknown: 'a check could not tell: neither kept nor violated',
  violated: 'a check found a promise broken, or stored state that would break',
  deadline: 'the deadline passed before the answer came',
  interrupted: 'interrupted',
};

const exitOfReason: Readonly<Record<ErrorReason, ExitCode>> = {
  NOT_FOUND: exitCodes.notFound,
  INVALID_ADDRESS: exitCodes.usage,
  UNKNOWN_TYPE: exitCodes.usage,
  INVALID_MESSAGE: exitCodes.usage,
  PAYLOAD_TOO_LARGE: exitCodes.usage,
  UNAUTHENTICATED: exitCodes.refused,
  PERMISSION_DENIED: exitCodes.refused,
  MAILBOX_FULL: exitCodes.failed,
  UNAVAILABLE: exitCodes.unreachable,
  DRAINING: exitCodes.unreachable,
  PARKED: exitCodes.failed,
  ACTOR_FAILED: exitCodes.failed,
  DEADLINE_EXCEEDED: exitCodes.deadline,
  CANCELLED: exitCodes.interrupted,
};

/** The exit code of a command whose call ended with this reason. */
export function exitCodeOf(reason: ErrorReason): ExitCode {
  return exitOfReason[reason];
}
