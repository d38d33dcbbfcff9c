/** The public HTTP edge: ask, tell and stream, tasks, the probes, and the OpenAPI document. */

import * as z from 'zod';
import { systemClock } from '../../runtime/clock.ts';
import { listenOf } from '../access.ts';
import type { Readiness } from '../admin/sources.ts';
import type { Dispatch } from '../dispatch.ts';
import type { Edge } from '../edge.ts';
import { createHttpApp, disconnectOf, type HttpAppOptions, openEdge } from './app.ts';
import { addProbes } from './probes.ts';
import { rawOf } from './requests.ts';
import { anyProblem, askAnswer, askBody, keyHeader, tellAnswer, tellBody } from './schemas.ts';
import { streamAnswer } from './stream.ts';
import { addTaskRoutes } from './task-routes.ts';

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
  const closing = new AbortController();
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
        headers: keyHeader,
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
        headers: keyHeader,
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
        headers: keyHeader,
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
  addTaskRoutes(app, sender, options.clock ?? systemClock, closing.signal);
  app.get('/openapi.json', { schema: { hide: true } }, async () => app.swagger());
  addProbes(app, options.readiness, () => draining || options.dispatch.draining);

  return await openEdge(app, options, () => {
    draining = true;
    closing.abort();
  });
}
