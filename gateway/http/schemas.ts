/** The bodies of the public HTTP edge. Shape only: what the values may be is the admission's business. */

import * as z from 'zod';
import { lanes } from '../../runtime/envelope.ts';
import { limits } from '../../runtime/limits.ts';
import { problemContentType, problemSchema } from './problem.ts';

const json = z.unknown().meta({ description: 'Any JSON value' });

const messageFields = {
  to: z.string().meta({ description: 'Address of the actor', example: '/agents/claude' }),
  type: z.string().meta({ description: 'Type of the message; each kind of actor has its own', example: 'plan' }),
  payload: json.optional().meta({ description: `Any JSON value, at most ${limits.payloadBytes} bytes; default {}` }),
  delivery: z.enum(['at-most-once', 'at-least-once']).optional().meta({
    description: 'How far the message is kept; default at-least-once for a tell to a persistent actor',
  }),
  priority: z.enum(lanes).optional().meta({
    description: 'Among the messages that wait for the actor the more urgent go first; default normal',
  }),
  headers: z
    .record(z.string(), z.string())
    .optional()
    .meta({ description: 'Headers of the message: lower-case names, traceparent among them' }),
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
  timeout: z
    .string()
    .optional()
    .meta({ description: 'How long to wait, with its unit: 250ms, 1.5s, 2m; default 30s', example: '30s' }),
});

export const tellAnswer = z.object({ messageId: z.string() });
export const askAnswer = z.object({ reply: json });

export const anyProblem = {
  description: 'A problem, RFC 9457',
  content: { [problemContentType]: { schema: problemSchema } },
};

export const readinessSchema = z.object({
  ready: z.boolean(),
  checks: z.array(z.object({ name: z.string(), ok: z.boolean(), detail: z.string().optional() })),
});
