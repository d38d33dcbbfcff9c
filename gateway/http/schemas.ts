/** The bodies of the public HTTP edge. Shape only: what the values may be is the admission's business. */

import * as z from 'zod';
import { lanes } from '../../runtime/envelope.ts';
import { limits } from '../../runtime/limits.ts';
import { problemContentType, problemSchema } from './problem.ts';

const json = z.unknown().meta({ description: 'Any JSON value' });

const timeoutField = (description: string) => z.string().optional().meta({ description, example: '30s' });

const taskFields = {
  to: z.string().meta({ description: 'Address of the actor', example: '/agents/claude' }),
  type: z.string().meta({ description: 'Type of the message; each kind of actor has its own', example: 'plan' }),
  payload: json.optional().meta({ description: `Any JSON value, at most ${limits.payloadBytes} bytes; default {}` }),
  priority: z.enum(lanes).optional().meta({
    description: 'Among the messages that wait for the actor the more urgent go first; default normal',
  }),
  headers: z
    .record(z.string(), z.string())
    .optional()
    .meta({ description: 'Headers of the message: lower-case names, traceparent among them' }),
};

const messageFields = {
  ...taskFields,
  delivery: z.enum(['at-most-once', 'at-least-once']).optional().meta({
    description: 'How far the message is kept; default at-least-once for a tell to a persistent actor',
  }),
};

export const tellBody = z.strictObject({
  ...messageFields,
  delay: z.string().optional().meta({
    description:
      'Time until it may be handled, with its unit: 250ms, 90s, 2h, at most 365 days. Makes it at-least-once',
    example: '5s',
  }),
});

export const askBody = z.strictObject({
  ...messageFields,
  timeout: timeoutField('How long to wait, with its unit: 250ms, 1.5s, 2m; default 30s'),
});

export const taskBody = z.strictObject({
  ...taskFields,
  timeout: timeoutField('Time within which it has to be started, with its unit, at most 24h; default without limit'),
});

/** The header of tell, ask, stream and tasks. */
export const keyHeader = z.looseObject({
  'idempotency-key': z
    .string()
    .optional()
    .meta({
      description:
        `1 to ${limits.idempotencyKeyCharacters} printable ASCII characters without spaces, bare or in quotation marks. ` +
        'Of the messages under one key to one address within 24 h one is handled; the others of the same type and ' +
        'payload get its answer, and a different one is refused. Makes the message at-least-once',
    }),
});

export const tellAnswer = z.object({ messageId: z.string() });
export const askAnswer = z.object({ reply: json });
export const submitAnswer = z.object({ taskId: z.string() });

export const taskSchema = z.object({
  taskId: z.string(),
  status: z.enum(['waiting', 'done', 'failed']),
  reply: json.optional().meta({ description: 'The answer of a task that is done' }),
  error: problemSchema.optional().meta({ description: 'Why it failed' }),
  endTime: z.string().optional().meta({ description: 'When it ended' }),
  expireTime: z.string().optional().meta({ description: 'Until when its answer is kept' }),
});

export const anyProblem = {
  description: 'A problem, RFC 9457',
  content: { [problemContentType]: { schema: problemSchema } },
};

export const readinessSchema = z.object({
  ready: z.boolean(),
  checks: z.array(z.object({ name: z.string(), ok: z.boolean(), detail: z.string().optional() })),
});
