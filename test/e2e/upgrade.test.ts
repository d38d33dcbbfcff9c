/** `troupe upgrade check` on real engines: it finds what new code would break, and leaves no trace. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import pg from 'pg';
import { type BreakGroup, textOfUpgrade, type UpgradeReport } from '../../ops/upgrade/report.ts';
import { startEmbeddedPostgres } from '../../runtime/engines/postgres/embedded.ts';
import { createPostgresEngine } from '../../runtime/engines/postgres/postgres-engine.ts';
import { createRedisEngine } from '../../runtime/engines/redis/redis-engine.ts';
import { shardNames } from '../../runtime/mailbox/shards.ts';
import { CommandLine, type CommandResult } from '../support/cli.ts';
import { layPostgresData } from '../support/postgres-data.ts';
import { redisMissing, startRedis, type TestRedis } from '../support/redis.ts';
import { mailOrder, markTaken, type StoredOrder, setAside, shards, storeOrders } from '../support/stored-orders.ts';

const appOf = (name: string): string => fileURLToPath(new URL(`../apps/${name}.ts`, import.meta.url));
const next = ['--app', appOf('orders-next'), '--namespace', 'shop'];

interface Shop {
  readonly redis: TestRedis;
  readonly engine: ReturnType<typeof createRedisEngine>;
  /** Everything in Redis, and how often anything was ever written. */
  dump(): Promise<{ readonly keys: Record<string, string>; readonly writes: string | undefined }>;
  check(words?: readonly string[]): Promise<CommandResult>;
}

async function openShop(t: TestContext): Promise<Shop> {
  const redis = await startRedis(t);
  const engine = createRedisEngine({ namespace: 'shop', shards, url: redis.url });
  await engine.open();
  const client = new Redis(redis.url);
  // The server is stopped first.
  client.on('error', () => {});
  const cli = new CommandLine();
  t.after(async () => {
    client.disconnect();
    await engine.close();
    await cli[Symbol.asyncDispose]();
  });
  return {
    redis,
    engine,
    async dump() {
      const keys = (await client.keys('*')).sort();
      const digests = await Promise.all(keys.map(async (key) => [key, digest(await contentOf(client, key))]));
      const writes = /rdb_changes_since_last_save:\d+/.exec(await client.info('persistence'))?.[0];
      return { keys: Object.fromEntries(digests) as Record<string, string>, writes };
    },
    check: (words = next) => cli.run(['upgrade', 'check', '--engine', redis.url, ...words]),
  };
}

const digest = (content: unknown): string => createHash('sha256').update(JSON.stringify(content)).digest('hex');

/** What a key holds, in an order of its own or sorted. */
async function contentOf(client: Redis, key: string): Promise<unknown> {
  switch (await client.type(key)) {
    case 'hash':
      return Object.entries(await client.hgetall(key)).sort();
    case 'zset':
      return client.zrange(key, '0', '-1', 'WITHSCORES');
    case 'list':
      return client.lrange(key, 0, -1);
    case 'stream':
      return client.xrange(key, '-', '+');
    case 'string':
      return client.get(key);
    default:
      return assert.fail(`${key} is of a type that this test does not read`);
  }
}

const reportOf = ({ stdout }: CommandResult): UpgradeReport => JSON.parse(stdout) as UpgradeReport;

/** A break, and whom it names, in one line each. */
function told(breaks: readonly BreakGroup[]): string[] {
  return breaks
    .flatMap(({ break: sort, kind, state, actors, examples }) =>
      examples.map(({ address, why, type }) => `${sort} ${kind} ${state} ${actors} ${address} ${type ?? '-'} ${why}`),
    )
    .sort();
}

describe('upgrade check', { skip: redisMissing(), concurrency: 2 }, () => {
  test('names the 3 of 10,000 snapshots that changed code breaks, their state and why, and changes nothing', async (t) => {
    const shop = await openShop(t);
    const orders: StoredOrder[] = Array.from({ length: 10_000 }, (_, index) => ({
      name: `o${index}`,
      state: index % 3 === 0 ? 'packing' : 'open',
    }));
    orders[17] = { name: 'o17', state: 'late' };
    orders[4_711] = { name: 'o4711', context: { items: ['poison'] } };
    orders[9_999] = { name: 'o9999', state: 'packing', context: { items: ['1', '2', '3', '4', '5', '6'] } };
    await storeOrders(shop.engine, orders);
    const before = await shop.dump();

    const result = await shop.check([...next, '-o', 'json']);
    const report = reportOf(result);
    assert.deepEqual(await shop.dump(), before);
    assert.equal(result.code, 99);
    assert.equal(report.verdict, 'breaks');
    assert.deepEqual(told(report.breaks), [
      'unreadable order "late" 1 /orders/o17 - the state "late" does not exist in this machine',
      'unreadable order "open" 1 /orders/o4711 - "migrate" from version 1 to 2 threw: cannot be moved',
      'unreadable order "packing" 1 /orders/o9999 - the stored context does not fit the "state" schema: lines: ' +
        'Too big: expected array to have <=5 items',
    ]);
    assert.deepEqual([report.looked.snapshots, report.looked.migrated], [10_000, 9_997]);
    t.diagnostic(`10,000 snapshots in ${report.elapsedMs} ms`);

    const same = await shop.check(['--app', appOf('orders'), '--namespace', 'shop']);
    assert.deepEqual([same.code, same.stderr], [0, '']);
    assert.match(same.stdout, /10,000 snapshots, 0 waiting[\s\S]*nothing would break/);
  });

  test('steps waiting mail and due timers in their order; code that hangs or ends its thread is reported', async (t) => {
    const shop = await openShop(t);
    const add = (item: string) => ({ type: 'add', payload: { item } });
    const event = { type: 'xstate.after.3600000.order.packing' };
    await storeOrders(shop.engine, [
      { name: 'taken' },
      { name: 'expired' },
      { name: 'invalid' },
      { name: 'unknown' },
      { name: 'throwing' },
      { name: 'fetched' },
      { name: 'patient' },
      { name: 'urgent' },
      { name: 'parked' },
      { name: 'aside' },
      { name: 'delayed' },
      { name: 'endless-turn' },
      { name: 'late', state: 'packing', timers: [{ id: 't', gen: 0, dueMs: 1, event }] },
      { name: 'endless', context: { items: ['endless'] } },
      { name: 'exiting', context: { items: ['exit'] } },
      { name: 'foreign', kind: 'ghost' },
    ]);
    await markTaken(shop.engine, 'taken', await mailOrder(shop.engine, 'taken', [add('bomb')]));
    await mailOrder(shop.engine, 'expired', [{ ...add('bomb'), deadlineMs: 1 }]);
    await mailOrder(shop.engine, 'invalid', [add('x'.repeat(21)), add('tea'), add('y'.repeat(21))]);
    await mailOrder(shop.engine, 'unknown', [{ type: 'drop', payload: {} }]);
    await mailOrder(shop.engine, 'throwing', [add('milk'), add('bomb')]);
    await mailOrder(shop.engine, 'fetched', [add('bomb')]);
    for (const shard of shardNames(shards)) await shop.engine.transport.fetch(shard);
    // In `boxing` nothing is added any more, so no bomb goes off.
    const pack = { type: 'pack', payload: {} };
    await mailOrder(shop.engine, 'patient', [pack, add('bomb')]);
    await mailOrder(shop.engine, 'urgent', [add('bomb'), { ...pack, priority: 'high' }]);
    await mailOrder(shop.engine, 'aside', [add('bomb')]);
    await setAside(shop.engine, 'aside', 'parked', [pack]);
    await setAside(shop.engine, 'parked', 'parked', [add('milk'), add('bomb')]);
    await setAside(shop.engine, 'delayed', 'delayed', [add('bomb'), { type: 'drop', payload: {} }]);
    await mailOrder(shop.engine, 'endless-turn', [add('milk'), add('endless')]);
    await mailOrder(shop.engine, 'unstored', [add('bomb')]);
    const before = await shop.dump();

    const result = await shop.check([...next, '--watchdog', '1s', '-o', 'json']);
    assert.deepEqual(await shop.dump(), before);
    assert.equal(result.code, 99, result.stderr);
    assert.deepEqual(
      told(reportOf(result).breaks),
      [
        'crashes order "open" 1 /orders/exiting - while it was restored: the code ended its thread with code 7',
        'hangs order "open" 2 /orders/endless - while it was restored: no answer for 1000 ms',
        'hangs order "open" 2 /orders/endless-turn add in turn 2 of what waits: no answer for 1000 ms',
        'rejected order - 1 /orders/delayed drop UNKNOWN_TYPE: "order" takes no message "drop"; it takes: ' +
          'add, look, pack',
        'rejected order "open" 2 /orders/invalid add INVALID_MESSAGE: the payload of "add" does not fit its schema: ' +
          'item: Too big: expected string to have <=20 characters',
        'rejected order "open" 2 /orders/unknown drop UNKNOWN_TYPE: "order" takes no message "drop"; it takes: ' +
          'add, look, pack',
        ...['fetched', 'parked', 'throwing', 'unstored'].map(
          (name) => `throws order "open" 4 /orders/${name} add no bombs`,
        ),
        `timer order "boxing" 1 /orders/late ${event.type} no state handles the event "${event.type}" of a timer`,
        'unreadable ghost "open" 1 /orders/foreign - the snapshot is of kind "ghost", the definition of kind "order"',
      ].sort(),
    );
    assert.match(
      textOfUpgrade(reportOf(result)),
      /throws: order in state "open": 4 actors\n( {2}\/orders\/\w+ {2}add: no bombs\n){4} {2}-> .*\n[\s\S]*would break/,
    );
  });

  test('that could not look says so, which is neither good nor bad', async (t) => {
    const shop = await openShop(t);
    await storeOrders(shop.engine, [{ name: 'a' }]);
    const cases: readonly (readonly [string, readonly string[], RegExp])[] = [
      ['a namespace that is not there', ['--namespace', 'shops'], /Nothing is stored under the namespace "shops"/],
      ['an engine that is not there', [...next, '--engine', 'redis://127.0.0.1:1'], /cannot be reached/],
      ['an engine that keeps nothing', [...next, '--engine', 'memory'], /keeps nothing/],
      ['a data folder without data', [...next, '--engine', 'embedded'], /no database/],
      ['an app that is not there', ['--app', 'no-such-app.ts', '--namespace', 'shop'], /no file/],
    ];
    const looks = cases.map(async ([what, words, why]) => {
      const { code, stdout, stderr } = await shop.check(words);
      assert.deepEqual([code, stdout], [98, ''], `${what}: ${stderr}`);
      assert.match(stderr, why, what);
    });
    await Promise.all(looks);
  });

  test('reads the embedded PostgreSQL, whether a node has it running or not, and leaves it as it was', async (t) => {
    const cli = new CommandLine();
    const folder = join(cli.dataDir, 'postgres');
    await layPostgresData(folder);
    let server = await startEmbeddedPostgres({ dataDir: folder });
    t.after(async () => {
      await server.stop();
      await cli[Symbol.asyncDispose]();
    });
    const engine = createPostgresEngine({ namespace: 'shop', shards, connection: server.connection });
    await engine.open();
    await storeOrders(engine, [{ name: 'a' }, { name: 'b', state: 'late' }, { name: 'c' }]);
    await mailOrder(engine, 'c', [{ type: 'drop', payload: {} }]);
    await engine.close();
    const before = await tablesOf(server.connection);

    const check = async (): Promise<void> => {
      const result = await cli.run(['upgrade', 'check', ...next, '-o', 'json']);
      assert.equal(result.code, 99, result.stderr);
      assert.deepEqual(told(reportOf(result).breaks), [
        'rejected order "open" 1 /orders/c drop UNKNOWN_TYPE: "order" takes no message "drop"; it takes: add, look, pack',
        'unreadable order "late" 1 /orders/b - the state "late" does not exist in this machine',
      ]);
    };
    await check();
    assert.deepEqual(await tablesOf(server.connection), before);
    await server.stop();
    await check();
    assert.deepEqual(readdirSync(cli.dataDir), ['postgres'], 'no lock, no node file');
    server = await startEmbeddedPostgres({ dataDir: folder });
    assert.deepEqual(await tablesOf(server.connection), before);
  });
});

/** A digest of each table of the namespace, and where its sequences stand. */
async function tablesOf(connection: pg.ClientConfig): Promise<Record<string, unknown>> {
  const client = new pg.Client(connection);
  await client.connect();
  try {
    const { rows } = await client.query<{ name: string; sort: string }>(
      "SELECT relname AS name, relkind AS sort FROM pg_class WHERE relnamespace = 'shop'::regnamespace AND relkind IN ('r', 'p', 'S')",
    );
    const contents: Record<string, unknown> = {};
    for (const { name, sort } of rows) {
      const what = sort === 'S' ? 'last_value' : "md5(string_agg(t::text, '|' ORDER BY t::text))";
      contents[name] = (await client.query(`SELECT ${what} FROM "shop"."${name}" t`)).rows;
    }
    return contents;
  } finally {
    await client.end();
  }
}
