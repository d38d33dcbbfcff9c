/** The storage that both sides of a bench share: a server of the run's own. */

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../../runtime/clock.ts';
import { startEmbeddedPostgres } from '../../runtime/engines/postgres/embedded.ts';
import { textOf } from '../../runtime/errors.ts';
import { redisMissing, startOwnRedis } from '../faults/own-redis.ts';
import { dataFolderOf } from '../faults/run-folder.ts';

export const benchEngines = ['redis', 'embedded'] as const;
export type BenchEngine = (typeof benchEngines)[number];

export interface EngineServer {
  readonly engine: BenchEngine;
  readonly url: string;
  stop(): Promise<void>;
}

/** Starts it in a run's folder; a text says why it cannot be. */
export async function startEngineServer(
  engine: BenchEngine,
  folder: string,
  clock: Clock,
  signal: AbortSignal,
): Promise<EngineServer | string> {
  signal.throwIfAborted();
  if (engine === 'redis') {
    const missing = redisMissing();
    if (missing !== undefined) return missing;
    // It ends with the folder's run.
    const { url } = await startOwnRedis(folder, clock, signal, 'everysec');
    return { engine, url, stop: async () => undefined };
  }
  try {
    const dataDir = dataFolderOf(folder);
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    const server = await startEmbeddedPostgres({ dataDir: join(dataDir, 'postgres'), clock });
    const { host, user, database } = server.connection;
    const url = `postgres://${user}@localhost/${database}?host=${encodeURIComponent(host)}`;
    return { engine, url, stop: () => server.stop() };
  } catch (error) {
    signal.throwIfAborted();
    return textOf(error);
  }
}
