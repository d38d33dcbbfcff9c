/**
 * The acceptance of durable delivery: 8 connections send 2,000 appends to 20 ledgers, the node is killed while hundreds
 * are acknowledged and not handled, and after the next `up` the ledgers hold every acknowledged one, each once, each
 * sender's in order. TROUPE_TEST_SEED repeats the kill points of a run.
 */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type Client, connect } from '../../gateway/client.ts';
import { findNode } from '../../ops/node-file.ts';
import { type Engine, openEngine } from '../../runtime/engines/index.ts';
import { findPostmaster } from '../../runtime/engines/postgres/postmaster.ts';
import { decodeActorRecord } from '../../runtime/mailbox/actor-record.ts';
import { shardNames } from '../../runtime/mailbox/shards.ts';
import { CommandLine } from './cli.ts';
import { eventually } from './eventually.ts';
import { layPostgresData } from './postgres-data.ts';
import { redisMissing, startRedis } from './redis.ts';
import { seededRandom } from './seed.ts';

const connections = 8;
const messages = 2_000;
const ledgers = 20;
const workMs = 5;
const shards = 16;
/** Acknowledged and not handled when the node dies, at least. */
const backlogMin = 500;

const app = fileURLToPath(new URL('../apps/ledger.ts', import.meta.url));

interface Entry {
  readonly sender: string;
  readonly n: number;
}

/** The engine under a node, as the test handles it. */
interface Bed {
  /** What `up --engine` is told. */
  readonly url: string;
  /** SIGKILL. */
  kill(): Promise<void>;
  /** What an engine's user would do after it was killed; nothing where `up` does it. */
  revive(): Promise<void>;
  /** The store, while no node runs. */
  open(): ReturnType<typeof openEngine>;
}

const keyOf = (ledger: number): string => `/ledger/k${ledger}`;
const idOf = (ledger: number, { sender, n }: Entry): string => `${keyOf(ledger)} ${sender}#${n}`;

async function embedded(_t: TestContext, cli: CommandLine): Promise<Bed> {
  await layPostgresData(join(cli.dataDir, 'postgres'));
  const data = join(cli.dataDir, 'postgres', 'data');
  return {
    url: 'embedded',
    async kill() {
      const postmaster = await findPostmaster(data);
      assert(postmaster, 'a PostgreSQL runs on the data of the node');
      process.kill(postmaster.pid, 'SIGKILL');
    },
    revive: async () => undefined,
    open: () => openEngine('embedded', { namespace: 'troupe', shards, dataDir: cli.dataDir }),
  };
}

async function redis(t: TestContext, cli: CommandLine): Promise<Bed> {
  const server = await startRedis(t);
  return {
    url: server.url,
    kill: () => server.kill(),
    revive: () => server.restart(),
    open: () => openEngine(server.url, { namespace: 'troupe', shards, dataDir: cli.dataDir }),
  };
}

async function up(cli: CommandLine, bed: Bed): Promise<ReturnType<CommandLine['start']>> {
  const child = cli.start(['up', '--app', app, '--engine', bed.url, '--threads', '2', '--log-level', 'warn']);
  let told = '';
  child.stderr?.on('data', (part) => {
    told += part;
  });
  child.stdout?.resume();
  await eventually('the node is ready', 60_000, () => {
    assert.equal(child.exitCode, null, told);
    return findNode(cli.dataDir)?.pid === child.pid;
  });
  return child;
}

/** How many appends stand in the store. */
async function handledIn(engine: Engine): Promise<number> {
  let handled = 0;
  for (const shard of shardNames(shards)) {
    for (const { value } of await engine.store.page(shard, 'actor', '', 1_000)) {
      const snapshot = JSON.parse(decodeActorRecord(value).snapshot) as { context: { entries: Entry[] } };
      handled += snapshot.context.entries.length;
    }
  }
  return handled;
}

async function entriesOf(client: Client): Promise<Entry[][]> {
  return Promise.all(
    Array.from({ length: ledgers }, async (_, ledger) => {
      const answer = await client.ask({ to: keyOf(ledger), type: 'read' }, { timeoutMs: 30_000 });
      return (answer as unknown as { entries: Entry[] }).entries;
    }),
  );
}

/** The engines that keep their word, each with the reason why it is skipped, or false. */
export const beds = [
  { name: 'embedded PostgreSQL', make: embedded, skip: false },
  { name: 'Redis', make: redis, skip: redisMissing() },
] as const;

/** What a kill falls into: the acceptance of messages, or the handling of those that were accepted. */
export type Moment = 'accepting' | 'handling';

export async function killAndCompare(
  t: TestContext,
  make: (t: TestContext, cli: CommandLine) => Promise<Bed>,
  moment: Moment,
  alsoEngine: boolean,
): Promise<void> {
  const seed = Number(process.env.TROUPE_TEST_SEED ?? Math.floor(Math.random() * 2 ** 32));
  const random = seededRandom(seed);
  const killAt = 700 + Math.floor(random() * 1_300);
  const laterMs = moment === 'accepting' ? 0 : Math.floor(random() * 2_000);
  t.diagnostic(`seed ${seed}: killed ${laterMs} ms after acknowledgement ${killAt}`);
  await using cli = new CommandLine();
  const bed = await make(t, cli);
  const node = await up(cli, bed);

  const sent = new Set<string>();
  const acknowledged = new Set<string>();
  const pointReached = Promise.withResolvers<void>();
  const clients = Array.from({ length: connections }, () => connect(cli.node.grpc, { ownConnection: true }));
  t.after(() => {
    for (const client of clients) client.close();
  });
  await Promise.all(clients.map((client) => client.ready(10_000)));
  const loads = clients.map(async (client, connection) => {
    const channel = client.channel();
    const tells = Array.from({ length: messages / connections }, async (_, n) => {
      const ledger = Math.floor(random() * ledgers);
      const entry = { sender: `c${connection}`, n };
      sent.add(idOf(ledger, entry));
      await channel.tell({ to: keyOf(ledger), type: 'append', payload: { ...entry, workMs } });
      acknowledged.add(idOf(ledger, entry));
      if (acknowledged.size === killAt) pointReached.resolve();
    });
    await Promise.allSettled(tells);
  });
  await pointReached.promise;
  await setTimeout(laterMs);
  const exited = new Promise((resolve) => node.once('exit', resolve));
  node.kill('SIGKILL');
  if (alsoEngine) await bed.kill();
  await exited;
  await Promise.all(loads);

  await bed.revive();
  const opened = await bed.open();
  const handled = await handledIn(opened.engine).finally(() => opened.stop());
  const backlog = acknowledged.size - handled;
  t.diagnostic(`${acknowledged.size} acknowledged, ${handled} handled`);
  assert(backlog >= backlogMin, `${acknowledged.size} acknowledged and ${handled} handled at the kill`);

  await up(cli, bed);
  const client = connect(cli.node.grpc, { ownConnection: true });
  t.after(() => client.close());
  let last = '';
  let missing: string[] = [];
  const entries = await eventually(
    () => `every acknowledged append is in its ledger; missing: ${missing.length}, such as ${missing.slice(0, 5)}`,
    90_000,
    async () => {
      const found = await entriesOf(client);
      const ids = new Set(found.flatMap((list, ledger) => list.map((entry) => idOf(ledger, entry))));
      missing = [...acknowledged].filter((id) => !ids.has(id));
      const before = last;
      last = JSON.stringify(found);
      return missing.length === 0 && last === before ? found : undefined;
    },
  );

  const all = entries.flatMap((list, ledger) => list.map((entry) => idOf(ledger, entry)));
  assert.equal(new Set(all).size, all.length, 'each append once');
  assert.deepEqual(
    all.filter((id) => !sent.has(id)),
    [],
    'nothing that was never sent',
  );
  for (const [ledger, list] of entries.entries()) {
    for (const [sender, own] of Map.groupBy(list, (entry) => entry.sender)) {
      const order = own.map(({ n }) => n);
      assert.deepEqual(
        order,
        order.toSorted((left, right) => left - right),
        `${keyOf(ledger)}: ${sender} in order`,
      );
    }
  }
}
