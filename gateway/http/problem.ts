/** Errors on the HTTP wires: RFC 9457 problems, with the same stable reason as on gRPC; both ways. */

import * as z from 'zod';
import { type ErrorData, type ErrorReason, errorTable, TroupeError } from '../../runtime/errors.ts';

export const problemContentType = 'application/problem+json';

export const problemSchema = z
  .object({
    type: z.string().meta({ description: 'urn:troupe:error: and the reason' }),
    title: z.string().meta({ description: 'What the reason means' }),
    status: z.number().int(),
    detail: z.string().meta({ description: 'What went wrong this time' }),
    reason: z.enum(Object.keys(errorTable) as [ErrorReason, ...ErrorReason[]]),
    outcome: z.enum(['not_started', 'unknown']).meta({ description: 'Whether the message may have had an effect' }),
    advice: z.string().meta({ description: 'What to do next' }),
    retryAfterMs: z.number().optional(),
    fields: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
    instance: z.string().optional().meta({ description: 'The path that was asked for' }),
  })
  .meta({ description: 'RFC 9457 problem details' });

export type Problem = z.infer<typeof problemSchema>;

/** An error as a problem. `status` replaces the table's for faults of the transport, such as 405. */
export function toProblem(error: ErrorData, instance?: string, status?: number): Problem {
  const entry = errorTable[error.reason];
  return {
    type: `urn:troupe:error:${error.reason}`,
    title: entry.meaning,
    status: status ?? entry.http,
    detail: error.message,
    reason: error.reason,
    outcome: error.outcome,
    advice: entry.advice,
    ...(error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs }),
    ...(error.fields === undefined ? {} : { fields: [...error.fields] }),
    ...(instance === undefined ? {} : { instance }),
  };
}

/** Reads a problem that came over the wire. */
export function fromProblem(problem: unknown): TroupeError {
  const read = problemSchema.safeParse(problem);
  if (!read.success)
    return new TroupeError('UNAVAILABLE', 'the answer is no problem of Troupe', { outcome: 'unknown' });
  const { reason, detail, outcome, retryAfterMs, fields } = read.data;
  return new TroupeError(reason, detail, {
    outcome,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    ...(fields === undefined ? {} : { fields }),
  });
}
