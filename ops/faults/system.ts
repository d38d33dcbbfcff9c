/**
 * The system under a fault run: a node of the run's own, started by the command that users run and in processes that
 * the run owns; or a node that runs already.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Clock, wait } from '../../runtime/clock.ts';
import { findPostmaster, runs } from '../../runtime/engines/postgres/postmaster.ts';
import { formatDuration } from '../config/values.ts';
import { findNode, type NodeFile } from '../node-file.ts';
import { identityOf } from '../process-identity.ts';
import { AdminClient } from './admin-client.ts';
import { type OwnRedis, startOwnRedis } from './own-redis.ts';
import { dataFolderOf, endRun, makeRunFolder, nodeLogOf, noteNode, postgresDataOf } from './run-folder.ts';

export interface System {
  /** Removed with the system at its end; absent where the node is not ours. */
  readonly folder?: string;
  /** The node as it runs; of one that was killed, as it ran. */
  readonly node: NodeFile;
  readonly admin: AdminClient;
  /** Whether a node stands behind `node` now. */
  readonly up: boolean;
  /** Resolves when one does. */
  whenUp(signal: AbortSignal): Promise<void>;
  /** Lives of the node that ended by themselves. */
  readonly ownDeaths: number;
  /** SIGKILL of the node, then its start on the same data and ports; resolves when it is ready again. */
  killAndStart(signal: AbortSignal): Promise<void>;
  /** SIGKILL of the engine, and its start where the node does not see to that; absent where the engine is not ours. */
  readonly killEngine?: (signal: AbortSignal) => Promise<void>;
  /** Ends what the run started, and removes its data. */
  end(): Promise<void>;
  /** What the node wrote to its log; of a node that is not ours, nothing. */
  log(): string;
}

/** The node does not start. */
export class StartFailed extends Error {
  override readonly name = 'StartFailed';
}

export interface OwnSystemOptions {
  readonly app: string;
  /** As `up --engine` takes it; or `redis`, a Redis of the run's own. */
  readonly engine: string;
  readonly threads: number;
  readonly namespace: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Called before each kill of the node, which it holds up. */
  readonly beforeKill?: (system: Pick<System, 'node' | 'admin'>) => Promise<void>;
  /** After how many milliseconds the start that follows a kill is itself cut off by one; `undefined`: not this time. */
  readonly cutStartMs?: () => number | undefined;
}

const startWithinMs = 90_000;
const pollMs = 25;
const upPollMs = 50;
const drainGraceMs = 3_000;
const logTailCharacters = 2_000;

const besideThis = (path: string): string =>
  fileURLToPath(new URL(`${path}${extname(import.meta.url)}`, import.meta.url));

/** Starts a node with data of its own. @throws StartFailed */
export async function startOwnSystem(options: OwnSystemOptions): Promise<System> {
  const { clock } = options;
  const folder = makeRunFolder();
  // Both are in sessions of their own: Ctrl-C in the terminal is for the run alone, which then ends them in order.
  const watchdog = spawn(process.execPath, [besideThis('./watchdog'), folder], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  watchdog.unref();
  const end = async (): Promise<void> => {
    await endRun(folder, clock);
    watchdog.stdin.end();
  };
  let child: ChildProcess;
  let node: NodeFile | undefined;
  let redis: OwnRedis | undefined;
  let ownDeaths = 0;

  const launch = (): number | undefined => {
    child = spawnNode({ ...options, engine: redis?.url ?? options.engine }, folder, node);
    const { pid } = child;
    const identity = pid === undefined ? undefined : identityOf(pid);
    if (identity !== undefined) noteNode(folder, identity);
    return pid;
  };
  const kill = async (): Promise<void> => {
    if (hasEnded(child)) {
      ownDeaths += 1;
      return;
    }
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  };
  const start = async (signal: AbortSignal): Promise<NodeFile> => {
    const pid = launch();
    const until = clock.monotonic() + startWithinMs;
    while (clock.monotonic() < until) {
      const found = findNode(dataFolderOf(folder));
      if (found !== undefined && found.pid === pid && (await new AdminClient(found, clock).isReady())) return found;
      if (pid === undefined || hasEnded(child))
        throw new StartFailed(`the node ended with ${child.exitCode ?? child.signalCode}:\n${tailOf(folder)}`);
      await wait(clock, pollMs, signal);
    }
    throw new StartFailed(`the node was not ready within ${formatDuration(startWithinMs)}:\n${tailOf(folder)}`);
  };

  try {
    if (options.engine === 'redis') redis = await startOwnRedis(folder, clock, options.signal);
    node = await start(options.signal);
  } catch (error) {
    await end();
    throw error;
  }
  let up = true;
  let admin = new AdminClient(node, clock);
  const ready: NodeFile = node;
  const killEngine =
    redis?.killAndStart ?? (options.engine === 'embedded' ? () => killPostmaster(folder, clock) : undefined);
  return {
    folder,
    ...(killEngine === undefined ? {} : { killEngine }),
    get node() {
      return node ?? ready;
    },
    get admin() {
      return admin;
    },
    get up() {
      return up;
    },
    get ownDeaths() {
      return ownDeaths;
    },
    async whenUp(signal) {
      while (!up) await wait(clock, upPollMs, signal);
    },
    async killAndStart(signal) {
      await options.beforeKill?.({ node: node ?? ready, admin });
      up = false;
      await kill();
      const cutMs = options.cutStartMs?.();
      if (cutMs !== undefined) {
        launch();
        await wait(clock, cutMs, signal);
        await kill();
      }
      node = await start(signal);
      admin = new AdminClient(node, clock);
      up = true;
    },
    end,
    log: () => readLog(folder),
  };
}

const hasEnded = ({ exitCode, signalCode }: ChildProcess): boolean => exitCode !== null || signalCode !== null;

/** The node starts its PostgreSQL again by itself. */
async function killPostmaster(folder: string, clock: Clock): Promise<void> {
  const postmaster = await findPostmaster(postgresDataOf(folder));
  if (postmaster === undefined) throw new Error('no PostgreSQL runs on the data of the node');
  process.kill(postmaster.pid, 'SIGKILL');
  while (runs(postmaster.pid)) await wait(clock, pollMs);
}

function spawnNode(options: OwnSystemOptions, folder: string, former: NodeFile | undefined): ChildProcess {
  const { app, engine, threads, namespace } = options;
  const flags = {
    app,
    engine,
    threads: String(threads),
    namespace,
    'data-dir': dataFolderOf(folder),
    'grpc-addr': former?.grpc ?? '127.0.0.1:0',
    'http-addr': former?.http ?? '127.0.0.1:0',
    'admin-addr': former?.admin ?? '127.0.0.1:0',
    'drain-grace': formatDuration(drainGraceMs),
  };
  const words = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value]);
  const log = openSync(nodeLogOf(folder), 'a', 0o600);
  try {
    return spawn(process.execPath, [besideThis('../cli/main'), 'up', '--allow-faults', ...words], {
      cwd: folder,
      detached: true,
      stdio: ['ignore', log, log],
      env: Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('TROUPE_'))),
    });
  } finally {
    closeSync(log);
  }
}

/** What the node of a run's folder has logged. */
export function readLog(folder: string): string {
  try {
    return readFileSync(nodeLogOf(folder), 'utf8');
  } catch {
    return '';
  }
}

const tailOf = (folder: string): string => readLog(folder).slice(-logTailCharacters).trim() || 'it said nothing';

/** The node that runs on a data folder; `undefined` when none does. */
export function attachedSystem(dataFolder: string, clock: Clock): System | undefined {
  const node = findNode(dataFolder);
  if (node === undefined) return undefined;
  return {
    node,
    admin: new AdminClient(node, clock),
    get up() {
      return findNode(dataFolder) !== undefined;
    },
    ownDeaths: 0,
    whenUp: async () => undefined,
    killAndStart: () => Promise.reject(new Error('this run did not start the node')),
    end: async () => undefined,
    log: () => '',
  };
}
