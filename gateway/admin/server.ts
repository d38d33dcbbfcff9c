/**
 * The admin HTTP edge: reads the running system; its only changes are what is done with dead letters and with parts of
 * the tree, and faults where the node allows them.
 */

import * as z from 'zod';
import { systemClock } from '../../runtime/clock.ts';
import { limits } from '../../runtime/limits.ts';
import { listenOf } from '../access.ts';
import { invalid } from '../admission.ts';
import type { Edge } from '../edge.ts';
import { createHttpApp, type HttpAppOptions, openEdge } from '../http/app.ts';
import { addProbes } from '../http/probes.ts';
import { anyProblem } from '../http/schemas.ts';
import { addDeadLetterRoutes } from './dead-letter-routes.ts';
import { adminMetrics } from './metrics.ts';
import { adminOperations, pageSize } from './operations.ts';
import { actorSchema, listOf, namedSchemas, parkedSchema, shardSchema, threadSchema, treeSchema } from './schemas.ts';
import type { AdminSources } from './sources.ts';
import { addTreeRoutes } from './tree-routes.ts';

export interface AdminServerOptions extends HttpAppOptions {
  readonly sources: AdminSources;
}

const openApiPath = '/admin/v1/openapi.json';
const count = z.string().regex(/^\d{1,6}$/, 'must be a whole number');
const addressParameter = z.object({
  address: z.string().meta({ description: 'Percent-encoded', example: '%2Fagents' }),
});
/** Lists by address: the cursor is the last address of the page before. */
const pageQuery = z.strictObject({ cursor: z.string().optional(), limit: count.optional() });
const wildcard = z.object({ '*': z.string() });

/**
 * Starts the admin edge.
 *
 * @throws TroupeError `PERMISSION_DENIED` off loopback without a token, `UNAVAILABLE` when the port is taken
 */
export async function startAdminServer(options: AdminServerOptions): Promise<Edge> {
  listenOf(options);
  const { sources } = options;
  const clock = options.clock ?? systemClock;
  const operations = adminOperations(sources, options.log);
  const metrics = adminMetrics(sources);
  let draining = false;
  const app = await createHttpApp(options, {
    title: 'Troupe admin',
    description: 'The running system: tree, actors, threads, dead letters. Lists are {items, nextCursor, asOf}.',
    openApiPath,
    namedSchemas,
  });
  const asOf = (): string => new Date(clock.now()).toISOString();

  app.get(
    '/admin/v1/overview',
    { schema: { summary: 'The node at a glance', response: { 200: z.record(z.string(), z.unknown()) } } },
    async () => {
      const { inspection } = sources;
      const { ready } = await sources.readiness();
      const threads = inspection.threads();
      return {
        ready: ready && !draining,
        ...sources.overview(),
        threads: { running: threads.filter(({ status }) => status === 'running').length, slots: threads.length },
        actors: threads.reduce((sum, { actors }) => sum + actors, 0),
        counters: inspection.counters(),
        asOf: asOf(),
      };
    },
  );
  app.get(
    '/admin/v1/tree',
    {
      schema: {
        summary: 'The supervision tree',
        querystring: z.strictObject({ root: z.string().optional(), depth: count.optional() }),
        response: { 200: treeSchema, default: anyProblem },
      },
    },
    async ({ query }) => await operations.tree(query.root, query.depth === undefined ? undefined : Number(query.depth)),
  );

  const supervisor = async (address: string) => {
    const found = await operations.tree(withSlash(address), 1);
    if (found.role !== 'supervisor' && found.role !== 'system')
      throw invalid('path', `${found.address} is no supervisor; it is shown in /admin/v1/tree and /admin/v1/actors`);
    return found;
  };
  app.get(
    '/admin/v1/supervisors/:address',
    {
      schema: {
        summary: 'One supervisor and its children',
        params: addressParameter,
        response: { 200: treeSchema, default: anyProblem },
      },
    },
    async ({ params }) => await supervisor(params.address),
  );
  // The same with the slashes as they are, for people with curl.
  app.get('/admin/v1/supervisors/*', { schema: { hide: true, params: wildcard } }, async ({ params }) => {
    return await supervisor(params['*']);
  });

  app.get(
    '/admin/v1/actors',
    {
      schema: {
        summary: 'The actors that are awake, by address',
        querystring: pageQuery,
        response: { 200: listOf(actorSchema), default: anyProblem },
      },
    },
    async ({ query }) => ({ ...pageOf(await sources.inspection.actors(), query), asOf: asOf() }),
  );
  app.get(
    '/admin/v1/actors/:address',
    {
      schema: {
        summary: 'One actor: state, context without secrets, incarnation, restarts, mailbox',
        params: addressParameter,
        response: { 200: actorSchema, default: anyProblem },
      },
    },
    async ({ params }) => await operations.actor(withSlash(params.address)),
  );
  app.get('/admin/v1/actors/*', { schema: { hide: true, params: wildcard } }, async ({ params }) => {
    return await operations.actor(withSlash(params['*']));
  });

  app.get(
    '/admin/v1/threads',
    { schema: { summary: 'The host threads', response: { 200: listOf(threadSchema) } } },
    async () => ({ items: sources.inspection.threads(), nextCursor: null, asOf: asOf() }),
  );
  app.get(
    '/admin/v1/shards',
    { schema: { summary: 'The shards of the engine', response: { 200: listOf(shardSchema) } } },
    async () => ({ items: sources.inspection.shards(), nextCursor: null, asOf: asOf() }),
  );
  app.get(
    '/admin/v1/parked',
    {
      schema: {
        summary: 'Addresses whose durable mail is parked in the store, or that are held, and why',
        querystring: pageQuery,
        response: { 200: listOf(parkedSchema), default: anyProblem },
      },
    },
    async ({ query }) => ({ ...pageOf(sources.inspection.parked(), query), asOf: asOf() }),
  );
  const by = options.token === undefined ? 'loopback' : 'token';
  addDeadLetterRoutes(app, { operations, by, asOf });
  addTreeRoutes(app, { subtrees: sources.subtrees, by, log: options.log });
  app.get(
    '/admin/v1/config',
    {
      schema: {
        summary: 'The configuration with its origins; secrets are masked',
        response: { 200: listOf(z.object({ key: z.string(), value: z.unknown(), origin: z.string() })) },
      },
    },
    async () => ({ items: sources.config(), nextCursor: null, asOf: asOf() }),
  );

  const injected = z.object({ injected: z.string() });
  for (const action of ['crash-actor', 'hang-actor'] as const) {
    app.post(
      `/admin/v1/faults/actions/${action}`,
      {
        schema: {
          summary: 'Hits one actor; needs --allow-faults',
          body: z.strictObject({ address: z.string() }),
          response: { 200: injected, default: anyProblem },
        },
      },
      async ({ body }) => {
        await operations.inject({ action, address: body.address });
        return { injected: action };
      },
    );
  }
  app.post(
    '/admin/v1/faults/actions/kill-thread',
    {
      schema: {
        summary: 'Ends one host thread; needs --allow-faults',
        body: z.strictObject({ slot: z.number().int().min(1) }),
        response: { 200: injected, default: anyProblem },
      },
    },
    async ({ body }) => {
      await operations.inject({ action: 'kill-thread', slot: body.slot });
      return { injected: 'kill-thread' };
    },
  );

  app.get('/metrics', { schema: { hide: true } }, async (_request, reply) =>
    reply
      .type(metrics.contentType)
      .serializer(String)
      .send(await metrics.scrape()),
  );
  app.get(openApiPath, { schema: { hide: true } }, async () => app.swagger());
  addProbes(
    app,
    () => sources.readiness(),
    () => draining,
  );

  return await openEdge(app, options, () => {
    draining = true;
  });
}

function pageOf<Item extends { readonly address: string }>(
  found: readonly Item[],
  { cursor, limit }: z.infer<typeof pageQuery>,
): { readonly items: readonly Item[]; readonly nextCursor: string | null } {
  const size = pageSize(numberOf(limit));
  const rest = found
    .filter(({ address }) => cursor === undefined || address > cursor)
    .sort((left, right) => (left.address < right.address ? -1 : 1));
  const items = rest.slice(0, size);
  return { items, nextCursor: rest.length > size ? (items.at(-1)?.address ?? null) : null };
}

function withSlash(address: string): string {
  return address.slice(0, limits.addressBytes + 1).startsWith('/') ? address : `/${address}`;
}

function numberOf(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Number(text);
}
