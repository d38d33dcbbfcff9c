/** The public HTTP edge: ask, tell and stream, the probes, and the OpenAPI document. */

import type { FastifyReply, FastifyRequest } from 'fastify';
import * as z from 'zod';
import { listenOf } from '../access.ts';
import type { Readiness } from '../admin/sources.ts';
import { invalid, type RawMessage } from '../admission.ts';
import type { Dispatch } from '../dispatch.ts';
import type { Edge } from '../edge.ts';
import { createHttpApp, type HttpAppOptions, openEdge } from './app.ts';
import { parseDuration } from './duration.ts';
import { addProbes } from './probes.ts';
import { anyProblem, askAnswer, askBody, tellAnswer, tellBody } from './schemas.ts';
import { streamAnswer } from './stream.ts';

export interface HttpServerOptions extends HttpAppOptions {
  readonly dispatch: Dispatch;
  readonly readiness: () => Promise<Readiness>;
}

/**
 * Starts the public HTTP edge.
 *
 * @throws TroupeError `PERMISSION_DENIED` off loopback without a token, `UNAVAILABLE` when the port is taken
 */
export async function startHttpServer(options: HttpServerOptions): Promise<Edge> {
  listenOf(options);
  let draining = false;
  const app = await createHttpApp(options, {
    title: 'Troupe',
    description: 'Messages to actors, by address. Failures are RFC 9457 problems with a stable reason.',
    openApiPath: '/openapi.json',
  });
  const sender = options.dispatch.connect('http');

  app.post(
    '/v1/tell',
    {
      schema: {
        summary: 'Send a message that nobody answers',
        body: tellBody,
        response: { 202: tellAnswer, default: anyProblem },
      },
    },
    async (request, reply) => reply.code(202).send(await sender.tell(rawOf(request, request.body))),
  );
  app.post(
    '/v1/ask',
    {
      schema: {
        summary: 'Send a message and wait for its answer',
        body: askBody,
        response: { 200: askAnswer, default: anyProblem },
      },
    },
    async (request, reply) => {
      const answer = await sender.ask(rawOf(request, request.body), { signal: disconnectOf(reply) });
      return { reply: answer ?? null };
    },
  );
  app.post(
    '/v1/stream',
    {
      schema: {
        summary: 'Send a message and follow its answer: server-sent events chunk, then reply or error',
        body: askBody,
        response: {
          200: { description: 'Events', content: { 'text/event-stream': { schema: z.string() } } },
          default: anyProblem,
        },
      },
    },
    async (request, reply) =>
      await streamAnswer(request, reply, (context) => sender.ask(rawOf(request, request.body), context)),
  );
  app.get('/openapi.json', { schema: { hide: true } }, async () => app.swagger());
  addProbes(app, options.readiness, () => draining || options.dispatch.draining);

  return await openEdge(app, options, () => {
    draining = true;
  });
}

function rawOf(request: FastifyRequest, body: z.infer<typeof tellBody> | z.infer<typeof askBody>): RawMessage {
  if (request.headers['idempotency-key'] !== undefined)
    throw invalid('idempotency-key', 'idempotency keys are not supported by this version');
  return {
    to: body.to,
    type: body.type,
    ...(body.payload === undefined ? {} : { payload: body.payload }),
    payloadAtMostBytes: request.bodyBytes,
    delivery: body.delivery,
    priority: body.priority,
    ...('delay' in body && body.delay !== undefined ? { delayMs: durationOf('delay', body.delay) } : {}),
    ...('timeout' in body && body.timeout !== undefined ? { timeoutMs: durationOf('timeout', body.timeout) } : {}),
    headers: body.headers,
  };
}

function durationOf(field: string, text: string): number {
  const durationMs = parseDuration(text);
  if (durationMs === undefined) throw invalid(field, 'write a number with its unit, such as 250ms, 1.5s or 2m');
  return durationMs;
}

/** Aborts when the client goes away before it has its answer. */
export function disconnectOf(reply: FastifyReply): AbortSignal {
  const controller = new AbortController();
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) controller.abort();
  });
  return controller.signal;
}
