/** `troupe upgrade check` on real engines: it finds what new code would break, and leaves no trace. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, type TestContext, test } from 'node:test';
import { Redis } from 'ioredis';
import type { BreakGroup, UpgradeReport } from '../../ops/upgrade/report.ts';
import { createRedisEngine } from '../../runtime/engines/redis/redis-engine.ts';
import { CommandLine, type CommandResult } from '../support/cli.ts';
import { redisMissing, startRedis, type TestRedis } from '../support/redis.ts';
import { type StoredOrder, shards, storeOrders } from '../support/stored-orders.ts';

const appOf = (name: string): string => new URL(`../apps/${name}.ts`, import.meta.url).pathname;
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

describe('upgrade check', { skip: redisMissing() }, () => {
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
    assert.match(same.stdout, /10,000 snapshots restored[\s\S]*nothing would break/);
  });
});
