/**
 * A former owner whose calls reach the engine after its successor has worked: a whole node in this process, on real
 * engines, whose calls a test holds back. The writes arrive before the node can notice that it was replaced.
 */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type Engine, openEngine } from '../../runtime/engines/index.ts';
import { decodeActorRecord } from '../../runtime/mailbox/actor-record.ts';
import { shardNames } from '../../runtime/mailbox/shards.ts';
import { type LapsingEngine, lapsingPostgres, lapsingRedis } from '../support/lapsing.ts';
import { redisMissing } from '../support/redis.ts';
import { eventually, shards, startWorld, type World } from '../support/world.ts';

const couriers = Array.from({ length: 8 }, (_, index) => `/couriers/c${index}`);
/** Numbers that each courier notes: before the hold, during it by the former owner, and by the successor. */
const [early, late, later] = [range(0, 5), range(5, 30), range(30, 40)];

for (const [name, make, skip] of [
  ['Redis', lapsingRedis, redisMissing()],
  ['PostgreSQL', lapsingPostgres, false],
] as const)
  test(`${name}: commits of a former owner that arrive late are refused, and it takes nothing`, { skip }, async (t) => {
    const server = await make(t);
    const stored = await opened(t, server);
    const gate = gated(await opened(t, server));
    const former = await startWorld(t, { app: 'courier', meddle: () => gate.engine });
    await note(former, early);
    await eventually(() => noted(stored), each([...early]));

    gate.hold('commit');
    await note(former, late);
    await eventually(
      async () => gate.held('commit'),
      (count) => count > 0,
    );
    gate.hold('transport', 'leases', 'nodes');
    await server.lapse('late');
    const successor = await startWorld(t, { app: 'courier', meddle: () => gated(stored).engine });
    await note(successor, later);
    await eventually(() => noted(stored), each([...early, ...late, ...later]));
    // What is stored is acknowledged a moment later.
    const before = await eventually(
      () => state(stored),
      (all) => all.every(({ jobs }) => jobs.flat().length === 0),
    );

    gate.release('commit', 'transport');
    await eventually(
      async () => gate.answers.length,
      (count) => count > 0,
    );
    assert.deepEqual(new Set(gate.answers), new Set(['refused']));
    assert.deepEqual(await state(stored), before);
    gate.release('leases', 'nodes');
    await eventually(
      async () => gate.answers.at(-1) as string,
      (last) => last === 'the namespace is taken',
    );
    // A shard without mail learns it at its next renewal.
    await eventually(
      async () => former.runtime.inspection.shards().filter((shard) => shard.held).length,
      (count) => count === 0,
    );
    assert.deepEqual(await state(stored), before);
    await note(successor, [41]);
    await eventually(() => noted(stored), each([...early, ...late, ...later, 41]));
  });

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, index) => from + index);
}

async function opened(t: TestContext, { url }: LapsingEngine): Promise<Engine> {
  const { engine, stop } = await openEngine(url, { namespace: 'late', shards, dataDir: '' });
  t.after(stop);
  return engine;
}

async function note(world: World, numbers: readonly number[]): Promise<void> {
  const tells = couriers.flatMap((to) =>
    numbers.map((n) => world.messaging.tell({ to, type: 'note', payload: { n }, delivery: 'at-least-once' })),
  );
  await Promise.all(tells);
}

const each =
  (wanted: readonly number[]) =>
  (found: readonly (readonly number[])[]): boolean =>
    found.length === couriers.length && found.every((notes) => notes.join() === wanted.join());

/** What the couriers have noted, as it is stored. */
async function noted({ store }: Engine): Promise<number[][]> {
  const rows = await Promise.all(shardNames(shards).map((shard) => store.page(shard, 'actor', '', 1_000)));
  return rows.flat().map(({ value }) => {
    const { context } = JSON.parse(decodeActorRecord(value).snapshot) as { context: { notes: number[] } };
    return context.notes;
  });
}

/** Everything that a rogue write or acknowledgement would change. */
async function state({ store, transport }: Engine) {
  return Promise.all(
    shardNames(shards).map(async (shard) => ({
      fence: await store.fence(shard),
      actors: await store.page(shard, 'actor', '', 1_000),
      marks: await store.page(shard, 'in', '', 1_000),
      letters: await store.page(shard, 'dead', '', 1_000),
      jobs: [await transport.active(shard), await transport.waiting(shard)],
    })),
  );
}

type Part = 'commit' | 'transport' | 'leases' | 'nodes';

/** An open engine whose calls wait while a test holds their part; the answers of its commits are noted once it was held. */
function gated(engine: Engine) {
  const barred = new Map<Part, { readonly opened: Promise<void>; readonly open: () => void; held: number }>();
  const answers: string[] = [];
  let watched = false;
  const through = <T extends object>(part: T, partOf: (name: string) => Part | undefined): T =>
    new Proxy(part, {
      get: (target, name) => {
        const method = Reflect.get(target, name) as (...given: unknown[]) => Promise<unknown>;
        return async (...given: unknown[]) => {
          const of = partOf(String(name));
          const bar = of === undefined ? undefined : barred.get(of);
          // One that was under way when the test held the rest is no late one.
          const isLate = watched;
          if (bar !== undefined) {
            bar.held += 1;
            await bar.opened;
          }
          const answer = await Reflect.apply(method, target, given);
          if (of === 'commit' && isLate) answers.push(answer as string);
          if (name === 'join' && 'heldBy' in (answer as object)) answers.push('the namespace is taken');
          return answer;
        };
      },
    });
  return {
    engine: {
      ...engine,
      open: async () => ({ name: 'memory', description: '', durability: '', warnings: [] }),
      transport: through(engine.transport, () => 'transport'),
      store: through(engine.store, (name) => (name === 'commit' ? 'commit' : undefined)),
      leases: through(engine.leases, () => 'leases'),
      nodes: through(engine.nodes, () => 'nodes'),
    } satisfies Engine,
    answers,
    held: (part: Part): number => barred.get(part)?.held ?? 0,
    hold(...parts: Part[]): void {
      watched = true;
      for (const part of parts) {
        const { promise, resolve } = Promise.withResolvers<void>();
        barred.set(part, { opened: promise, open: resolve, held: 0 });
      }
    },
    release(...parts: Part[]): void {
      for (const part of parts) {
        barred.get(part)?.open();
        barred.delete(part);
      }
    },
  };
}
