/**
 * Which node a running embedded PostgreSQL belongs to. The node holds an advisory lock in one session for as long as
 * it lives; a killed node's session ends with it, so a database whose lock is free is an orphan.
 */

import pg from 'pg';
import { type Clock, wait } from '../../clock.ts';
import { embeddedDatabase, embeddedUser } from './cluster.ts';

/** "troupe" on a telephone's keys. */
const guardLock = 876873;
const connectRetryMs = 20;
const lockRetryMs = 100;

export interface Guard {
  release(): Promise<void>;
}

/** `undefined` when another node holds the lock. Rejects when PostgreSQL takes no connection. */
async function tryGuard(socketFolder: string, onLost: () => void): Promise<Guard | undefined> {
  const client = new pg.Client({
    host: socketFolder,
    user: embeddedUser,
    database: embeddedDatabase,
    application_name: 'troupe-guard',
    connectionTimeoutMillis: 2_000,
    query_timeout: 2_000,
  });
  let released = false;
  client.on('error', () => {});
  client.on('end', () => {
    if (!released) onLost();
  });
  const release = async (): Promise<void> => {
    released = true;
    await client.end().catch(() => {});
  };
  try {
    await client.connect();
    const { rows } = await client.query<{ held: boolean }>('SELECT pg_try_advisory_lock($1) AS held', [guardLock]);
    if (rows[0]?.held === true) return { release };
  } catch (error) {
    await release();
    throw error;
  }
  await release();
  return undefined;
}

/**
 * As `tryGuard`, for a PostgreSQL that is still starting: tries until the deadline, until it is `gone`, or until
 * another has held the lock for `patienceMs`. `mute`: it took no connection.
 */
export async function guardWhenReady(options: {
  readonly socketFolder: string;
  readonly clock: Clock;
  readonly withinMs: number;
  readonly patienceMs: number;
  readonly gone: () => boolean;
  readonly onLost: () => void;
}): Promise<Guard | 'held' | 'gone' | 'mute'> {
  const { clock } = options;
  const deadline = clock.monotonic() + options.withinMs;
  let heldUntil: number | undefined;
  while (clock.monotonic() < deadline) {
    if (options.gone()) return 'gone';
    try {
      const guard = await tryGuard(options.socketFolder, options.onLost);
      if (guard !== undefined) return guard;
      heldUntil ??= clock.monotonic() + options.patienceMs;
    } catch {
      heldUntil = undefined;
    }
    if (heldUntil !== undefined && clock.monotonic() >= heldUntil) return 'held';
    await wait(clock, heldUntil === undefined ? connectRetryMs : lockRetryMs);
  }
  return 'mute';
}
