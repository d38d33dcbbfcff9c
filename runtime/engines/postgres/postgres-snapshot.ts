import type pg from 'pg';
import { nothingStored, unreadable } from '../reading.ts';
import type { EngineSnapshot, StoredRecord } from '../snapshot.ts';
import { createPostgresLink, type PostgresPlace } from './link.ts';

/** Rows that are fetched at once. */
const pageRows = 500;

/** Each query gives the fields of its records in their order. */
const queries: readonly (readonly [StoredRecord[0], string])[] = [
  ['row', 'SELECT shard, tbl, key, value FROM troupe_rows ORDER BY shard, tbl, key'],
  ['entry', 'SELECT shard, list, value FROM troupe_lists ORDER BY shard, list, pos'],
  ['rank', 'SELECT shard, idx, member, score FROM troupe_ranks ORDER BY shard, idx, member'],
  [
    'job',
    `SELECT queue, coalesce(data->>'data', data::text) FROM job
      WHERE state IN ('active', 'waiting') ORDER BY queue, seq`,
  ],
];

/** A namespace on PostgreSQL, read in one transaction whose view does not change. */
export async function snapshotPostgres(connection: PostgresPlace, namespace: string): Promise<EngineSnapshot> {
  const link = createPostgresLink(connection, namespace);
  const place = `PostgreSQL at ${link.place}`;
  const client = await link.connect();
  const close = async (): Promise<void> => {
    await client.end().catch(() => undefined);
    await link.close();
  };
  try {
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    const there = await client.query<{ there: boolean }>('SELECT to_regclass($1) IS NOT NULL AS there', [
      `"${namespace}".troupe_meta`,
    ]);
    if (there.rows[0]?.there !== true) throw nothingStored(namespace, place);
    await client.query(`SET LOCAL search_path TO "${namespace}"`);
    const meta = await client.query<{ value: string }>("SELECT value FROM troupe_meta WHERE key = 'shards'");
    return { description: place, shards: Number(meta.rows[0]?.value), records: () => recordsOf(client), close };
  } catch (error) {
    await close();
    throw unreadable(place, error);
  }
}

async function* recordsOf(client: pg.Client): AsyncGenerator<StoredRecord> {
  for (const [kind, query] of queries) {
    await client.query(`DECLARE records NO SCROLL CURSOR FOR ${query}`);
    for (;;) {
      const { rows } = await client.query<unknown[]>({ text: `FETCH ${pageRows} FROM records`, rowMode: 'array' });
      for (const row of rows) yield [kind, ...row] as unknown as StoredRecord;
      if (rows.length < pageRows) break;
    }
    await client.query('CLOSE records');
  }
}
