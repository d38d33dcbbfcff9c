/**
 * Proves that a data folder is used by one node at a time, also when two start in the same instant and when the last
 * one was killed.
 *
 * The lock is the file `lock.<generation>` with the highest generation; its owner is the process that it names, while
 * that runs and has not released it.
 *
 * Invariants:
 * 1. A file appears whole and only where none was (`link`), so a generation has one owner.
 * 2. Generation n+1 is only made by who saw the owner of n dead or gone, and n was the highest then.
 * 3. The highest file is never removed. Lower ones are removed by the owner of a higher one, so who was slow between
 *    looking and making may make one that is no longer the highest: it looks again, and gives its own back.
 */

import { existsSync, linkSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CommandFailed } from './cli/failure.ts';
import { exitCodes } from './exit-codes.ts';
import { isAlive, ownIdentity, type ProcessIdentity } from './process-identity.ts';

/** As which node a process entered an engine's namespace. */
export interface EnteredNode {
  readonly epoch: number;
  /** Names engine and namespace; only compared. */
  readonly place: string;
}

interface LockRecord extends ProcessIdentity {
  readonly node?: EnteredNode;
  /** Owners that were killed before this one; left out once it has noted its node. */
  readonly killed?: readonly number[];
  readonly released?: true;
}

export interface DataLock {
  /** The node that held the folder last and was killed: its leases may be taken over at once. */
  readonly succeeds: EnteredNode | undefined;
  /** Processes that had the folder last and were killed, maybe between entering as a node and noting it. */
  readonly killed: readonly number[];
  /** Notes this node for whoever comes after. */
  noteNode(node: EnteredNode): void;
  release(): void;
}

/** The folder is in use. */
export class DataInUse extends CommandFailed {
  override readonly name = 'DataInUse';
  readonly pid: number;

  constructor(folder: string, pid: number) {
    super(
      exitCodes.failed,
      `a node is running on ${folder} already: process ${pid}`,
      'stop it with: troupe down, or choose another folder with --data-dir',
    );
    this.pid = pid;
  }
}

/** Of starts that were killed, one after another, so many are remembered. */
const killedMax = 16;

const lockFile = /^lock\.(\d+)$/;

/** Takes the folder. @throws DataInUse */
export function lockData(folder: string, identity: ProcessIdentity = ownIdentity()): DataLock {
  for (;;) {
    const highest = highestGeneration(folder);
    const former = highest === 0 ? undefined : readRecord(folder, highest);
    if (former !== undefined && former.released !== true && isAlive(former)) throw new DataInUse(folder, former.pid);
    const generation = highest + 1;
    // Until this process has entered as a node, whoever succeeds it succeeds the same node as it does.
    const dead = former?.released === true ? undefined : former;
    const succeeds = dead?.node;
    const killed = dead === undefined ? [] : [...(dead.killed ?? []), dead.pid].slice(-killedMax);
    const record: LockRecord = { ...identity, killed, ...(succeeds === undefined ? {} : { node: succeeds }) };
    if (!create(folder, generation, record)) continue;
    if (highestGeneration(folder) !== generation) {
      rmSync(pathOf(folder, generation), { force: true });
      continue;
    }
    for (const lower of generations(folder)) if (lower < generation) rmSync(pathOf(folder, lower), { force: true });
    return { succeeds, killed, ...heldLock(folder, generation, record) };
  }
}

/** The live owner of the folder, if there is one. */
export function lockOwner(folder: string): ProcessIdentity | undefined {
  const highest = highestGeneration(folder);
  const record = highest === 0 ? undefined : readRecord(folder, highest);
  return record !== undefined && record.released !== true && isAlive(record) ? record : undefined;
}

function heldLock(folder: string, generation: number, first: LockRecord): Omit<DataLock, 'succeeds' | 'killed'> {
  let record = first;
  const write = (next: LockRecord): void => {
    record = next;
    const draft = draftOf(folder, generation, record);
    renameSync(draft, pathOf(folder, generation));
  };
  return {
    noteNode: (node) => write({ ...record, node, killed: [] }),
    release: () => write({ ...record, released: true }),
  };
}

function draftOf(folder: string, generation: number, record: LockRecord): string {
  const draft = `${pathOf(folder, generation)}.${record.pid}.draft`;
  writeFileSync(draft, JSON.stringify(record), { mode: 0o600 });
  return draft;
}

function create(folder: string, generation: number, record: LockRecord): boolean {
  const draft = draftOf(folder, generation, record);
  try {
    linkSync(draft, pathOf(folder, generation));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}

const pathOf = (folder: string, generation: number): string => join(folder, `lock.${generation}`);

function generations(folder: string): number[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder).flatMap((name) => {
    const generation = lockFile.exec(name)?.[1];
    return generation === undefined ? [] : [Number(generation)];
  });
}

const highestGeneration = (folder: string): number => Math.max(0, ...generations(folder));

function readRecord(folder: string, generation: number): LockRecord | undefined {
  try {
    const record: unknown = JSON.parse(readFileSync(pathOf(folder, generation), 'utf8'));
    const { pid, started } = record as Partial<LockRecord>;
    return typeof pid === 'number' && typeof started === 'string' ? (record as LockRecord) : undefined;
  } catch {
    return undefined;
  }
}
