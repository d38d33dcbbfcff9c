import type { Random } from '../../random.ts';
import { checkShard } from '../check.ts';
import type { Leases, Nodes } from '../engine.ts';
import type { PostgresLink } from './link.ts';

// Cut off, as the functions of the schema do: rounded, a node would lapse here half a millisecond before it does there.
const nowMs = 'floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint';

export function createPostgresLeases({ query }: PostgresLink, random: Random): Leases {
  return {
    async acquire(shard, { node, ttlMs, succeeds, held }) {
      checkShard(shard);
      const nonce = random.nonce();
      const [row] = await query<{
        taken: boolean;
        now_ms: string;
        held_until_ms: string;
        new_epoch: string;
        at_seq: string;
        clean: boolean;
        unclean_in_row: number;
      }>('troupe-acquire', 'SELECT * FROM troupe_acquire($1, $2, $3, $4, $5, $6)', [
        shard,
        node,
        ttlMs,
        nonce,
        succeeds,
        held,
      ]);
      if (row === undefined) throw new Error('troupe_acquire answered nothing');
      const engineNowMs = Number(row.now_ms);
      const untilMs = Number(row.held_until_ms);
      if (!row.taken) return { heldUntilMs: untilMs, engineNowMs };
      return {
        shard,
        epoch: Number(row.new_epoch),
        nonce,
        seq: Number(row.at_seq),
        engineNowMs,
        untilMs,
        clean: row.clean,
        uncleanInRow: row.unclean_in_row,
      };
    },
    async renew(shard, nonce, ttlMs) {
      checkShard(shard);
      const text = `UPDATE troupe_leases SET until_ms = ${nowMs} + $3
        WHERE shard = $1 AND nonce = $2 AND NOT released AND ${nowMs} < until_ms RETURNING until_ms, seq`;
      const [row] = await query<{ until_ms: string; seq: string }>('troupe-renew', text, [shard, nonce, ttlMs]);
      if (row === undefined) return undefined;
      const untilMs = Number(row.until_ms);
      return { untilMs, engineNowMs: untilMs - ttlMs, seq: Number(row.seq) };
    },
    async release(shard, nonce) {
      checkShard(shard);
      const text = 'UPDATE troupe_leases SET released = true WHERE shard = $1 AND nonce = $2';
      await query('troupe-release', text, [shard, nonce]);
    },
  };
}

export function createPostgresNodes({ query }: PostgresLink): Nodes {
  return {
    async join({ ttlMs, label, succeeds }) {
      const [row] = await query<{
        new_epoch: string | null;
        now_ms: string;
        held_by: string | null;
        held_until_ms: string | null;
      }>('troupe-join', 'SELECT * FROM troupe_join($1, $2, $3)', [ttlMs, label, succeeds]);
      if (row === undefined) throw new Error('troupe_join answered nothing');
      const engineNowMs = Number(row.now_ms);
      if (row.new_epoch !== null) return { epoch: Number(row.new_epoch), engineNowMs };
      return { heldBy: row.held_by ?? '', heldUntilMs: Number(row.held_until_ms), engineNowMs };
    },
    async renew(epoch, ttlMs) {
      const text = `UPDATE troupe_nodes SET until_ms = ${nowMs} + $2
        WHERE epoch = $1 AND ${nowMs} < until_ms RETURNING epoch`;
      return (await query('troupe-node-renew', text, [epoch, ttlMs])).length === 1;
    },
    async leave(epoch) {
      await query('troupe-node-leave', 'DELETE FROM troupe_nodes WHERE epoch = $1', [epoch]);
    },
    async lowestLive() {
      const text = `SELECT min(epoch) AS epoch FROM troupe_nodes WHERE until_ms > ${nowMs}`;
      const [row] = await query<{ epoch: string | null }>('troupe-node-lowest', text, []);
      return row?.epoch == null ? undefined : Number(row.epoch);
    },
  };
}
