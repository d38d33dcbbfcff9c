import { checkOperations } from '../check.ts';
import type { ShardStore, StoreOperation } from '../engine.ts';
import type { RedisKeys } from './keys.ts';
import type { RedisLink } from './link.ts';
import type { RunScript } from './scripts.ts';

/**
 * The shard store on Redis: a hash per table with a sorted set of its keys (for `page`), a list per list with a sorted
 * set of their names, a sorted set per index. Writes happen in the commit script only.
 */
export function createRedisStore({ client, call }: RedisLink, keys: RedisKeys, run: RunScript): ShardStore {
  return {
    async commit(shard, fence, operations) {
      checkOperations(operations);
      const values = [keys.lease(shard), keys.prefix(shard), fence.nonce, String(fence.seq)];
      for (const operation of operations) values.push(...encoded(operation));
      const done = await call(() => run('troupeCommit', values));
      return done === 1 ? 'committed' : 'refused';
    },
    async fence(shard) {
      const [nonce, seq] = await call(() => client.hmget(keys.lease(shard), 'nonce', 'seq'));
      return nonce == null || seq == null ? undefined : { nonce, seq: Number(seq) };
    },
    async get(shard, table, key) {
      return (await call(() => client.hget(keys.table(shard, table), key))) ?? undefined;
    },
    async all(shard, table) {
      return new Map(Object.entries(await call(() => client.hgetall(keys.table(shard, table)))));
    },
    async page(shard, table, after, limit) {
      const values = [keys.tableKeys(shard, table), keys.table(shard, table), after, String(limit)];
      return pairs(await call(() => run('troupePage', values))).map(([key, value]) => ({ key, value }));
    },
    async lists(shard, prefix) {
      const from = Buffer.from(`[${prefix}`);
      // 0xff stands after every byte of UTF-8.
      const to = Buffer.concat([from, Buffer.from([0xff])]);
      return call(() => client.zrangebylex(keys.lists(shard), from, to));
    },
    async head(shard, list, limit) {
      if (limit < 1) return [];
      return call(() => client.lrange(keys.list(shard, list), 0, limit - 1));
    },
    async length(shard, list) {
      return call(() => client.llen(keys.list(shard, list)));
    },
    async ranked(shard, index, score, limit) {
      const key = keys.index(shard, index);
      const found = await call(() => client.zrangebyscore(key, '-inf', score, 'WITHSCORES', 'LIMIT', 0, limit));
      return pairs(found).map(([member, at]) => ({ member, score: Number(at) }));
    },
    async rankedCount(shard, index) {
      return call(() => client.zcard(keys.index(shard, index)));
    },
  };
}

/** An operation as the commit script reads it. */
function encoded(operation: StoreOperation): string[] {
  switch (operation.op) {
    case 'put':
      return ['P', operation.table, operation.key, operation.value];
    case 'delete':
      return ['D', operation.table, operation.key];
    case 'append':
      return ['A', operation.list, operation.value];
    case 'drop':
      return ['T', operation.list, String(operation.count)];
    case 'rank':
      return ['R', operation.index, operation.member, String(operation.score)];
    case 'unrank':
      return ['U', operation.index, operation.member];
  }
}

function pairs(flat: unknown): [string, string][] {
  const texts = flat as string[];
  const found: [string, string][] = [];
  for (let index = 0; index + 1 < texts.length; index += 2) {
    found.push([texts[index] as string, texts[index + 1] as string]);
  }
  return found;
}
