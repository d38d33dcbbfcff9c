/**
 * The folder of one run's own system: its data, its log, and the journal from which everything can be undone.
 *
 * 1. What has to be undone stands in the journal, fsynced, before it is done (the folder) or in the moment after (a
 *    process, whose number nobody knows earlier).
 * 2. `endRun` may be called by anyone at any time, and again: by the run at its end, by its watchdog when the run was
 *    killed, by `troupe faults heal` when both were.
 */

import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Clock, wait } from '../../runtime/clock.ts';
import { findPostmaster, stopPostmaster } from '../../runtime/engines/postgres/postmaster.ts';
import { lockOwner } from '../data-lock.ts';
import { isAlive, ownIdentity, type ProcessIdentity } from '../process-identity.ts';

const prefix = 'troupe-faults-';
const journalName = 'undo.ndjson';
const stopWithinMs = 15_000;
const pollMs = 20;

/** A line of the journal. */
type Undo =
  | { readonly runner: ProcessIdentity }
  | { readonly node: ProcessIdentity }
  | { readonly engine: ProcessIdentity };

export const dataFolderOf = (folder: string): string => join(folder, 'data');
export const postgresDataOf = (folder: string): string => join(dataFolderOf(folder), 'postgres', 'data');
export const nodeLogOf = (folder: string): string => join(folder, 'node.log');

/** Makes a folder for a run of this process. */
export function makeRunFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), prefix));
  note(folder, { runner: ownIdentity() });
  return folder;
}

export function noteNode(folder: string, node: ProcessIdentity): void {
  note(folder, { node });
}

export function noteEngine(folder: string, engine: ProcessIdentity): void {
  note(folder, { engine });
}

function note(folder: string, undo: Undo): void {
  const journal = openSync(join(folder, journalName), 'a', 0o600);
  try {
    writeSync(journal, `${JSON.stringify(undo)}\n`);
    fsyncSync(journal);
  } finally {
    closeSync(journal);
  }
}

function readJournal(folder: string): Undo[] {
  try {
    return readFileSync(join(folder, journalName), 'utf8')
      .split('\n')
      .flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Undo]));
  } catch {
    return [];
  }
}

/** Ends what a run started and removes its folder. Nothing happens where nothing is left. */
export async function endRun(folder: string, clock: Clock): Promise<void> {
  if (!existsSync(folder)) return;
  const data = dataFolderOf(folder);
  const journal = readJournal(folder);
  const nodes = journal.flatMap((undo) => ('node' in undo ? [undo.node] : []));
  const engines = journal.flatMap((undo) => ('engine' in undo ? [undo.engine] : []));
  const owner = existsSync(data) ? lockOwner(data) : undefined;
  for (const node of [...nodes, ...(owner === undefined ? [] : [owner])]) await endProcess(node, clock);
  for (const engine of engines) await endProcess(engine, clock);
  // A node that was killed leaves its PostgreSQL behind.
  const postmaster = await findPostmaster(postgresDataOf(folder));
  if (postmaster !== undefined) await stopPostmaster(postmaster.pid, clock);
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}

/** In order if it will, else by force. */
async function endProcess(node: ProcessIdentity, clock: Clock): Promise<void> {
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    const until = clock.monotonic() + stopWithinMs;
    if (isAlive(node)) process.kill(node.pid, signal);
    while (isAlive(node) && clock.monotonic() < until) await wait(clock, pollMs);
  }
}

/** Folders of runs that ended without cleaning up after themselves. */
export function abandonedRuns(): string[] {
  const own = process.getuid?.();
  return readdirSync(tmpdir())
    .filter((name) => name.startsWith(prefix))
    .map((name) => join(tmpdir(), name))
    .filter((folder) => {
      try {
        if (own !== undefined && statSync(folder).uid !== own) return false;
      } catch {
        return false;
      }
      const runner = readJournal(folder).find((undo) => 'runner' in undo);
      return runner !== undefined && 'runner' in runner && !isAlive(runner.runner);
    });
}
