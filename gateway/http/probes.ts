import * as z from 'zod';
import type { Readiness } from '../admin/sources.ts';
import type { HttpApp } from './app.ts';
import { readinessSchema } from './schemas.ts';

/** `/livez` asks nobody; `/readyz` lists each check, and answers 503 when one failed or the edge drains. */
export function addProbes(app: HttpApp, readiness: () => Promise<Readiness>, draining: () => boolean): void {
  app.get(
    '/livez',
    { schema: { summary: 'The process runs', response: { 200: z.object({ live: z.boolean() }) } } },
    async () => ({ live: true }),
  );
  app.get(
    '/readyz',
    { schema: { summary: 'It takes messages', response: { 200: readinessSchema, 503: readinessSchema } } },
    async (_request, reply) => {
      const found = await readiness();
      const drain = { name: 'drain', ok: !draining(), ...(draining() ? { detail: 'the node is shutting down' } : {}) };
      const ready = found.ready && drain.ok;
      return reply.code(ready ? 200 : 503).send({ ready, checks: [...found.checks, drain] });
    },
  );
}
