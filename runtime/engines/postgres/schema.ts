/**
 * Tables and functions of a namespace: one PostgreSQL schema, which BullMQ's tables share. Ours begin with `troupe_`.
 * Migrations run in one transaction under an advisory lock: starts at the same time wait for each other, and a failed
 * one leaves nothing.
 */

import { runMigrations } from 'bullmq';
import type pg from 'pg';
import { TroupeError } from '../../errors.ts';
import { checkShardCount } from '../check.ts';

const nowUs = '(extract(epoch FROM clock_timestamp()) * 1000000)::bigint';

const tables = `
CREATE TABLE troupe_meta (
  key text PRIMARY KEY,
  value text NOT NULL
);
CREATE TABLE troupe_leases (
  shard text PRIMARY KEY,
  node bigint NOT NULL DEFAULT 0,
  epoch bigint NOT NULL DEFAULT 0,
  nonce text NOT NULL DEFAULT '',
  until_ms bigint NOT NULL DEFAULT 0,
  seq bigint NOT NULL DEFAULT 0,
  released boolean NOT NULL DEFAULT true,
  unclean integer NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
CREATE TABLE troupe_nodes (
  epoch bigint PRIMARY KEY,
  label text NOT NULL,
  until_ms bigint NOT NULL
);
CREATE TABLE troupe_rows (
  shard text NOT NULL,
  tbl text NOT NULL,
  key text COLLATE "C" NOT NULL,
  value text NOT NULL,
  PRIMARY KEY (shard, tbl, key)
) WITH (fillfactor = 80);
CREATE TABLE troupe_lists (
  shard text NOT NULL,
  list text COLLATE "C" NOT NULL,
  pos bigint GENERATED ALWAYS AS IDENTITY,
  value text NOT NULL,
  PRIMARY KEY (shard, list, pos)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
CREATE TABLE troupe_ranks (
  shard text NOT NULL,
  idx text NOT NULL,
  member text COLLATE "C" NOT NULL,
  score double precision NOT NULL,
  PRIMARY KEY (shard, idx, member)
);
CREATE INDEX troupe_ranks_score ON troupe_ranks (shard, idx, score, member);
`;

/**
 * The commit. The lease's row is locked first, so the commits of a shard are serial, and an acquisition waits for a
 * commit under way. Within one stage all drops precede all appends; the caller opens a new stage where the order of the
 * operations demands it.
 */
const commit = `
CREATE FUNCTION troupe_commit(
  p_shard text, p_nonce text, p_seq bigint,
  put_tables text[], put_keys text[], put_values text[],
  delete_tables text[], delete_keys text[],
  rank_indexes text[], rank_members text[], rank_scores double precision[],
  unrank_indexes text[], unrank_members text[],
  p_stages integer,
  drop_stages integer[], drop_lists text[], drop_counts bigint[],
  append_stages integer[], append_lists text[], append_values text[]
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  v_stage integer;
  v_index integer;
BEGIN
  PERFORM 1 FROM troupe_leases WHERE shard = p_shard AND nonce = p_nonce AND seq = p_seq AND NOT released FOR UPDATE;
  IF NOT FOUND THEN RETURN false; END IF;
  UPDATE troupe_leases SET seq = seq + 1
   WHERE shard = p_shard AND nonce = p_nonce AND seq = p_seq AND NOT released AND ${nowUs} < until_ms * 1000;
  IF NOT FOUND THEN RETURN false; END IF;
  IF cardinality(put_keys) > 0 THEN
    INSERT INTO troupe_rows (shard, tbl, key, value)
    SELECT p_shard, t, k, v FROM unnest(put_tables, put_keys, put_values) AS u(t, k, v)
    ON CONFLICT (shard, tbl, key) DO UPDATE SET value = excluded.value;
  END IF;
  IF cardinality(delete_keys) > 0 THEN
    DELETE FROM troupe_rows USING unnest(delete_tables, delete_keys) AS u(t, k)
     WHERE shard = p_shard AND tbl = u.t AND key = u.k;
  END IF;
  IF cardinality(rank_members) > 0 THEN
    INSERT INTO troupe_ranks (shard, idx, member, score)
    SELECT p_shard, i, m, s FROM unnest(rank_indexes, rank_members, rank_scores) AS u(i, m, s)
    ON CONFLICT (shard, idx, member) DO UPDATE SET score = excluded.score;
  END IF;
  IF cardinality(unrank_members) > 0 THEN
    DELETE FROM troupe_ranks USING unnest(unrank_indexes, unrank_members) AS u(i, m)
     WHERE shard = p_shard AND idx = u.i AND member = u.m;
  END IF;
  FOR v_stage IN 1..p_stages LOOP
    FOR v_index IN 1..cardinality(drop_lists) LOOP
      CONTINUE WHEN drop_stages[v_index] <> v_stage;
      DELETE FROM troupe_lists
       WHERE shard = p_shard AND list = drop_lists[v_index] AND pos IN (
         SELECT pos FROM troupe_lists WHERE shard = p_shard AND list = drop_lists[v_index]
          ORDER BY pos LIMIT drop_counts[v_index]);
    END LOOP;
    IF cardinality(append_lists) > 0 THEN
      INSERT INTO troupe_lists (shard, list, value)
      SELECT p_shard, l, v FROM unnest(append_stages, append_lists, append_values) WITH ORDINALITY AS u(s, l, v, n)
       WHERE s = v_stage ORDER BY n;
    END IF;
  END LOOP;
  RETURN true;
END $$;
`;

const leases = `
CREATE FUNCTION troupe_acquire(p_shard text, p_node bigint, p_ttl_ms bigint, p_nonce text, p_succeeds bigint)
RETURNS TABLE (taken boolean, now_ms bigint, held_until_ms bigint, new_epoch bigint, at_seq bigint, clean boolean,
  unclean_in_row integer)
LANGUAGE plpgsql AS $$
DECLARE
  former troupe_leases;
  v_now bigint;
BEGIN
  INSERT INTO troupe_leases (shard) VALUES (p_shard) ON CONFLICT DO NOTHING;
  SELECT * INTO former FROM troupe_leases WHERE shard = p_shard FOR UPDATE;
  v_now := ${nowUs};
  now_ms := v_now / 1000;
  held_until_ms := former.until_ms;
  taken := former.released OR now_ms >= former.until_ms OR former.node IS NOT DISTINCT FROM p_succeeds;
  IF taken THEN
    held_until_ms := now_ms + p_ttl_ms;
    new_epoch := greatest(former.epoch + 1, v_now);
    at_seq := former.seq;
    clean := former.released;
    unclean_in_row := CASE WHEN clean THEN 0 ELSE former.unclean + 1 END;
    UPDATE troupe_leases SET node = p_node, epoch = new_epoch, nonce = p_nonce, until_ms = held_until_ms,
      released = false, unclean = unclean_in_row WHERE shard = p_shard;
  END IF;
  RETURN NEXT;
END $$;

CREATE FUNCTION troupe_join(p_ttl_ms bigint, p_label text, p_succeeds bigint)
RETURNS TABLE (new_epoch bigint, now_ms bigint, held_by text, held_until_ms bigint)
LANGUAGE plpgsql AS $$
DECLARE
  v_now bigint;
  v_last bigint;
BEGIN
  SELECT value::bigint INTO v_last FROM troupe_meta WHERE key = 'lastNode' FOR UPDATE;
  v_now := ${nowUs};
  now_ms := v_now / 1000;
  SELECT label, until_ms INTO held_by, held_until_ms FROM troupe_nodes
   WHERE until_ms > v_now / 1000 AND epoch IS DISTINCT FROM p_succeeds LIMIT 1;
  IF NOT FOUND THEN
    new_epoch := greatest(v_last + 1, v_now);
    DELETE FROM troupe_nodes;
    UPDATE troupe_meta SET value = new_epoch::text WHERE key = 'lastNode';
    INSERT INTO troupe_nodes (epoch, label, until_ms) VALUES (new_epoch, p_label, now_ms + p_ttl_ms);
  END IF;
  RETURN NEXT;
END $$;
`;

/** A caller that takes a lease back says by its nonce that it had held it: then nobody has died. */
const acquireAgain = `
DROP FUNCTION IF EXISTS troupe_acquire(text, bigint, bigint, text, bigint);
CREATE OR REPLACE FUNCTION troupe_acquire(
  p_shard text, p_node bigint, p_ttl_ms bigint, p_nonce text, p_succeeds bigint, p_held text
)
RETURNS TABLE (taken boolean, now_ms bigint, held_until_ms bigint, new_epoch bigint, at_seq bigint, clean boolean,
  unclean_in_row integer)
LANGUAGE plpgsql AS $$
DECLARE
  former troupe_leases;
  v_now bigint;
  v_own boolean;
BEGIN
  INSERT INTO troupe_leases (shard) VALUES (p_shard) ON CONFLICT DO NOTHING;
  SELECT * INTO former FROM troupe_leases WHERE shard = p_shard FOR UPDATE;
  v_now := ${nowUs};
  now_ms := v_now / 1000;
  held_until_ms := former.until_ms;
  taken := former.released OR now_ms >= former.until_ms OR former.node IS NOT DISTINCT FROM p_succeeds;
  IF taken THEN
    held_until_ms := now_ms + p_ttl_ms;
    new_epoch := greatest(former.epoch + 1, v_now);
    at_seq := former.seq;
    v_own := former.nonce IS NOT DISTINCT FROM p_held;
    clean := former.released OR v_own;
    unclean_in_row := CASE WHEN former.released THEN 0 WHEN v_own THEN former.unclean ELSE former.unclean + 1 END;
    UPDATE troupe_leases SET node = p_node, epoch = new_epoch, nonce = p_nonce, until_ms = held_until_ms,
      released = false, unclean = unclean_in_row WHERE shard = p_shard;
  END IF;
  RETURN NEXT;
END $$;
`;

/** Applied in this order; one that was released is never changed. */
const migrations: readonly string[] = [
  `${tables}${commit}${leases}INSERT INTO troupe_meta VALUES ('lastNode', '0');`,
  // Format 2 mended BullMQ's job numbers, of which nothing is made any more.
  '',
  acquireAgain,
];

/** The newest format of the schema that this version writes. */
export const schemaFormat = migrations.length;

/** Brings the schema up to date, and refuses one of a newer Troupe or of another number of shards. */
export async function migrate(client: pg.Client, namespace: string, shards: number): Promise<void> {
  await client.query('BEGIN');
  try {
    await client.query("SELECT pg_advisory_xact_lock(hashtext('troupe'), hashtext($1))", [namespace]);
    await client.query(`CREATE SCHEMA IF NOT EXISTS "${namespace}"`);
    await client.query(`SET LOCAL search_path TO "${namespace}"`);
    await client.query('CREATE TABLE IF NOT EXISTS troupe_format (version integer NOT NULL)');
    const found = await client.query<{ version: number }>('SELECT version FROM troupe_format');
    const version = found.rows[0]?.version ?? 0;
    if (version > migrations.length) {
      throw new TroupeError(
        'UNAVAILABLE',
        `The schema "${namespace}" was written by a newer Troupe (format ${version}; this one knows ` +
          `${migrations.length}). Start that version, or use another namespace.`,
      );
    }
    for (const migration of migrations.slice(version)) await client.query(migration);
    if (version < migrations.length) {
      await client.query('DELETE FROM troupe_format');
      await client.query('INSERT INTO troupe_format VALUES ($1)', [migrations.length]);
    }
    await client.query("INSERT INTO troupe_meta VALUES ('shards', $1) ON CONFLICT DO NOTHING", [String(shards)]);
    const { rows } = await client.query<{ value: string }>("SELECT value FROM troupe_meta WHERE key = 'shards'");
    checkShardCount(namespace, Number(rows[0]?.value), shards);
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {});
    throw error;
  }
  await runMigrations(client, namespace);
}
