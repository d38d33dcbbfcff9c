import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { readFile, realpath, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { type Clock, wait } from '../../clock.ts';

/** What a running postmaster has written into its lock file. */
export interface Postmaster {
  readonly pid: number;
  readonly socketFolder: string;
  /** `ready` when it takes connections. */
  readonly status: string;
}

/** How long a stop may take before the next, harder signal, in milliseconds. */
const fastStopMs = 10_000;
const immediateStopMs = 5_000;
const pollMs = 20;

/** The postmaster that runs on this data folder, if one does. Also removes lock files that nobody holds. */
export async function findPostmaster(dataFolder: string): Promise<Postmaster | undefined> {
  const folder = await realpath(dataFolder).catch(() => dataFolder);
  const path = join(folder, 'postmaster.pid');
  const text = await readFile(path, 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  const lines = text.split('\n').map((line) => line.trim());
  const pid = Number(lines[0]);
  if (Number.isInteger(pid) && pid > 1 && runs(pid) && commandOf(pid).includes(folder)) {
    return { pid, socketFolder: lines[4] ?? '', status: lines[7] ?? '' };
  }
  // PostgreSQL itself gives up when some other process, or a zombie, has the number.
  if (Number.isInteger(pid) && signalled(pid)) {
    await unlink(path).catch(() => {});
    if (lines[4]) await unlink(join(lines[4], '.s.PGSQL.5432.lock')).catch(() => {});
  }
  return undefined;
}

/** Ends a postmaster: fast, then immediate, then by force. Resolves when it is gone. */
export async function stopPostmaster(pid: number, clock: Clock): Promise<void> {
  for (const [signal, withinMs] of [
    ['SIGINT', fastStopMs],
    ['SIGQUIT', immediateStopMs],
    ['SIGKILL', immediateStopMs],
  ] as const) {
    if (!runs(pid)) return;
    process.kill(pid, signal);
    const deadline = clock.monotonic() + withinMs;
    while (runs(pid) && clock.monotonic() < deadline) await wait(clock, pollMs);
  }
  if (runs(pid)) throw new Error(`PostgreSQL, process ${pid}, does not end. End it by hand: kill -9 ${pid}`);
}

/** Whether the process exists and is no zombie: under some first processes, orphans stay zombies for ever. */
export function runs(pid: number): boolean {
  return signalled(pid) && !stateOf(pid).startsWith('Z');
}

function signalled(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function stateOf(pid: number): string {
  if (process.platform !== 'linux') return ps(pid, 'stat');
  const stat = readProcess(pid, 'stat');
  // The second field, the name, stands in brackets and may hold anything.
  return stat.slice(stat.lastIndexOf(')') + 2);
}

function commandOf(pid: number): string {
  return process.platform === 'linux' ? readProcess(pid, 'cmdline') : ps(pid, 'command');
}

function readProcess(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return '';
  }
}

function ps(pid: number, field: string): string {
  return spawnSync('ps', ['-ww', '-o', `${field}=`, '-p', String(pid)], { encoding: 'utf8' }).stdout?.trim() ?? '';
}
