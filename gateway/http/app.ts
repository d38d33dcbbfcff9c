/**
 * What the public HTTP edge and the admin edge have in common: who may call, what a body may be, that every failure is
 * a problem, the OpenAPI document, the end.
 */

import type { Duplex } from 'node:stream';
import swagger from '@fastify/swagger';
import fastify, { type FastifyError, type FastifyReply, type FastifyRequest } from 'fastify';
import { createJsonSchemaTransformObject, jsonSchemaTransform, type ZodTypeProvider } from 'fastify-type-provider-zod';
import * as z from 'zod';
import { type Clock, systemClock } from '../../runtime/clock.ts';
import { type ErrorData, TroupeError, toErrorData } from '../../runtime/errors.ts';
import { limits } from '../../runtime/limits.ts';
import { type Log, silentLog } from '../../runtime/log.ts';
import { assertHostAndOrigin, type EdgeAddress, formatListen, listenError, listenOf, tokenCheck } from '../access.ts';
import type { Edge } from '../edge.ts';
import { problemContentType, toProblem } from './problem.ts';
import { validatorCompiler } from './validation.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Size of the body as it came, in bytes. */
    bodyBytes: number;
  }
}

export interface HttpAppOptions extends EdgeAddress {
  readonly log?: Log;
  readonly clock?: Clock;
}

export interface HttpAppInfo {
  readonly title: string;
  readonly description: string;
  /** Where the OpenAPI document is. */
  readonly openApiPath: string;
  /** Schemas that the document names; the others stand where they are used. */
  readonly namedSchemas?: z.core.$ZodRegistry<{ id?: string | undefined }>;
}

/** Probes ask for these without a token. */
const openPaths = new Set(['/livez', '/readyz']);

export type HttpApp = Awaited<ReturnType<typeof createHttpApp>>;

export async function createHttpApp(options: HttpAppOptions, info: HttpAppInfo) {
  const log = options.log ?? silentLog;
  const accepts = tokenCheck(options.token);
  const routes: { readonly method: string; readonly pattern: RegExp }[] = [];
  const app = fastify({
    bodyLimit: limits.transportBytes,
    // From the first byte of a request to its last; a client that dribbles is let go.
    requestTimeout: 60_000,
    // A percent-encoded address: three characters for each byte.
    routerOptions: { maxParamLength: 3 * limits.addressBytes },
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    // Faults that are found before there is a route, or even a request.
    frameworkErrors: (error, request, reply) => sendProblem(request, reply, ...errorOf(error)),
    clientErrorHandler: (_error, socket) => endWithProblem(socket),
  }).withTypeProvider<ZodTypeProvider>();

  app.decorateRequest('bodyBytes', 0);
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(() => (data) => JSON.stringify(data));
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    const bytes = body as Buffer;
    request.bodyBytes = bytes.byteLength;
    try {
      done(null, JSON.parse(bytes.toString('utf8')));
    } catch (error) {
      done(new TroupeError('INVALID_MESSAGE', `the body is no valid JSON: ${(error as Error).message.slice(0, 120)}`));
    }
  });
  app.addHook('onRoute', ({ method, url }) => {
    const pattern = new RegExp(`^${url.replace(/:[a-z]+/gi, '[^/]+').replace('*', '.*')}$`);
    for (const each of [method].flat()) routes.push({ method: each, pattern });
  });
  app.addHook('onRequest', async (request) => {
    assertHostAndOrigin(options, request.headers.host, request.headers.origin);
    if (!openPaths.has(pathOf(request)) && !accepts(request.headers.authorization))
      throw new TroupeError('UNAUTHENTICATED', 'a token is needed: send the header "authorization: Bearer TOKEN"');
  });
  app.setErrorHandler((error: FastifyError | TroupeError, request, reply) => {
    if (!(error instanceof TroupeError) && (error.statusCode ?? 500) >= 500)
      log.error({ err: error, path: pathOf(request) }, 'an HTTP request failed in an unexpected way');
    sendProblem(request, reply, ...errorOf(error));
  });
  app.setNotFoundHandler((request, reply) => {
    const path = pathOf(request);
    const allowed = [...new Set(routes.filter(({ pattern }) => pattern.test(path)).map(({ method }) => method))];
    if (allowed.length === 0) {
      const text = `nothing is here; ${info.openApiPath} lists what there is`;
      sendProblem(request, reply, { reason: 'INVALID_MESSAGE', message: text, outcome: 'not_started' }, 404);
    } else {
      reply.header('allow', allowed.join(', '));
      const text = `${request.method} is not allowed here; use ${allowed.join(' or ')}`;
      sendProblem(request, reply, { reason: 'INVALID_MESSAGE', message: text, outcome: 'not_started' }, 405);
    }
  });
  const schemaRegistry = info.namedSchemas ?? z.registry<{ id?: string | undefined }>();
  await app.register(swagger, {
    openapi: { openapi: '3.1.0', info: { title: info.title, description: info.description, version: '1' } },
    transform: jsonSchemaTransform,
    transformObject: createJsonSchemaTransformObject({ schemaRegistry }),
  });
  return app;
}

/** What the table says about an error that reached the edge, and the status where the transport knows better. */
function errorOf(error: FastifyError | TroupeError): [ErrorData, number?] {
  if (error instanceof TroupeError) return [error.toData()];
  const outcome = 'not_started';
  switch (error.code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return [
        { reason: 'PAYLOAD_TOO_LARGE', message: `the body is larger than ${limits.transportBytes} bytes`, outcome },
      ];
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return [{ reason: 'INVALID_MESSAGE', message: 'only content-type: application/json is read', outcome }, 415];
  }
  const status = error.statusCode ?? 500;
  if (status >= 400 && status < 500) return [{ reason: 'INVALID_MESSAGE', message: error.message, outcome }, status];
  return [toErrorData(error)];
}

export function sendProblem(request: FastifyRequest, reply: FastifyReply, error: ErrorData, status?: number): void {
  const problem = toProblem(error, pathOf(request), status);
  if (error.retryAfterMs !== undefined) reply.header('retry-after', String(Math.ceil(error.retryAfterMs / 1_000)));
  if (problem.status === 401) reply.header('www-authenticate', 'Bearer');
  reply.code(problem.status).type(problemContentType).send(JSON.stringify(problem));
}

/** Answers what is not even HTTP. */
function endWithProblem(socket: Duplex): void {
  if (!socket.writable) return;
  const error: ErrorData = { reason: 'INVALID_MESSAGE', message: 'this is no valid HTTP', outcome: 'not_started' };
  const body = JSON.stringify(toProblem(error));
  const head = [
    'HTTP/1.1 400 Bad Request',
    `content-type: ${problemContentType}`,
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}

function pathOf(request: FastifyRequest): string {
  return request.url.split('?', 1)[0] as string;
}

/** Listens. @throws TroupeError `UNAVAILABLE` when the port is taken */
export async function openEdge(app: HttpApp, options: HttpAppOptions, drain: () => void): Promise<Edge> {
  const { host, port } = listenOf(options);
  const clock = options.clock ?? systemClock;
  try {
    await app.listen({ host, port });
  } catch (error) {
    await app.close();
    throw listenError(options, error);
  }
  const bound = app.server.address();
  const openPort = typeof bound === 'object' && bound !== null ? bound.port : port;
  return {
    address: formatListen(host, openPort),
    port: openPort,
    drain,
    async stop(graceMs) {
      drain();
      const cancel = clock.after(graceMs, () => app.server.closeAllConnections(), { keepAlive: true });
      await app.close();
      cancel();
    },
  };
}

/** Aborts when the client goes away before it has its answer. */
export function disconnectOf(reply: FastifyReply): AbortSignal {
  const controller = new AbortController();
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) controller.abort();
  });
  return controller.signal;
}
