/**
 * Takes everything that is stored through the code of an app, and says what would break. It reads the engine page by
 * page and writes nothing.
 */

import { readRecord } from '../../runtime/activation/restoring.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { EngineReading } from '../../runtime/engines/reading.ts';
import { shardNames } from '../../runtime/mailbox/shards.ts';
import { storedState } from './rehearsal.ts';
import { Rehearsals, type Stopped } from './rehearsals.ts';
import { Findings, type UpgradeReport, verdictOf } from './report.ts';
import { type Trial, type TrialResult, warnings } from './trial.ts';
import { pages, WaitingTurns } from './waiting-turns.ts';

export interface UpgradeCheckOptions {
  readonly reading: EngineReading;
  readonly namespace: string;
  /** Shards as the configuration has them. */
  readonly shards: number;
  /** Path of the app module; absent for the application that comes with Troupe. */
  readonly app: string | undefined;
  /** Settings of the default application. */
  readonly application: unknown;
  /** Longest time of one turn, in milliseconds. */
  readonly turnLimitMs: number;
  /** How many actors are named of each group. */
  readonly examples: number;
  readonly clock: Clock;
  readonly signal?: AbortSignal;
}

/** Records in hand at once. */
const pageRecords = 100;
/** After so many hangs of one kind the rest of it is left out. */
const hangsOfKindMax = 5;

/** @throws CommandFailed when the app cannot be used; rejects with what the engine rejects with */
export async function checkUpgrade(options: UpgradeCheckOptions): Promise<UpgradeReport> {
  const { reading, clock } = options;
  const startedMs = clock.monotonic();
  const rehearsals = new Rehearsals(options);
  const findings = new Findings(options.examples);
  const hangs = new Map<string, number>();
  const looked = { snapshots: 0, migrated: 0, changed: 0, messages: 0, timers: 0 };
  let leftOut = 0;
  let unplaced = 0;

  const note = (trial: Trial, outcome: TrialResult | Stopped): void => {
    if (trial.record !== undefined && trial.mailOnly !== true) looked.snapshots += 1;
    if ('stopped' in outcome) {
      const finding = findingOf(trial, outcome);
      hangs.set(finding.kind, (hangs.get(finding.kind) ?? 0) + 1);
      findings.add(finding);
      return;
    }
    looked.migrated += outcome.migrated ? 1 : 0;
    looked.changed += outcome.changed ? 1 : 0;
    looked.messages += outcome.messages;
    looked.timers += outcome.timers;
    unplaced += outcome.unplaced ? 1 : 0;
    for (const finding of outcome.findings) findings.add(finding);
  };

  const run = async (trials: readonly Trial[]): Promise<void> => {
    const wanted = trials.filter((trial) => (hangs.get(kindOf(trial)) ?? 0) < hangsOfKindMax);
    leftOut += trials.length - wanted.length;
    const outcomes = await rehearsals.run(wanted);
    for (const [index, trial] of wanted.entries()) note(trial, outcomes[index] as TrialResult | Stopped);
  };

  try {
    // An app that cannot be loaded is said before anything is read.
    await rehearsals.prepare();
    for (const shard of shardNames(reading.shards)) {
      const waiting = await WaitingTurns.read(reading, shard);
      for await (const page of pages(reading, shard, 'actor', pageRecords)) {
        options.signal?.throwIfAborted();
        await run(await waiting.ofRecords(page));
      }
      await run(await waiting.ofOthers());
      for await (const trials of waiting.delayed(pageRecords)) await run(trials);
    }
  } finally {
    await rehearsals.close();
  }
  const groups = findings.groups();
  const breaks = groups.filter((group) => !warnings.has(group.break));
  return {
    ...verdictOf(breaks, leftOut),
    engine: reading.description,
    namespace: options.namespace,
    looked,
    notes:
      options.shards === reading.shards
        ? []
        : [
            `the namespace has ${reading.shards} shards: a node that is to have ${options.shards} would not start on it`,
          ],
    leftOut,
    unplaced,
    elapsedMs: Math.round(clock.monotonic() - startedMs),
    breaks,
    warnings: groups.filter((group) => warnings.has(group.break)),
  };
}

const kindOf = ({ record }: Trial): string => (record === undefined ? '' : readRecord(record).kind);

function findingOf(trial: Trial, { stopped, turn, why }: Stopped) {
  const at = trial.turns[turn - 1];
  const type = at === undefined ? undefined : 'timer' in at ? typeOf(at.timer.event) : at.envelope.type;
  return {
    break: stopped,
    address: trial.address,
    kind: kindOf(trial),
    state: trial.record === undefined ? '-' : storedState(readRecord(trial.record).snapshot),
    why: `${at === undefined ? 'while it was restored' : `in turn ${turn} of what waits`}: ${why}`,
    count: 1,
    ...(type === undefined ? {} : { type }),
  };
}

const typeOf = (event: unknown): string => (event as { readonly type: string }).type;
