import { type ExitCode, exitCodes } from '../exit-codes.ts';
import type { Break, Finding } from './trial.ts';

/** Everything that breaks in the same way, of one kind of actor in one state. */
export interface BreakGroup {
  readonly break: Break;
  readonly kind: string;
  readonly state: string;
  /** How many actors. */
  readonly actors: number;
  /** How many of their turns, where it is turns that break. */
  readonly turns: number;
  readonly advice: string;
  readonly examples: readonly { readonly address: string; readonly why: string; readonly type?: string }[];
}

export interface UpgradeReport {
  /** `unknown`: nothing was found, but not everything was looked at. */
  readonly verdict: 'clean' | 'breaks' | 'unknown';
  readonly exitCode: ExitCode;
  readonly engine: string;
  readonly namespace: string;
  readonly looked: {
    readonly snapshots: number;
    /** Of the snapshots: of an older version, and taken up through `migrate`. */
    readonly migrated: number;
    /** Of the snapshots: of the present version, but of logic of another shape; a node only warns. */
    readonly changed: number;
    readonly messages: number;
    readonly timers: number;
  };
  /** Actors that were left out, because their kind had hung too often. */
  readonly leftOut: number;
  /** What else would keep a node with this configuration from starting. */
  readonly notes: readonly string[];
  /** Addresses with waiting mail of which neither the tree nor anything stored says what lives there. */
  readonly unplaced: number;
  readonly elapsedMs: number;
  readonly breaks: readonly BreakGroup[];
  /** What would not break, but wait in vain; no reason for another exit code. */
  readonly warnings: readonly BreakGroup[];
}

const advice: Readonly<Record<Break, string>> = {
  unreadable:
    'the actor would be parked with its mail: keep what the state needs, or raise "version" and bring it over in "migrate"',
  rejected: 'the message would become a dead letter: accept its old form too, or let the old code handle it first',
  throws: 'the turn would be tried again and then become a dead letter: mend the logic for this state',
  timer:
    'the timer would fire for nothing: keep a transition for its event, as in on: { EVENT: … }, or let the old code fire it',
  child: 'the child would not be started again: keep its kind among the definitions of the app',
  hangs: 'its thread would be killed: mend the loop',
  stalls:
    'the actor would wait for what never comes: bring it into another state in "migrate", or let a message move it on',
  orphaned: 'it would stay asleep, and its mail become dead letters: give it a place in the tree again, or let it be',
  crashes: 'its thread would end, and its neighbours with it: take out what ends it',
};

/** Gathers findings by break, kind and state, with the first few named. */
export class Findings {
  readonly #groups = new Map<string, { finding: Finding; actors: number; turns: number; examples: Finding[] }>();
  readonly #examples: number;

  constructor(examples: number) {
    this.#examples = examples;
  }

  add(finding: Finding): void {
    const key = JSON.stringify([finding.break, finding.kind, finding.state]);
    const group = this.#groups.get(key) ?? { finding, actors: 0, turns: 0, examples: [] };
    this.#groups.set(key, group);
    group.actors += 1;
    group.turns += finding.count;
    if (group.examples.length < this.#examples) group.examples.push(finding);
  }

  /** The most frequent first. */
  groups(): BreakGroup[] {
    return [...this.#groups.values()]
      .sort((a, b) => b.actors - a.actors)
      .map(({ finding, actors, turns, examples }) => ({
        break: finding.break,
        kind: finding.kind,
        state: finding.state,
        actors,
        turns,
        advice: advice[finding.break],
        examples: examples.map(({ address, why, type }) => ({ address, why, ...(type === undefined ? {} : { type }) })),
      }));
  }
}

export function verdictOf(breaks: readonly BreakGroup[], leftOut: number): Pick<UpgradeReport, 'verdict' | 'exitCode'> {
  if (breaks.length > 0) return { verdict: 'breaks', exitCode: exitCodes.violated };
  return leftOut > 0
    ? { verdict: 'unknown', exitCode: exitCodes.unknown }
    : { verdict: 'clean', exitCode: exitCodes.ok };
}

/** The report for people. */
export function textOfUpgrade(report: UpgradeReport): string {
  const { looked, breaks, warnings } = report;
  const lines = [
    `${plural(looked.snapshots, 'snapshot')}, ${plural(looked.messages, 'waiting message')} and ` +
      `${plural(looked.timers, 'due timer')} taken through this code in ${(report.elapsedMs / 1_000).toFixed(1)} s`,
    `engine: ${report.engine}, namespace ${report.namespace}; nothing was changed`,
  ];
  if (looked.migrated > 0)
    lines.push(`${plural(looked.migrated, 'snapshot')} of an older version went through "migrate"`);
  if (looked.changed > 0)
    lines.push(`${plural(looked.changed, 'snapshot')} of logic that has changed since; a node would warn`);
  lines.push(...report.notes);
  if (report.leftOut > 0) lines.push(`${plural(report.leftOut, 'actor')} left out: their kinds had hung too often`);
  if (report.unplaced > 0)
    lines.push(
      `${plural(report.unplaced, 'address', 'addresses')} with mail that the tree does not start were not looked at`,
    );
  for (const group of [...breaks, ...warnings]) {
    const where = `${group.kind === '' ? 'unknown kind' : group.kind} in state ${group.state}`;
    const sort = warnings.includes(group) ? `warning, ${group.break}` : group.break;
    lines.push('', `${sort}: ${where}: ${plural(group.actors, 'actor')}`);
    for (const { address, why, type } of group.examples)
      lines.push(`  ${address}  ${type === undefined ? '' : `${type}: `}${why}`);
    if (group.actors > group.examples.length) lines.push(`  … and ${group.actors - group.examples.length} more`);
    lines.push(`  -> ${group.advice}`);
  }
  lines.push('', verdictLine[report.verdict]);
  return lines.join('\n');
}

const verdictLine: Readonly<Record<UpgradeReport['verdict'], string>> = {
  clean: 'nothing would break',
  breaks: 'this code would break what is stored',
  unknown: 'nothing was found, but not everything was looked at',
};

function plural(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString('en')} ${count === 1 ? one : many}`;
}
