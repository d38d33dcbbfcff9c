import type { TestContext } from 'node:test';
import { Redis } from 'ioredis';
import pg from 'pg';
import { createRedisKeys } from '../../runtime/engines/redis/keys.ts';
import { defaults } from '../../runtime/limits.ts';
import { shardNames } from '../../runtime/mailbox/shards.ts';
import { startPostgres } from './postgres.ts';
import { startRedis } from './redis.ts';

/** A server of the test's own, and how a test ends the leases in it. */
export interface LapsingEngine {
  readonly url: string;
  /** Labels of the nodes that have entered. */
  members(namespace: string): Promise<string[]>;
  /** Ends every lease of the namespace, as the passing of its time does. */
  lapse(namespace: string): Promise<void>;
}

export async function lapsingRedis(t: TestContext): Promise<LapsingEngine> {
  const server = await startRedis(t);
  const client = new Redis(server.url);
  t.after(() => client.disconnect());
  return {
    url: server.url,
    members: (namespace) => client.hvals(createRedisKeys(namespace).memberLabels),
    async lapse(namespace) {
      const keys = createRedisKeys(namespace);
      for (const epoch of await client.zrange(keys.members, '0', '-1')) await client.zadd(keys.members, '1', epoch);
      for (const shard of shardNames(defaults.shards))
        if ((await client.exists(keys.lease(shard))) === 1) await client.hset(keys.lease(shard), 'until', '1');
    },
  };
}

export async function lapsingPostgres(t: TestContext): Promise<LapsingEngine> {
  const server = await startPostgres(t);
  const client = new pg.Client(server.connection);
  client.on('error', () => undefined);
  await client.connect();
  t.after(() => client.end());
  return {
    url: server.url,
    async members(namespace) {
      const there = await client.query('SELECT to_regclass($1) IS NOT NULL AS there', [`${namespace}.troupe_nodes`]);
      if (there.rows[0]?.there !== true) return [];
      const { rows } = await client.query<{ label: string }>(`SELECT label FROM ${namespace}.troupe_nodes`);
      return rows.map(({ label }) => label);
    },
    async lapse(namespace) {
      await client.query(`UPDATE ${namespace}.troupe_nodes SET until_ms = 1`);
      await client.query(`UPDATE ${namespace}.troupe_leases SET until_ms = 1`);
    },
  };
}
