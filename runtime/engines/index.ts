/** The door of this folder: an engine by its URL. */

import { join } from 'node:path';
import { type Clock, systemClock } from '../clock.ts';
import { TroupeError } from '../errors.ts';
import { type Log, silentLog } from '../log.ts';
import type { Engine, EngineInfo, EngineOptions } from './engine.ts';
import { createMemoryEngine } from './memory.ts';

export * from './engine.ts';
export { createMemoryEngine, createMemorySpace, type MemoryEngineOptions, type MemorySpace } from './memory.ts';

export interface OpenEngineOptions extends EngineOptions {
  /** Folder of the node's data; the embedded PostgreSQL lives in `postgres` below it. */
  readonly dataDir: string;
  /** Whether a Redis that may evict mail is used all the same. Default: no. */
  readonly acceptWeakDurability?: boolean;
  readonly log?: Log;
  readonly clock?: Clock;
}

export interface OpenedEngine {
  readonly engine: Engine;
  readonly info: EngineInfo;
  /** Closes the engine, and ends the embedded PostgreSQL where it runs. */
  stop(): Promise<void>;
}

/**
 * Opens the engine that a URL names; none, or `embedded`, is the PostgreSQL that comes with Troupe. Rejects with
 * `INVALID_MESSAGE` for a URL of another form, and `UNAVAILABLE` where the engine cannot be used.
 */
export async function openEngine(url: string | undefined, options: OpenEngineOptions): Promise<OpenedEngine> {
  const { namespace, shards, clock = systemClock } = options;
  const common = { namespace, shards, clock };
  if (url === undefined || url === '' || url === 'embedded') return openEmbedded(options);
  switch (protocolOf(url)) {
    case 'memory:':
      return opened(createMemoryEngine(common));
    case 'redis:':
    case 'rediss:': {
      const { createRedisEngine } = await import('./redis/redis-engine.ts');
      const acceptWeakDurability = options.acceptWeakDurability ?? false;
      return opened(createRedisEngine({ ...common, url, acceptWeakDurability }));
    }
    case 'postgres:':
    case 'postgresql:': {
      const { createPostgresEngine } = await import('./postgres/postgres-engine.ts');
      return opened(createPostgresEngine({ ...common, connection: url }));
    }
    default:
      throw new TroupeError(
        'INVALID_MESSAGE',
        'The engine is none that Troupe knows. Write one of: embedded, redis://HOST:6379, rediss://HOST:6379, ' +
          'postgres://USER@HOST/DATABASE, memory: (tests only, keeps nothing).',
      );
  }
}

async function openEmbedded(options: OpenEngineOptions): Promise<OpenedEngine> {
  const { namespace, shards, clock = systemClock, log = silentLog } = options;
  // Each library is loaded where its engine is used only: together they take half a second.
  const { startEmbeddedPostgres } = await import('./postgres/embedded.ts');
  const { createPostgresEngine } = await import('./postgres/postgres-engine.ts');
  const server = await startEmbeddedPostgres({ dataDir: join(options.dataDir, 'postgres'), log, clock });
  try {
    const engine = createPostgresEngine({ namespace, shards, clock, connection: server.connection });
    const info = await engine.open();
    return {
      engine,
      info: { ...info, description: `embedded PostgreSQL ${server.version}` },
      async stop() {
        await engine.close();
        await server.stop();
      },
    };
  } catch (error) {
    await server.stop();
    throw error;
  }
}

async function opened(engine: Engine): Promise<OpenedEngine> {
  return { engine, info: await engine.open(), stop: () => engine.close() };
}

/** Empty for what is no URL with a host; `memory:` needs none. */
function protocolOf(url: string): string {
  if (!URL.canParse(url)) return '';
  const { protocol } = new URL(url);
  return protocol === 'memory:' || url.toLowerCase().startsWith(`${protocol}//`) ? protocol : '';
}
