import { checkShard } from '../check.ts';
import type { Index, Table } from '../engine.ts';

/** The names of all keys. What belongs to a shard carries the hash tag `{ns:s3}`, so that it lives in one slot. */
export interface RedisKeys {
  prefix(shard: string): string;
  lease(shard: string): string;
  table(shard: string, table: Table): string;
  tableKeys(shard: string, table: Table): string;
  list(shard: string, list: string): string;
  lists(shard: string): string;
  index(shard: string, index: Index): string;
  /** BullMQ's prefix; its queue keys are `{ns:s3}:mail:wait` and so on. */
  queuePrefix(shard: string): string;
  readonly meta: string;
  /** Live nodes by the end of their lease. */
  readonly members: string;
  readonly memberLabels: string;
}

export function createRedisKeys(namespace: string): RedisKeys {
  const tag = (shard: string): string => {
    checkShard(shard);
    return `{${namespace}:${shard}}`;
  };
  const system = `{${namespace}:sys}`;
  return {
    prefix: (shard) => `${tag(shard)}:`,
    lease: (shard) => `${tag(shard)}:lease`,
    table: (shard, table) => `${tag(shard)}:table:${table}`,
    tableKeys: (shard, table) => `${tag(shard)}:keys:${table}`,
    list: (shard, list) => `${tag(shard)}:list:${list}`,
    lists: (shard) => `${tag(shard)}:lists`,
    index: (shard, index) => `${tag(shard)}:index:${index}`,
    queuePrefix: tag,
    meta: `${system}:meta`,
    members: `${system}:members`,
    memberLabels: `${system}:labels`,
  };
}
