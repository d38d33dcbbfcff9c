import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, createConnection, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

/** A Redis server of the test's own, on a free port, with its data in a temporary folder. */
export interface TestRedis {
  readonly url: string;
  readonly port: number;
  /** Where its data are. */
  readonly folder: string;
  /** Of the process that runs now. */
  pid(): number;
  /** SIGKILL, and wait for the end. */
  kill(): Promise<void>;
  /** SIGSTOP and SIGCONT: a server that neither answers nor closes. */
  pause(): void;
  resume(): void;
  /** Starts it again on the same port and data; resolves when it answers. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

export interface TestRedisOptions {
  readonly appendonly?: 'yes' | 'no';
  readonly policy?: string;
  /** Default `always`: with `everysec` a kill -9 loses up to 2 s of acknowledged writes where the disk stalls. */
  readonly appendfsync?: 'always' | 'everysec';
  /** Where its data are to be, and stay; default: a temporary folder. */
  readonly folder?: string;
}

/** Whether the tests can start Redis; under CI=true its absence is a failure, not a skip. */
export function redisMissing(): string | false {
  if (spawnSync('redis-server', ['--version']).status === 0) return false;
  if (process.env.CI === 'true') throw new Error('redis-server is missing, and under CI nothing may be missing');
  return 'redis-server is not installed (apt-get install redis-server)';
}

/** Starts a server; `t` may be left out by callers that stop it themselves. */
export async function startRedis(t?: Pick<TestContext, 'after'>, options: TestRedisOptions = {}): Promise<TestRedis> {
  const folder = options.folder ?? (await mkdtemp(join(tmpdir(), 'troupe-redis-')));
  const port = await freePort();
  let child: ChildProcess;

  const start = async (): Promise<void> => {
    const flags = {
      port: String(port),
      bind: '127.0.0.1',
      dir: folder,
      save: '',
      appendonly: options.appendonly ?? 'yes',
      appendfsync: options.appendfsync ?? 'always',
      'maxmemory-policy': options.policy ?? 'noeviction',
    };
    child = spawn(
      'redis-server',
      Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value]),
      { stdio: 'ignore' },
    );
    await answering(port, child);
  };
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, 'exit');
    child.kill(signal);
    await exit;
  };

  await start();
  const server: TestRedis = {
    url: `redis://127.0.0.1:${port}`,
    port,
    folder,
    pid: () => child.pid as number,
    kill: () => end('SIGKILL'),
    pause: () => void child.kill('SIGSTOP'),
    resume: () => void child.kill('SIGCONT'),
    restart: async () => {
      await end('SIGKILL');
      await start();
    },
    stop: async () => {
      await end('SIGKILL');
      if (options.folder === undefined) await rm(folder, { recursive: true, force: true });
    },
  };
  t?.after(() => server.stop());
  return server;
}

/** Resolves when the server answers PING with PONG, which it does not while it loads its data. */
async function answering(port: number, child: ChildProcess): Promise<void> {
  while (child.exitCode === null && child.signalCode === null) {
    const pong = await new Promise<boolean>((resolve) => {
      const socket = createConnection({ port, host: '127.0.0.1' }, () => socket.write('PING\r\n'));
      socket.once('data', (data) => {
        resolve(data.toString().startsWith('+PONG'));
        socket.destroy();
      });
      socket.once('error', () => resolve(false));
      socket.once('close', () => resolve(false));
    });
    if (pong) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`redis-server ended with ${child.exitCode ?? child.signalCode}`);
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
