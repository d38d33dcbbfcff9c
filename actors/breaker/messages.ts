import { z } from 'zod';

/** Codes that speak against the upstream itself; other failures are the caller's and leave the circuit alone. */
export const countedCodes = ['UNAVAILABLE', 'DEADLINE_EXCEEDED', 'RESOURCE_EXHAUSTED', 'INTERNAL', 'UNKNOWN'] as const;

const figures = z.object({
  name: z.string(),
  state: z.enum(['closed', 'open', 'half-open']),
  /** Permits given. */
  totalCalls: z.int(),
  totalSuccesses: z.int(),
  totalFailures: z.int(),
  /** Calls that were refused a permit. */
  totalRejected: z.int(),
  failureCount: z.int(),
  successCount: z.int(),
  stateChanges: z.int(),
  lastFailureTime: z.iso.datetime().nullable(),
  /** Milliseconds until an open circuit lets a trial call through; 0 in other states. */
  retryAfterMs: z.int(),
});

export type BreakerFigures = z.infer<typeof figures>;

export const breakerMessages = {
  /** Asks to make one call. Refused with `UNAVAILABLE` and the time left while the circuit is open. */
  acquire: { payload: z.strictObject({}), reply: z.object({ permit: z.string() }) },
  /** Tells how the call went; `failed` without a code counts as `UNKNOWN`. */
  report: {
    payload: z.strictObject({
      permit: z.string().min(1).max(128),
      outcome: z.enum(['ok', 'failed', 'ignored']),
      code: z.string().min(1).max(64).optional(),
    }),
    reply: z.object({ state: figures.shape.state }),
  },
  status: { payload: z.strictObject({}), reply: figures },
};

export const breakerInput = z.strictObject({
  /** The upstream that this breaker guards, as errors name it. */
  name: z.string().min(1).max(64),
  /** Counted failures that open a closed circuit; default 3. */
  failureThreshold: z.int().min(1).optional(),
  /** Successful trial calls that close a half-open circuit; default 2. */
  successThreshold: z.int().min(1).optional(),
  /** How long an open circuit refuses, in milliseconds; default 30,000. */
  resetMs: z.int().min(1).optional(),
  /** Trial calls in flight at most while half-open; default 3. */
  halfOpenCalls: z.int().min(1).optional(),
  /** After this time a trial call that nobody reported gives its slot back, in milliseconds; default 120,000. */
  permitMs: z.int().min(1).optional(),
});

export type BreakerInput = z.infer<typeof breakerInput>;
