/** A Redis of a run's own: with AOF (everysec), on a free port, in a session of its own. */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { type Clock, wait } from '../../runtime/clock.ts';
import { identityOf } from '../process-identity.ts';
import { noteEngine } from './run-folder.ts';

export interface OwnRedis {
  readonly url: string;
  /** SIGKILL, then its start on the same port and data; resolves when it answers again. */
  killAndStart(signal: AbortSignal): Promise<void>;
}

/** Why there is no Redis to start; `undefined` where there is one. */
export function redisMissing(): string | undefined {
  return spawnSync('redis-server', ['--version']).status === 0
    ? undefined
    : 'redis-server is not installed (apt-get install redis-server)';
}

const pollMs = 20;
const startWithinMs = 30_000;

/**
 * When Redis hands its log to the disk. With `everysec` a kill -9 loses up to 2 s of acknowledged writes where the disk
 * stalls, as on a busy machine; what is to survive kills needs `always`.
 */
type Fsync = 'always' | 'everysec';

/** Starts a server that ends with its run folder, in whose journal it is noted. */
export async function startOwnRedis(
  folder: string,
  clock: Clock,
  signal: AbortSignal,
  fsync: Fsync = 'always',
): Promise<OwnRedis> {
  const port = await freePort();
  const dir = join(folder, 'redis');
  mkdirSync(dir, { mode: 0o700 });
  let server = await startServer(folder, dir, port, clock, signal, fsync);
  return {
    url: `redis://127.0.0.1:${port}`,
    async killAndStart(stop) {
      const exited = once(server, 'exit');
      if (server.kill('SIGKILL')) await exited;
      server = await startServer(folder, dir, port, clock, stop, fsync);
    },
  };
}

async function startServer(
  folder: string,
  dir: string,
  port: number,
  clock: Clock,
  signal: AbortSignal,
  fsync: Fsync,
): Promise<ChildProcess> {
  const flags = {
    port: String(port),
    bind: '127.0.0.1',
    dir,
    save: '',
    appendonly: 'yes',
    appendfsync: fsync,
    'maxmemory-policy': 'noeviction',
  };
  const words = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value]);
  const server = spawn('redis-server', words, { detached: true, stdio: 'ignore' });
  server.unref();
  const identity = server.pid === undefined ? undefined : identityOf(server.pid);
  if (identity !== undefined) noteEngine(folder, identity);
  const client = new Redis({ port, host: '127.0.0.1', retryStrategy: () => pollMs, maxRetriesPerRequest: null });
  client.on('error', () => undefined);
  try {
    const until = clock.monotonic() + startWithinMs;
    let ready = false;
    // A server that loads its data is asked again.
    client.ping().then(
      () => {
        ready = true;
      },
      () => undefined,
    );
    while (!ready) {
      if (server.exitCode !== null) throw new Error(`redis-server ended with ${server.exitCode}`);
      if (clock.monotonic() > until) throw new Error('redis-server did not answer in time');
      await wait(clock, pollMs, signal);
    }
  } finally {
    client.disconnect();
  }
  return server;
}

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
