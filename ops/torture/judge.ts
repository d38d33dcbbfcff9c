/** Compares what was sent with what the actors hold at rest. Pure. */

import { type Broken, checks, type Entry, type FinalState } from '../faults/checks.ts';
import type { OperationCounts, OperationRecord } from '../faults/history.ts';
import type { CheckName } from '../faults/schema.ts';
import type { Judgement, Subject } from './messages.ts';
import { entriesOf, type Runs } from './runs.ts';

/** What a ledger answers to `read`. */
export interface LedgerState {
  readonly runs: Runs;
  readonly told: Readonly<Record<string, number>>;
  readonly timersSet: number;
  readonly timersFired: Runs;
}

/** By address; `undefined` where the read failed. */
export interface Rest {
  readonly ledgers: ReadonlyMap<string, LedgerState | undefined>;
  readonly mirrors: ReadonlyMap<string, { readonly runs: Runs } | undefined>;
  readonly deadLetters: ReadonlySet<string> | undefined;
}

/** Whether the answers hold the form that is judged. */
export function isLedgerState(answer: unknown): answer is LedgerState {
  const state = answer as Partial<LedgerState> | null | undefined;
  return (
    typeof state?.runs === 'object' &&
    typeof state.told === 'object' &&
    typeof state.timersSet === 'number' &&
    typeof state.timersFired === 'object'
  );
}

/** Something that has to be in effect, as the checks of fault runs know it. */
const due = (to: string, sender: string, n: number): OperationRecord => ({
  sender,
  n,
  to,
  type: 'append',
  send: 'tell',
  counted: true,
  startedMs: 0,
  endedMs: 0,
  outcome: 'ok',
});

/** `/ledgers/k3` signs as `k3` what it tells. */
const nameOf = (address: string): string => address.slice(address.lastIndexOf('/') + 1);

/** What the ledgers have told the mirrors, by their own word. */
export function toldBy({ ledgers }: Pick<Rest, 'ledgers'>): OperationRecord[] {
  return [...ledgers].flatMap(([address, state]) =>
    Object.entries(state?.told ?? {}).flatMap(([to, count]) =>
      Array.from({ length: count }, (_, n) => due(to, nameOf(address), n)),
    ),
  );
}

function timersOf({ ledgers }: Rest): OperationRecord[] {
  return [...ledgers].flatMap(([address, state]) =>
    Array.from({ length: state?.timersSet ?? 0 }, (_, n) => due(address, 'timer', n)),
  );
}

export function judge(sent: readonly OperationRecord[], rest: Rest, operations: OperationCounts): Judgement {
  const { ledgers, mirrors, deadLetters } = rest;
  const stateOf = (states: ReadonlyMap<string, Runs | undefined>): FinalState => ({
    entries: new Map([...states].map(([address, runs]) => [address, runs && entriesOf(runs)])),
    deadLetters,
  });
  const map = <State>(states: ReadonlyMap<string, State | undefined>, read: (state: State) => Runs) =>
    stateOf(new Map([...states].map(([address, state]) => [address, state && read(state)])));
  // What an unread ledger told nobody can say, so what the mirrors have of it shows nothing.
  const unread = new Set([...ledgers].flatMap(([address, state]) => (state === undefined ? [nameOf(address)] : [])));
  const ofRead = (runs: Runs): Runs => Object.fromEntries(Object.entries(runs).filter(([name]) => !unread.has(name)));
  const subjects: readonly [Subject, readonly OperationRecord[], FinalState, readonly CheckName[]][] = [
    ['sent', sent, map(ledgers, ({ runs }) => runs), ['no-durable-loss', 'per-sender-order']],
    ['told', toldBy(rest), map(mirrors, ({ runs }) => ofRead(runs)), ['no-durable-loss', 'per-sender-order']],
    // Two timers of one moment have no order.
    ['timers', timersOf(rest), map(ledgers, ({ timersFired }) => timersFired), ['no-durable-loss']],
  ];
  const findings = subjects.flatMap(([subject, records, final, names]) =>
    names.map((check) => ({ subject, check, ...checks[check](records, final) })),
  );
  const total = (name: keyof Broken): number => findings.reduce((sum, { broken }) => sum + (broken?.[name] ?? 0), 0);
  const count = (entries: FinalState['entries']): number =>
    [...entries.values()].reduce((sum, list: readonly Entry[] | undefined) => sum + (list?.length ?? 0), 0);
  return {
    operations,
    applied: Object.fromEntries(subjects.map(([subject, , { entries }]) => [subject, count(entries)])) as Record<
      Subject,
      number
    >,
    findings,
    broken: {
      lost: total('lost'),
      twice: total('twice'),
      neverSent: total('neverSent'),
      outOfOrder: total('outOfOrder'),
    },
    deadLetters: deadLetters?.size ?? 0,
  };
}
