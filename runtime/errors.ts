/**
 * The one table of errors: reason, meaning, statuses of both edges, retry class and what to do next. The proto
 * comments, the README and both edges are compared with it by a test. A reason is never reused for another meaning.
 * Across threads an error is recognised by its `reason`, never by `instanceof`.
 */

import { limits } from './limits.ts';

/** `never`: the same call fails again. `later`: after the delay. `check-first`: it may have happened. */
export type RetryClass = 'never' | 'later' | 'check-first';

export interface ErrorEntry {
  readonly meaning: string;
  /** Name of the gRPC status code. */
  readonly grpc: string;
  readonly http: number;
  readonly retry: RetryClass;
  readonly advice: string;
}

export const errorTable = {
  NOT_FOUND: {
    meaning: 'No actor has this address.',
    grpc: 'NOT_FOUND',
    http: 404,
    retry: 'never',
    advice: 'List the addresses with: troupe tree',
  },
  INVALID_ADDRESS: {
    meaning: 'The address is malformed or not messageable.',
    grpc: 'INVALID_ARGUMENT',
    http: 400,
    retry: 'never',
    advice: 'Write an address such as /agents/claude; /system is read-only.',
  },
  UNKNOWN_TYPE: {
    meaning: 'The actor has no message of this type.',
    grpc: 'UNIMPLEMENTED',
    http: 404,
    retry: 'never',
    advice: 'Send one of the types that the error names.',
  },
  INVALID_MESSAGE: {
    meaning: 'The request or its payload does not fit the schema.',
    grpc: 'INVALID_ARGUMENT',
    http: 400,
    retry: 'never',
    advice: 'Correct the fields that the error names.',
  },
  PAYLOAD_TOO_LARGE: {
    meaning: 'The payload is larger than 1 MiB.',
    grpc: 'RESOURCE_EXHAUSTED',
    http: 413,
    retry: 'never',
    advice: 'Store the data elsewhere and send a reference to it.',
  },
  UNAUTHENTICATED: {
    meaning: 'The caller did not show a valid token.',
    grpc: 'UNAUTHENTICATED',
    http: 401,
    retry: 'never',
    advice: 'Send the header "authorization: Bearer TOKEN".',
  },
  PERMISSION_DENIED: {
    meaning: 'The caller, or the configuration, does not allow this.',
    grpc: 'PERMISSION_DENIED',
    http: 403,
    retry: 'never',
    advice: 'The message names the setting that would allow it.',
  },
  MAILBOX_FULL: {
    meaning: 'The mailbox, or what its shard may keep, is full.',
    grpc: 'RESOURCE_EXHAUSTED',
    http: 429,
    retry: 'later',
    advice: 'Send again after the delay that the error carries.',
  },
  UNAVAILABLE: {
    meaning: 'The actor, its upstream or the engine cannot be reached now.',
    grpc: 'UNAVAILABLE',
    http: 503,
    retry: 'later',
    advice: 'Send again after the delay that the error carries.',
  },
  DRAINING: {
    meaning: 'The node is shutting down.',
    grpc: 'UNAVAILABLE',
    http: 503,
    retry: 'later',
    advice: 'Send again, to another node or when it is back.',
  },
  PARKED: {
    meaning: 'The actor is parked; its mail is kept.',
    grpc: 'FAILED_PRECONDITION',
    http: 409,
    retry: 'never',
    advice: 'The admin endpoint shows why it is parked.',
  },
  ACTOR_FAILED: {
    meaning: 'The actor failed while the message was in hand.',
    grpc: 'INTERNAL',
    http: 500,
    retry: 'check-first',
    advice: 'It may have had effects: look at the actor (troupe actor ADDRESS) before you repeat it.',
  },
  DEADLINE_EXCEEDED: {
    meaning: 'No answer came before the deadline.',
    grpc: 'DEADLINE_EXCEEDED',
    http: 504,
    retry: 'check-first',
    advice: 'Allow more time. With outcome unknown it may have happened: look before you repeat it.',
  },
  CANCELLED: {
    meaning: 'The caller cancelled.',
    grpc: 'CANCELLED',
    http: 499,
    retry: 'check-first',
    advice: 'Nothing, if you meant to.',
  },
} as const satisfies Record<string, ErrorEntry>;

export type ErrorReason = keyof typeof errorTable;

/** Whether the message may have had an effect: after `unknown` only an idempotency key or a task tells. */
export type Outcome = 'not_started' | 'unknown';

/** An error as data: what crosses threads, queues and wires. */
export interface ErrorData {
  readonly reason: ErrorReason;
  readonly message: string;
  readonly outcome: Outcome;
  /** When to try again, in milliseconds. */
  readonly retryAfterMs?: number;
  /** Faults of single fields: a dotted path and what is wrong there. */
  readonly fields?: readonly { readonly path: string; readonly message: string }[];
}

export interface TroupeErrorOptions {
  readonly outcome?: Outcome;
  readonly retryAfterMs?: number;
  readonly fields?: ErrorData['fields'];
  readonly cause?: unknown;
}

/** The only error that the public interface throws; `reason` is stable, the text is not. */
export class TroupeError extends Error {
  override readonly name = 'TroupeError';
  readonly reason: ErrorReason;
  readonly outcome: Outcome;
  readonly retryAfterMs: number | undefined;
  readonly fields: ErrorData['fields'] | undefined;

  constructor(reason: ErrorReason, message: string, options: TroupeErrorOptions = {}) {
    super(
      message.slice(0, limits.errorTextCharacters),
      options.cause === undefined ? undefined : { cause: options.cause },
    );
    this.reason = reason;
    this.outcome = options.outcome ?? 'not_started';
    this.retryAfterMs = options.retryAfterMs;
    this.fields = options.fields;
  }

  toData(): ErrorData {
    return {
      reason: this.reason,
      message: this.message,
      outcome: this.outcome,
      ...(this.retryAfterMs === undefined ? {} : { retryAfterMs: this.retryAfterMs }),
      ...(this.fields === undefined ? {} : { fields: this.fields }),
    };
  }

  static from(data: ErrorData): TroupeError {
    return new TroupeError(data.reason, data.message, data);
  }
}

/** Reads any thrown value as error data; what is not ours becomes `fallback`, with its text bounded. */
export function toErrorData(
  thrown: unknown,
  fallback: ErrorReason = 'ACTOR_FAILED',
  outcome: Outcome = 'unknown',
): ErrorData {
  if (thrown instanceof TroupeError) return thrown.toData();
  if (isErrorData(thrown)) return thrown;
  return { reason: fallback, message: textOf(thrown).slice(0, limits.errorTextCharacters), outcome };
}

/** The text of any thrown value. */
export function textOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

function isErrorData(value: unknown): value is ErrorData {
  return (
    typeof value === 'object' &&
    value !== null &&
    typeof (value as ErrorData).reason === 'string' &&
    (value as ErrorData).reason in errorTable &&
    typeof (value as ErrorData).message === 'string'
  );
}

/** What is said to everybody whom a node that ends can serve no more, and to whom nothing was done. */
export const shuttingDown: ErrorData = {
  reason: 'DRAINING',
  message: 'this node is shutting down',
  outcome: 'not_started',
  retryAfterMs: 1_000,
};
