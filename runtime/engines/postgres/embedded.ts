/**
 * The PostgreSQL that comes with Troupe: its programs, a data folder, a private socket, no TCP. It runs in a process
 * group of its own, so that Ctrl-C reaches the node alone, which drains first and stops it last.
 *
 * 1. A node that was killed leaves its PostgreSQL running. The next start stops that one and starts its own.
 * 2. A second start on the same data is refused while the first node lives. PostgreSQL's own lock file keeps two
 *    postmasters from one data folder, whatever happens here.
 * 3. A PostgreSQL that dies while the node lives is started again.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { lstat, open, readFile, realpath, rename, rmdir, stat, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Clock, systemClock, wait } from '../../clock.ts';
import { TroupeError } from '../../errors.ts';
import { type Log, silentLog } from '../../log.ts';
import { libraryEnvironment, programsFolder } from './binaries.ts';
import { embeddedDatabase, embeddedUser, prepareCluster, programRunner, programVersion } from './cluster.ts';
import { makePrivateFolder, makeSocketFolder } from './folders.ts';
import { type Guard, guardWhenReady } from './guard.ts';
import { chooseLauncher } from './launcher.ts';
import { findPostmaster, runs, stopPostmaster } from './postmaster.ts';

const startWithinMs = 60_000;
/** How long the lock may be held by another before its holder counts as a living node. */
const holderPatienceMs = 500;
/** The same for our own PostgreSQL, which another start may be probing. */
const ownPatienceMs = 5_000;
const leftoversWithinMs = 10_000;
const logTailCharacters = 600;
const restartFirstMs = 100;
const restartMaxMs = 5_000;
/** Size at which PostgreSQL's log is set aside at start, in bytes. */
const logBytesMax = 4 * 1024 * 1024;

const settings = {
  listen_addresses: '',
  unix_socket_permissions: '0700',
  port: '5432',
  fsync: 'on',
  synchronous_commit: 'on',
  wal_level: 'minimal',
  max_wal_senders: '0',
  max_wal_size: '256MB',
  max_connections: '40',
  shared_buffers: '64MB',
  huge_pages: 'off',
  jit: 'off',
  autovacuum_naptime: '15s',
  timezone: 'UTC',
  log_timezone: 'UTC',
  log_checkpoints: 'off',
} as const;

export interface EmbeddedPostgresOptions {
  /** Folder of the database; made where missing. */
  readonly dataDir: string;
  readonly log?: Log;
  readonly clock?: Clock;
}

export interface EmbeddedPostgres {
  readonly connection: { readonly host: string; readonly user: string; readonly database: string };
  /** Where its files are: the folder asked for, or one under /var/lib/troupe. */
  readonly folder: string;
  /** Such as "18.4". */
  readonly version: string;
  /** Of the postmaster that runs now. */
  readonly pid: number;
  /** Ends PostgreSQL in order; resolves when it is gone. */
  stop(): Promise<void>;
}

/** Rejects with `TroupeError` `UNAVAILABLE`, saying what to do. */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const clock = options.clock ?? systemClock;
  const log = options.log ?? silentLog;

  await makePrivateFolder(options.dataDir);
  const asked = await realpath(options.dataDir);
  const launcher = await chooseLauncher(asked);
  const home = launcher.folder ?? asked;
  await makePrivateFolder(home);
  await launcher.give(home);
  if (launcher.folder !== undefined) {
    log.info({ folder: home }, 'root may not use user namespaces: other data folder');
    await pointTo(join(home, 'data'), join(asked, 'data'));
  }

  const root = await launcher.place(programsFolder());
  const environment = {
    PATH: process.env.PATH ?? '/usr/bin:/bin',
    LC_ALL: 'C',
    ...(await libraryEnvironment(root, home, launcher.give)),
  };
  const run = programRunner(launcher.prefix, root, environment);
  const version = programVersion(run);
  await endOrphan(join(home, 'data'));
  const data = await prepareCluster(home, version, run, launcher.give);
  const socketFolder = await makeSocketFolder(data, launcher.owner);
  await launcher.give(socketFolder);
  const logFile = join(home, 'postgres.log');
  await setAside(logFile);

  let child: ChildProcess;
  let guard: Guard | undefined;
  let stopping = false;
  let restarting: Promise<void> | undefined;

  /** Stops a PostgreSQL whose node is gone; refuses while its node lives. */
  async function endOrphan(folder: string): Promise<void> {
    const found = await findPostmaster(folder);
    if (found === undefined) return;
    const answer = await guardWhenReady({
      socketFolder: found.socketFolder,
      clock,
      withinMs: startWithinMs / 2,
      patienceMs: holderPatienceMs,
      gone: () => !runs(found.pid),
      onLost: () => {},
    });
    if (answer === 'gone') return;
    if (answer === 'held') throw inUse(asked);
    if (answer === 'mute') {
      throw new TroupeError(
        'UNAVAILABLE',
        `A PostgreSQL (process ${found.pid}) runs on ${folder} and does not answer. If no Troupe uses it, end it with ` +
          `"kill -INT ${found.pid}" and start again.`,
      );
    }
    log.info({ pid: found.pid }, 'stopping the PostgreSQL that a killed node left');
    await stopPostmaster(found.pid, clock);
    await answer.release();
  }

  async function start(): Promise<void> {
    const giveUp = clock.monotonic() + leftoversWithinMs;
    for (;;) {
      const logged = (await stat(logFile).catch(() => undefined))?.size ?? 0;
      await launch();
      const answer = await guardOwn(ended);
      if (typeof answer === 'object') {
        // Of two starts at once, the postmaster that answers may be the other's.
        if (!ended() && (await findPostmaster(data))?.pid === child.pid) {
          guard = answer;
          return;
        }
        await answer.release();
      }
      if (!ended()) await stopPostmaster(child.pid as number, clock);
      const said = (await readFile(logFile)).subarray(logged).toString();
      const tail = said.trimEnd().slice(-logTailCharacters);
      if (answer !== 'mute' && /lock file "postmaster.pid" already exists/.test(said)) throw inUse(asked);
      // Sessions of a killed postmaster take a moment to notice.
      const leftovers = /pre-existing shared memory block/.test(said) && clock.monotonic() < giveUp;
      if (!leftovers) {
        throw new TroupeError('UNAVAILABLE', `PostgreSQL in ${home} does not start. The end of ${logFile}:\n${tail}`);
      }
      await wait(clock, restartFirstMs);
    }
  }

  async function launch(): Promise<void> {
    const flags = Object.entries({ ...settings, unix_socket_directories: socketFolder });
    const words = ['-D', data, ...flags.flatMap(([name, value]) => ['-c', `${name}=${value}`])];
    const [first = '', ...rest] = [...launcher.prefix, join(root, 'bin', 'postgres'), ...words];
    const output = await open(logFile, 'a', 0o600);
    try {
      child = spawn(first, rest, {
        detached: true,
        cwd: '/',
        env: environment,
        stdio: ['ignore', output.fd, output.fd],
      });
      child.on('error', () => {});
      child.unref();
    } finally {
      await output.close();
    }
  }

  function guardOwn(gone: () => boolean): ReturnType<typeof guardWhenReady> {
    return guardWhenReady({
      socketFolder,
      clock,
      withinMs: startWithinMs,
      patienceMs: ownPatienceMs,
      gone,
      onLost: () => void keepGuard(),
    });
  }

  /** After a crash of one session PostgreSQL ends them all and goes on; the lock has to be taken again. */
  async function keepGuard(): Promise<void> {
    guard = undefined;
    const guarded = child;
    const gone = (): boolean => stopping || child !== guarded || ended();
    const answer = await guardOwn(gone);
    if (typeof answer !== 'object') return;
    // A PostgreSQL that was started again meanwhile has taken, or waits for, a lock of its own.
    if (gone()) await answer.release();
    else guard = answer;
  }

  function ended(): boolean {
    return child.exitCode !== null || child.signalCode !== null || child.pid === undefined;
  }

  function watch(): void {
    const onExit = (): void => {
      if (!stopping) restarting = restart();
    };
    if (ended()) onExit();
    else child.once('exit', onExit);
  }

  async function restart(): Promise<void> {
    log.warn({ code: child.exitCode, signal: child.signalCode }, 'PostgreSQL ended on its own; starting it again');
    for (let delayMs = restartFirstMs; !stopping; delayMs = Math.min(delayMs * 2, restartMaxMs)) {
      try {
        await findPostmaster(data);
        await start();
        watch();
        return;
      } catch (error) {
        log.warn({ error }, 'PostgreSQL does not start again');
        await wait(clock, delayMs);
      }
    }
  }

  // A node that ends without `stop` leaves no PostgreSQL behind; only a kill -9 does.
  const endAtOnce = (): void => {
    if (!ended()) process.kill(child.pid as number, 'SIGQUIT');
  };

  await start();
  watch();
  process.once('exit', endAtOnce);
  return {
    connection: { host: socketFolder, user: embeddedUser, database: embeddedDatabase },
    folder: home,
    version,
    get pid() {
      return child.pid as number;
    },
    async stop() {
      stopping = true;
      process.off('exit', endAtOnce);
      await restarting;
      if (!ended()) await stopPostmaster(child.pid as number, clock);
      await guard?.release();
      await rmdir(socketFolder).catch(() => {});
    },
  };
}

const inUse = (folder: string): TroupeError =>
  new TroupeError(
    'UNAVAILABLE',
    `Another Troupe runs on the data in ${folder}. Stop it first (troupe down), or start with another data folder ` +
      '(TROUPE_DATA_DIR).',
  );

/** Leaves a pointer to where the data are. Data that were made while user namespaces were allowed are not passed by. */
async function pointTo(data: string, at: string): Promise<void> {
  const found = await lstat(at).catch(() => undefined);
  if (found === undefined) await symlink(data, at);
  else if (!found.isSymbolicLink()) {
    throw new TroupeError(
      'UNAVAILABLE',
      `The data in ${at} were written by root in a user namespace, which the system now forbids. Allow it again, or ` +
        `move them to ${data} and give them to the user that owns ${dirname(data)}.`,
    );
  }
}

async function setAside(logFile: string): Promise<void> {
  const found = await stat(logFile).catch(() => undefined);
  if (found !== undefined && found.size > logBytesMax) await rename(logFile, `${logFile}.1`);
}
