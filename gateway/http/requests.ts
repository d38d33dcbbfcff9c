/** HTTP requests as the messages that the dispatch takes. Shape only: what the values may be is the admission's business. */

import type { FastifyRequest } from 'fastify';
import type * as z from 'zod';
import { invalid, type RawMessage } from '../admission.ts';
import { parseDuration } from './duration.ts';
import type { askBody, taskBody, tellBody } from './schemas.ts';

type MessageBody = z.infer<typeof tellBody> | z.infer<typeof askBody> | z.infer<typeof taskBody>;

/** @throws TroupeError `INVALID_MESSAGE` */
export function rawOf(request: FastifyRequest, body: MessageBody): RawMessage {
  const idempotencyKey = keyOf(request);
  return {
    to: body.to,
    type: body.type,
    ...(body.payload === undefined ? {} : { payload: body.payload }),
    payloadAtMostBytes: request.bodyBytes,
    ...('delivery' in body ? { delivery: body.delivery } : {}),
    priority: body.priority,
    ...('delay' in body && body.delay !== undefined ? { delayMs: durationOf('delay', body.delay) } : {}),
    ...('timeout' in body && body.timeout !== undefined ? { timeoutMs: durationOf('timeout', body.timeout) } : {}),
    ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
    headers: body.headers,
  };
}

/** The header's draft asks for a quoted string, most clients send a bare one: both name the same key. */
function keyOf(request: FastifyRequest): string | undefined {
  const [key, ...others] = request.raw.headersDistinct['idempotency-key'] ?? [];
  if (others.length > 0) throw invalid('idempotency-key', 'the header may come once');
  return key === undefined ? undefined : (/^"(.*)"$/.exec(key)?.[1] ?? key);
}

/** @throws TroupeError `INVALID_MESSAGE` */
export function durationOf(field: string, text: string): number {
  const durationMs = parseDuration(text);
  if (durationMs === undefined) throw invalid(field, 'write a number with its unit, such as 250ms, 1.5s or 2m');
  return durationMs;
}
