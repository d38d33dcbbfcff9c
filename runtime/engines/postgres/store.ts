import { checkKey, checkOperations, checkShard } from '../check.ts';
import type { ShardStore } from '../engine.ts';
import { commitValues } from './commit-values.ts';
import type { PostgresLink } from './link.ts';

/** The shard store on PostgreSQL. Each call is one statement on one connection, a commit too. */
export function createPostgresStore({ query }: PostgresLink): ShardStore {
  return {
    async commit(shard, fence, operations) {
      checkShard(shard);
      checkOperations(operations);
      checkKey(fence.nonce, 'a nonce');
      const values = [shard, fence.nonce, fence.seq, ...commitValues(operations)];
      const marks = values.map((_, index) => `$${index + 1}`).join(',');
      const rows = await query<{ done: boolean }>('troupe-commit', `SELECT troupe_commit(${marks}) AS done`, values);
      return rows[0]?.done === true ? 'committed' : 'refused';
    },
    async fence(shard) {
      checkShard(shard);
      const text = 'SELECT nonce, seq FROM troupe_leases WHERE shard = $1';
      const [found] = await query<{ nonce: string; seq: string }>('troupe-fence', text, [shard]);
      return found === undefined ? undefined : { nonce: found.nonce, seq: Number(found.seq) };
    },
    async get(shard, table, key) {
      checkShard(shard);
      const text = 'SELECT value FROM troupe_rows WHERE shard = $1 AND tbl = $2 AND key = $3';
      const [found] = await query<{ value: string }>('troupe-get', text, [shard, table, key]);
      return found?.value;
    },
    async all(shard, table) {
      checkShard(shard);
      const text = 'SELECT key, value FROM troupe_rows WHERE shard = $1 AND tbl = $2';
      const rows = await query<{ key: string; value: string }>('troupe-all', text, [shard, table]);
      return new Map(rows.map(({ key, value }) => [key, value]));
    },
    async page(shard, table, after, limit) {
      checkShard(shard);
      const text =
        'SELECT key, value FROM troupe_rows WHERE shard = $1 AND tbl = $2 AND key > $3 ORDER BY key LIMIT $4';
      return query<{ key: string; value: string }>('troupe-page', text, [shard, table, after, limit]);
    },
    async lists(shard, prefix) {
      checkShard(shard);
      // From name to name through the index; the entries of a long list are not read.
      const text = `
        WITH RECURSIVE found AS (
          (SELECT list FROM troupe_lists WHERE shard = $1 AND list >= $2 ORDER BY list LIMIT 1)
          UNION ALL
          SELECT (SELECT list FROM troupe_lists WHERE shard = $1 AND list > found.list ORDER BY list LIMIT 1)
            FROM found WHERE starts_with(found.list, $2)
        ) SELECT list FROM found WHERE starts_with(list, $2)`;
      const rows = await query<{ list: string }>('troupe-lists', text, [shard, prefix]);
      return rows.map(({ list }) => list);
    },
    async head(shard, list, limit) {
      checkShard(shard);
      const text = 'SELECT value FROM troupe_lists WHERE shard = $1 AND list = $2 ORDER BY pos LIMIT $3';
      const rows = await query<{ value: string }>('troupe-head', text, [shard, list, limit]);
      return rows.map(({ value }) => value);
    },
    async length(shard, list) {
      checkShard(shard);
      const text = 'SELECT count(*) AS n FROM troupe_lists WHERE shard = $1 AND list = $2';
      const [found] = await query<{ n: string }>('troupe-length', text, [shard, list]);
      return Number(found?.n ?? 0);
    },
    async ranked(shard, index, score, limit) {
      checkShard(shard);
      const text =
        'SELECT member, score FROM troupe_ranks WHERE shard = $1 AND idx = $2 AND score <= $3 ORDER BY score, member LIMIT $4';
      return query<{ member: string; score: number }>('troupe-ranked', text, [shard, index, score, limit]);
    },
    async rankedCount(shard, index) {
      checkShard(shard);
      const text = 'SELECT count(*) AS n FROM troupe_ranks WHERE shard = $1 AND idx = $2';
      const [found] = await query<{ n: string }>('troupe-ranked-count', text, [shard, index]);
      return Number(found?.n ?? 0);
    },
  };
}
