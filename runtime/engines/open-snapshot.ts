import { join } from 'node:path';
import { type Clock, systemClock } from '../clock.ts';
import { TroupeError } from '../errors.ts';
import { type Log, silentLog } from '../log.ts';
import type { EngineSnapshot } from './snapshot.ts';

export interface SnapshotOptions {
  readonly namespace: string;
  /** Folder of the node's data. */
  readonly dataDir: string;
  readonly log?: Log;
  readonly clock?: Clock;
}

/**
 * Opens what a URL names as it is now. On PostgreSQL, embedded or own, a node may go on meanwhile: all is read in one
 * transaction. Redis has no such view, so there the namespace must not be in use.
 *
 * @throws TroupeError `NOT_FOUND` where nothing is stored, `UNAVAILABLE` where it cannot be read, `INVALID_MESSAGE` for
 * an engine that keeps nothing
 */
export async function openSnapshot(url: string, options: SnapshotOptions): Promise<EngineSnapshot> {
  const { namespace, clock = systemClock } = options;
  if (url === 'embedded') return snapshotEmbedded(options);
  if (/^rediss?:/.test(url)) {
    const { snapshotRedis } = await import('./redis/redis-snapshot.ts');
    return snapshotRedis(url, namespace, clock);
  }
  if (/^postgres(ql)?:/.test(url)) {
    const { snapshotPostgres } = await import('./postgres/postgres-snapshot.ts');
    return snapshotPostgres(url, namespace);
  }
  throw new TroupeError('INVALID_MESSAGE', 'This engine keeps nothing. Name another with --engine.');
}

async function snapshotEmbedded(options: SnapshotOptions): Promise<EngineSnapshot> {
  const { namespace, clock = systemClock, log = silentLog } = options;
  const folder = join(options.dataDir, 'postgres');
  const { exists } = await import('./postgres/folders.ts');
  if (!(await exists(join(folder, 'data', 'PG_VERSION'))))
    throw new TroupeError('NOT_FOUND', `There is no database in ${options.dataDir}. Name the folder with --data-dir.`);
  const { snapshotPostgres } = await import('./postgres/postgres-snapshot.ts');
  const { findPostmaster } = await import('./postgres/postmaster.ts');
  const { embeddedDatabase: database, embeddedUser: user } = await import('./postgres/cluster.ts');
  const running = await findPostmaster(join(folder, 'data'));
  if (running !== undefined) return snapshotPostgres({ host: running.socketFolder, user, database }, namespace);
  const { overEmbedded } = await import('./postgres/over-embedded.ts');
  return overEmbedded({ dataDir: folder, log, clock }, (connection) => snapshotPostgres(connection, namespace));
}
