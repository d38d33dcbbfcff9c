/**
 * An engine opened to look at what it holds. Nothing can be changed through it, and opening it changes nothing: no
 * migration, no lease, no membership. A node may be running on the same data meanwhile.
 */

import { join } from 'node:path';
import { type Clock, systemClock, wait } from '../clock.ts';
import { TroupeError } from '../errors.ts';
import { type Log, silentLog } from '../log.ts';
import type { EngineReading } from './reading.ts';

export interface ReadingOptions {
  readonly namespace: string;
  /** Folder of the node's data. */
  readonly dataDir: string;
  readonly log?: Log;
  readonly clock?: Clock;
}

/**
 * Opens what a URL names; none, or `embedded`, is the PostgreSQL in the data folder, which is started for the time of the
 * reading where no node has it running. Rejects with `NOT_FOUND` where nothing is stored under the namespace, with
 * `UNAVAILABLE` where the engine cannot be reached, and with `INVALID_MESSAGE` for an engine that keeps nothing.
 */
export async function openReading(url: string | undefined, options: ReadingOptions): Promise<EngineReading> {
  const { namespace, clock = systemClock } = options;
  if (url === undefined || url === '' || url === 'embedded') return readEmbedded(options);
  switch (URL.canParse(url) ? new URL(url).protocol : url) {
    case 'redis:':
    case 'rediss:': {
      const { readRedis } = await import('./redis/redis-reading.ts');
      return readRedis(url, namespace, clock);
    }
    case 'postgres:':
    case 'postgresql:': {
      const { readPostgres } = await import('./postgres/postgres-reading.ts');
      return readPostgres(url, namespace, clock);
    }
    default:
      throw new TroupeError('INVALID_MESSAGE', 'This engine keeps nothing that could be read. Name another.');
  }
}

/** How long a PostgreSQL that is just starting is waited for, in milliseconds. */
const readyWithinMs = 15_000;
const readyPollMs = 100;

async function readEmbedded(options: ReadingOptions): Promise<EngineReading> {
  const { namespace, clock = systemClock, log = silentLog } = options;
  const folder = join(options.dataDir, 'postgres');
  const { exists } = await import('./postgres/folders.ts');
  if (!(await exists(join(folder, 'data', 'PG_VERSION'))))
    throw new TroupeError('NOT_FOUND', `There is no database in ${options.dataDir}. Name the folder with --data-dir.`);
  const { readPostgres } = await import('./postgres/postgres-reading.ts');
  const { findPostmaster } = await import('./postgres/postmaster.ts');
  const { embeddedDatabase: database, embeddedUser: user } = await import('./postgres/cluster.ts');
  const running = await findPostmaster(join(folder, 'data'));
  if (running !== undefined) {
    const place = { host: running.socketFolder, user, database };
    const until = clock.monotonic() + readyWithinMs;
    for (;;) {
      try {
        const reading = await readPostgres(place, namespace, clock);
        return { ...reading, description: 'embedded PostgreSQL, which a node has running' };
      } catch (error) {
        const mayCome = error instanceof TroupeError && error.reason === 'UNAVAILABLE';
        if (!mayCome || clock.monotonic() > until) throw error;
        await wait(clock, readyPollMs);
      }
    }
  }
  const { overEmbedded } = await import('./postgres/over-embedded.ts');
  return overEmbedded({ dataDir: folder, log, clock }, (connection) => readPostgres(connection, namespace, clock));
}
