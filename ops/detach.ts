/** Starts a node in the background and waits until it is ready, or says why it is not. */

import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, fstatSync, openSync, readSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { type Clock, systemClock } from '../runtime/clock.ts';
import { makeDataFolder } from './data-folder.ts';

export interface DetachOptions {
  readonly dataDir: string;
  /** The command line of the node: what follows `troupe`. */
  readonly words: readonly string[];
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  readonly clock?: Clock;
}

/** What the node in the background says over its channel, once. */
export type DetachedReport = { readonly ready: string } | { readonly failed: string; readonly exitCode: number };

export type DetachOutcome =
  | { readonly ready: string; readonly logPath: string }
  | { readonly failed: string; readonly exitCode?: number; readonly logPath: string };

const logBytesMax = 64 * 1024 ** 2;
const tailBytes = 4_096;

/** Resolves when the node is ready, has ended, or was given up on and killed. */
export async function detachNode(options: DetachOptions): Promise<DetachOutcome> {
  const clock = options.clock ?? systemClock;
  makeDataFolder(options.dataDir);
  const logPath = join(options.dataDir, 'troupe.log');
  const log = openLog(logPath);
  const from = fstatSync(log).size;
  const child = spawn(process.execPath, [...process.execArgv, process.argv[1] ?? '', ...options.words], {
    detached: true,
    stdio: ['ignore', log, log, 'ipc'],
  });
  try {
    const report = await firstReport(child, options, clock);
    if (report !== undefined) return { ...report, logPath };
    return { failed: tail(logPath, from), logPath };
  } finally {
    closeSync(log);
    if (child.connected) child.disconnect();
    child.unref();
  }
}

/** The node's report; `undefined` when it ended without one. */
function firstReport(
  child: ChildProcess,
  { timeoutMs, signal }: DetachOptions,
  clock: Clock,
): Promise<DetachedReport | undefined> {
  return new Promise((resolve, reject) => {
    const giveUp = clock.after(timeoutMs, () => {
      child.kill('SIGKILL');
      settle(() =>
        resolve({ failed: `the node was not ready within ${timeoutMs / 1_000} s and was killed`, exitCode: 1 }),
      );
    });
    const interrupt = (): void => {
      child.kill('SIGTERM');
      settle(() => reject(signal.reason));
    };
    const settle = (how: () => void): void => {
      giveUp();
      signal.removeEventListener('abort', interrupt);
      how();
    };
    signal.addEventListener('abort', interrupt, { once: true });
    child.once('message', (report) => settle(() => resolve(report as DetachedReport)));
    child.once('error', (error) => settle(() => reject(error)));
    child.once('exit', () => settle(() => resolve(undefined)));
  });
}

function openLog(path: string): number {
  const log = openSync(path, 'a', 0o600);
  if (fstatSync(log).size <= logBytesMax) return log;
  closeSync(log);
  renameSync(path, `${path}.1`);
  return openSync(path, 'a', 0o600);
}

/** The end of what was logged since. */
function tail(path: string, from: number): string {
  const log = openSync(path, 'r');
  try {
    const { size } = fstatSync(log);
    const start = Math.max(from, size - tailBytes);
    const bytes = Buffer.alloc(size - start);
    readSync(log, bytes, 0, bytes.length, start);
    return bytes.toString('utf8').trim() || 'it ended without a word';
  } finally {
    closeSync(log);
  }
}

/** Tells whoever started this process in the background; nothing happens in the foreground. */
export function report(text: DetachedReport): Promise<void> {
  return new Promise((resolve) => {
    if (process.send === undefined || !process.connected) return resolve();
    process.send(text, undefined, undefined, () => {
      if (process.connected) process.disconnect();
      resolve();
    });
  });
}
