/** Removes all that a namespace holds from an engine of one's own. */

import { TroupeError } from '../errors.ts';
import { checkOptions } from './check.ts';
import { heldText } from './findings.ts';

/** @throws TroupeError `UNAVAILABLE` while a node lives there, or where the engine cannot be reached */
export async function wipeNamespace(url: string, namespace: string): Promise<void> {
  checkOptions({ namespace, shards: 1 });
  if (/^rediss?:/.test(url)) return wipeRedis(url, namespace);
  return wipePostgres(url, namespace);
}

const inUse = (namespace: string, holder: string): TroupeError =>
  new TroupeError('UNAVAILABLE', `${heldText(namespace, holder)}; stop it first`);

async function wipeRedis(url: string, namespace: string): Promise<void> {
  const { createRedisLink } = await import('./redis/link.ts');
  const { createRedisKeys } = await import('./redis/keys.ts');
  const keys = createRedisKeys(namespace);
  const link = createRedisLink(url);
  try {
    await link.connect();
    const { client } = link;
    const [seconds] = await client.time();
    const [live] = await client.zrangebyscore(keys.members, `(${Number(seconds) * 1_000}`, '+inf');
    if (live !== undefined) throw inUse(namespace, (await client.hget(keys.memberLabels, live)) ?? '');
    let cursor = '0';
    do {
      const [next, found] = await client.scan(cursor, 'MATCH', `{${namespace}:*`, 'COUNT', 500);
      cursor = next;
      // One by one: the keys of two shards may be on two servers.
      for (const key of found) await client.unlink(key);
    } while (cursor !== '0');
  } finally {
    await link.close();
  }
}

async function wipePostgres(url: string, namespace: string): Promise<void> {
  const { createPostgresLink } = await import('./postgres/link.ts');
  const link = createPostgresLink(url, namespace);
  try {
    const client = await link.connect();
    try {
      const there = await client.query<{ there: boolean }>('SELECT to_regclass($1) IS NOT NULL AS there', [
        `"${namespace}".troupe_nodes`,
      ]);
      if (there.rows[0]?.there !== true) return;
      const live = await client.query<{ label: string }>(
        `SELECT label FROM "${namespace}".troupe_nodes WHERE until_ms > extract(epoch FROM clock_timestamp()) * 1000`,
      );
      if (live.rows[0] !== undefined) throw inUse(namespace, live.rows[0].label);
      await client.query(`DROP SCHEMA "${namespace}" CASCADE`);
    } finally {
      await client.end();
    }
  } finally {
    await link.close();
  }
}
