import type { Redis } from 'ioredis';
import type { Clock } from '../../clock.ts';
import { TroupeError } from '../../errors.ts';
import { shardNames } from '../../mailbox/shards.ts';
import { heldMend, heldText } from '../findings.ts';
import { unreadable } from '../reading.ts';
import type { EngineSnapshot, StoredRecord } from '../snapshot.ts';
import { createRedisKeys, type RedisKeys } from './keys.ts';
import { createRedisLink } from './link.ts';
import { readRedis } from './redis-reading.ts';

/** Entries that are read at once. */
const pageEntries = 500;

/** A namespace on Redis that no node uses; with one at work, what is read first would be older than what is read last. */
export async function snapshotRedis(url: string, namespace: string, clock: Clock): Promise<EngineSnapshot> {
  const reading = await readRedis(url, namespace, clock);
  const keys = createRedisKeys(namespace);
  const link = createRedisLink(url);
  const close = async (): Promise<void> => {
    await Promise.all([reading.close(), link.close()]);
  };
  try {
    await link.connect();
    const live = await link.client.zrangebyscore(keys.members, `(${await reading.nowMs()}`, '+inf');
    if (live[0] !== undefined) {
      const holder = (await link.client.hget(keys.memberLabels, live[0])) ?? '';
      throw new TroupeError(
        'UNAVAILABLE',
        `${heldText(namespace, holder)}: ${heldMend}. Redis is read with no node on it`,
      );
    }
    return {
      description: reading.description,
      shards: reading.shards,
      async *records() {
        for (const shard of shardNames(reading.shards)) {
          yield* storedOf(link.client, keys, shard);
          for (const { data } of await reading.transport.active(shard)) yield ['job', shard, data];
          for (const { data } of await reading.transport.waiting(shard)) yield ['job', shard, data];
        }
      },
      close,
    };
  } catch (error) {
    await close();
    throw unreadable(reading.description, error);
  }
}

async function* storedOf(client: Redis, keys: RedisKeys, shard: string): AsyncGenerator<StoredRecord> {
  const prefix = keys.prefix(shard);
  for await (const table of namesOf(client, `${prefix}table:`))
    for await (const [key, value] of pairsOf(client, 'hscan', `${prefix}table:${table}`))
      yield ['row', shard, table, key, value];
  for (const list of await client.zrange(keys.lists(shard), '0', '-1'))
    for (let at = 0; ; at += pageEntries) {
      const entries = await client.lrange(keys.list(shard, list), at, at + pageEntries - 1);
      for (const value of entries) yield ['entry', shard, list, value];
      if (entries.length < pageEntries) break;
    }
  for await (const index of namesOf(client, `${prefix}index:`))
    for await (const [member, score] of pairsOf(client, 'zscan', `${prefix}index:${index}`))
      yield ['rank', shard, index, member, Number(score)];
}

/** What follows the prefix in the names of keys; each once. */
async function* namesOf(client: Redis, prefix: string): AsyncGenerator<string> {
  const seen = new Set<string>();
  let cursor = '0';
  do {
    // The braces of a hash tag mean nothing in a pattern.
    const [next, found] = await client.scan(cursor, 'MATCH', `${prefix}*`, 'COUNT', pageEntries);
    cursor = next;
    for (const key of found) seen.add(key.slice(prefix.length));
  } while (cursor !== '0');
  yield* [...seen].sort();
}

/** Fields and values of a hash, or members and scores of a sorted set; each once, though a scan may repeat. */
async function* pairsOf(client: Redis, how: 'hscan' | 'zscan', key: string): AsyncGenerator<[string, string]> {
  const seen = new Set<string>();
  let cursor = '0';
  do {
    const [next, flat] = await client[how](key, cursor, 'COUNT', pageEntries);
    cursor = next;
    for (let index = 0; index + 1 < flat.length; index += 2) {
      const name = flat[index] as string;
      if (seen.has(name)) continue;
      seen.add(name);
      yield [name, flat[index + 1] as string];
    }
  } while (cursor !== '0');
}
