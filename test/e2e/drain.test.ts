/**
 * The end of a node by signal (G9), on real processes: in the middle of load the first signal drains it, so that a next
 * node, which knows nothing of it, goes on at once; a second one ends it at once, and the next start recovers. Nothing
 * that was acknowledged is lost or applied twice.
 */

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { Redis } from 'ioredis';
import pg from 'pg';
import { type Client, connect } from '../../gateway/client.ts';
import { fromProblem } from '../../gateway/http/problem.ts';
import { exitCodes } from '../../ops/exit-codes.ts';
import { createRedisKeys } from '../../runtime/engines/redis/keys.ts';
import type { TroupeError } from '../../runtime/errors.ts';
import { defaults } from '../../runtime/limits.ts';
import { shardNames } from '../../runtime/mailbox/shards.ts';
import { CommandLine } from '../support/cli.ts';
import { eventually } from '../support/eventually.ts';
import { assertWhole, type Entry, entryId, readLedgers, startNode } from '../support/node-process.ts';
import { startPostgres } from '../support/postgres.ts';
import { redisMissing, startRedis } from '../support/redis.ts';

const slow = { timeout: 60_000 };
const ledgers = 6;
/** Of one tell: longer than its acceptance takes, so that mail waits when the signal comes. */
const workMs = 4;
/** Tells that a sender has under way at once. */
const underWay = 20;
const acknowledgedAtSignal = 400;

const keyOf = (ledger: number): string => `/ledger/k${ledger}`;

/** Sends one message; rejects with what the node says, or when it is gone. */
type Send = (to: string, payload: object) => Promise<unknown>;

const overGrpc = (client: Client): Send => {
  const channel = client.channel();
  return (to, payload) => channel.tell({ to, type: 'append', payload: { ...payload } });
};

async function post(http: string, path: string, to: string, payload: object): Promise<unknown> {
  const response = await fetch(`http://${http}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ to, type: 'append', payload }),
  });
  const body: unknown = await response.json();
  if (!response.ok) throw fromProblem(body);
  return body;
}

/** Senders that go on until the node is gone. */
class Load {
  readonly sent = new Set<string>();
  readonly acknowledged = new Set<string>();
  /** What was said to be refused for good, by the name of its sender. */
  readonly drained = new Map<string, string[]>();
  readonly ended: Promise<unknown>;

  constructor(senders: Readonly<Record<string, Send>>) {
    this.ended = Promise.all(Object.entries(senders).map(([name, send]) => this.#run(name, send)));
  }

  async #run(sender: string, send: Send): Promise<void> {
    const drained: string[] = [];
    this.drained.set(sender, drained);
    let gone = false;
    const one = async (n: number): Promise<void> => {
      const ledger = n % ledgers;
      const id = entryId(ledger, { sender, n });
      this.sent.add(id);
      try {
        await send(keyOf(ledger), { sender, n, workMs });
        this.acknowledged.add(id);
      } catch (error) {
        const { reason, outcome, retryAfterMs } = error as TroupeError;
        if (reason !== 'DRAINING') gone = true;
        else {
          assert.equal(outcome, 'not_started');
          assert.ok((retryAfterMs ?? 0) > 0, 'a delay');
          drained.push(id);
        }
      }
    };
    for (let n = 0; !gone; n += underWay) {
      await Promise.all(Array.from({ length: underWay }, (_, index) => one(n + index)));
      if (drained.length > 0) await setTimeout(50);
    }
  }
}

/** Waits until every acknowledged append is applied, and compares what is there with what was sent. */
async function compare(
  grpc: string,
  { sent, acknowledged }: Pick<Load, 'sent' | 'acknowledged'>,
): Promise<Set<string>> {
  let missing = 0;
  let before = '';
  const found = await eventually<Entry[][]>(
    () => `every acknowledged append is applied; ${missing} are missing`,
    20_000,
    async () => {
      const now = await readLedgers(grpc, ledgers);
      const ids = new Set(now.flatMap((list, ledger) => list.map((entry) => entryId(ledger, entry))));
      missing = [...acknowledged].filter((id) => !ids.has(id)).length;
      const last = before;
      before = JSON.stringify(now);
      return missing === 0 && last === before && now;
    },
  );
  assertWhole(found, sent, acknowledged);
  return new Set(found.flatMap((list, ledger) => list.map((entry) => entryId(ledger, entry))));
}

/** How many asks a node has open; unlike an actor's own view it asks no thread, which may be busy. */
async function openAsks(admin: string): Promise<number> {
  const answer = await fetch(`http://${admin}/admin/v1/overview`);
  return ((await answer.json()) as { counters: { open_asks: number } }).counters.open_asks;
}

/** Whether a node says that it drains. */
async function drains(admin: string): Promise<boolean> {
  const answer = await fetch(`http://${admin}/readyz`);
  return answer.status === 503 && /shutting down/.test(await answer.text());
}

function clientOf(t: TestContext, grpc: string): Client {
  const client = connect(grpc, { ownConnection: true });
  t.after(() => client.close());
  return client;
}

/** What a node that is gone has left in an engine that goes on. */
interface Left {
  readonly nodes: number;
  /** Shards whose lease was not given back. */
  readonly leases: number;
}

/** An engine that outlives its nodes. */
interface Outliving {
  readonly url: string;
  left(): Promise<Left>;
}

async function ownRedis(t: TestContext): Promise<Outliving> {
  const { url } = await startRedis(t);
  const left = async (): Promise<Left> => {
    const stored = new Redis(url);
    const keys = createRedisKeys('troupe');
    const given = await Promise.all(
      shardNames(defaults.shards).map((shard) => stored.hget(keys.lease(shard), 'released')),
    );
    const nodes = await stored.zcard(keys.members);
    stored.disconnect();
    return { nodes, leases: given.filter((released) => released !== '1').length };
  };
  return { url, left };
}

async function ownPostgres(t: TestContext): Promise<Outliving> {
  const { url, connection } = await startPostgres(t);
  const left = async (): Promise<Left> => {
    const client = new pg.Client({ ...connection });
    await client.connect();
    try {
      const { rows } = await client.query<{ nodes: number; leases: number }>(
        `SELECT (SELECT count(*)::int FROM troupe.troupe_nodes) AS nodes,
           (SELECT ${defaults.shards} - count(*)::int FROM troupe.troupe_leases WHERE released) AS leases`,
      );
      return rows[0] as Left;
    } finally {
      await client.end();
    }
  };
  return { url, left };
}

describe('a signal in the middle of load', slow, () => {
  for (const [name, engine, skip] of [
    ['Redis', ownRedis, redisMissing()],
    ['PostgreSQL', ownPostgres, false],
  ] as const)
    it(`refuses what is new, answers what is open and gives its leases back; on ${name}`, {
      ...slow,
      skip,
    }, async (t) => {
      const { url, left } = await engine(t);
      await using cli = new CommandLine();
      const node = startNode(cli, url);
      const { grpc, http, admin } = await node.ready();
      const asker = clientOf(t, grpc);
      await asker.ask({ to: '/ledger/open', type: 'read' });
      const load = new Load({
        g0: overGrpc(clientOf(t, grpc)),
        g1: overGrpc(clientOf(t, grpc)),
        h0: (to, payload) => post(http, '/v1/tell', to, payload),
      });
      await eventually('load is under way', 20_000, () => load.acknowledged.size >= acknowledgedAtSignal);
      const payload = (n: number) => ({ sender: 'asker', n, workMs: 1_000 });
      const open = [1, 2, 3, 4].map((n) => {
        const to = '/ledger/open';
        return n % 2 === 0
          ? asker.ask({ to, type: 'append', payload: payload(n) })
          : post(http, '/v1/ask', to, payload(n)).then((answer) => (answer as { reply: unknown }).reply);
      });
      await eventually('the asks are open', 10_000, async () => (await openAsks(admin)) >= open.length);
      const signalledMs = performance.now();
      node.child.kill('SIGTERM');

      await eventually('it says so', 5_000, () => drains(admin));
      assert.equal(await node.ended, exitCodes.ok, node.told());
      const drainMs = Math.round(performance.now() - signalledMs);
      assert.ok(drainMs < defaults.drainGraceMs, `it took ${drainMs} ms`);
      const answers = (await Promise.all(open)) as { count: number }[];
      assert.deepEqual(answers.map(({ count }) => count).sort(), [1, 2, 3, 4], 'what was open is answered');
      await load.ended;
      for (const [sender, drained] of load.drained) assert.ok(drained.length > 0, `${sender} was told`);

      assert.deepEqual(await left(), { nodes: 0, leases: 0 }, 'the namespace is free, and all leases are given back');

      // Another data folder: nothing tells this node that the first one is dead.
      await using other = new CommandLine();
      const startedMs = performance.now();
      const next = startNode(other, url);
      const after = await next.ready();
      const startMs = Math.round(performance.now() - startedMs);
      const applied = await compare(after.grpc, load);
      const refused = [...load.drained.values()].flat();
      assert.deepEqual(
        refused.filter((id) => applied.has(id)),
        [],
        'what was refused is not applied',
      );
      t.diagnostic(`${load.acknowledged.size} acknowledged, ${refused.length} refused`);
      t.diagnostic(`it ended in ${drainMs} ms, the next was ready in ${startMs} ms`);
    });

  for (const [name, engine, skip] of [
    ['Redis', async (t: TestContext) => (await startRedis(t)).url, redisMissing()],
    ['embedded PostgreSQL', async () => 'embedded', false],
  ] as const)
    it(`ends it at once when it is the second, and the next start recovers; on ${name}`, {
      ...slow,
      skip,
    }, async (t) => {
      const url = await engine(t);
      await using cli = new CommandLine();
      const node = startNode(cli, url);
      const { grpc, admin } = await node.ready();
      const client = clientOf(t, grpc);
      // A thread that works for long starts nobody.
      await readLedgers(grpc, ledgers);
      const payload = { sender: 'asker', n: 1, workMs: 4_000 };
      const open = client.ask({ to: keyOf(0), type: 'append', payload }).then(
        () => undefined,
        (error: TroupeError) => error,
      );
      await eventually('the ask is open', 10_000, async () => (await openAsks(admin)) > 0);
      const channel = client.channel();
      const deeds = { sent: new Set([entryId(0, payload)]), acknowledged: new Set<string>() };
      // Those of the first ledger wait behind the ask.
      const tells = Array.from({ length: 120 }, async (_, n) => {
        const id = entryId(n % ledgers, { sender: 's', n });
        deeds.sent.add(id);
        await channel.tell({ to: keyOf(n % ledgers), type: 'append', payload: { sender: 's', n } });
        deeds.acknowledged.add(id);
      });
      await Promise.all(tells);
      node.child.kill('SIGTERM');
      await eventually('it drains', 5_000, () => drains(admin));
      assert.equal(node.child.exitCode, null, 'it waits for the turn in hand');
      const signalledMs = performance.now();
      node.child.kill('SIGTERM');
      assert.equal(await node.ended, exitCodes.failed);
      const endMs = Math.round(performance.now() - signalledMs);
      assert.ok(endMs < 1_500, `it took ${endMs} ms`);
      assert.match(node.told(), /ending at once/);
      const broken = await open;
      assert.deepEqual([broken?.reason, broken?.outcome], ['UNAVAILABLE', 'unknown']);

      const startedMs = performance.now();
      const next = startNode(cli, url);
      const after = await next.ready();
      const startMs = Math.round(performance.now() - startedMs);
      assert.ok(startMs < defaults.leaseMs, `the next is ready without waiting for a lease: ${startMs} ms`);
      await compare(after.grpc, deeds);
      t.diagnostic(`${deeds.acknowledged.size} acknowledged; ended in ${endMs} ms, next in ${startMs}`);
    });
});
