import { createPostgresBackend } from 'bullmq';
import type { Clock } from '../../clock.ts';
import { createBullmqMailboxes } from '../bullmq-mailboxes.ts';
import { type EngineReading, nothingStored, unreadable } from '../reading.ts';
import { createPostgresLink, type PostgresPlace } from './link.ts';
import { createPostgresStore } from './store.ts';

/** PostgreSQL itself refuses what would write, from us and from BullMQ. */
const readOnly = '-c default_transaction_read_only=on';

/** Opens a namespace on PostgreSQL for reading. */
export async function readPostgres(connection: PostgresPlace, namespace: string, clock: Clock): Promise<EngineReading> {
  const link = createPostgresLink(readOnlyPlace(connection), namespace);
  const place = `PostgreSQL at ${link.place}`;
  try {
    const [found] = await link.query<{ there: boolean }>(
      'troupe-reading',
      'SELECT to_regclass($1) IS NOT NULL AS there',
      [`"${namespace}".troupe_meta`],
    );
    if (found?.there !== true) throw nothingStored(namespace, place);
    const [row] = await link.query<{ value: string }>(
      'troupe-shards',
      "SELECT value FROM troupe_meta WHERE key = 'shards'",
      [],
    );
    const shards = Number(row?.value);
    if (!Number.isSafeInteger(shards) || shards < 1) throw nothingStored(namespace, place);
    const root = createPostgresBackend('mail', { connection: link.queueSettings });
    root.on('error', () => {});
    await root.waitUntilReady();
    return {
      description: place,
      shards,
      store: createPostgresStore(link),
      transport: createBullmqMailboxes({ root, queueOf: (shard) => ({ name: shard }), call: link.call, clock }),
      async nowMs() {
        const text = 'SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now';
        const [time] = await link.query<{ now: string }>('troupe-now', text, []);
        return Number(time?.now);
      },
      async close() {
        await Promise.all([link.close(), root.close().catch(() => {})]);
      },
    };
  } catch (error) {
    await link.close();
    throw unreadable(place, error);
  }
}

function readOnlyPlace(connection: PostgresPlace): string {
  const url = new URL(typeof connection === 'string' ? connection : urlOf(connection));
  url.searchParams.set('options', `${url.searchParams.get('options') ?? ''} ${readOnly}`.trim());
  return url.toString();
}

function urlOf(place: Exclude<PostgresPlace, string>): string {
  const url = new URL(`postgres://localhost:${place.port ?? 5432}/${encodeURIComponent(place.database)}`);
  url.username = encodeURIComponent(place.user);
  if (place.password !== undefined) url.password = encodeURIComponent(place.password);
  url.searchParams.set('host', place.host);
  return url.toString();
}
