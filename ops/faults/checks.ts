/** The promises that are checked, as functions over the history and what the system holds at the end. */

import type { OperationRecord } from './history.ts';
import type { CheckName } from './schema.ts';

export type Verdict = 'pass' | 'violated' | 'unknown';

export interface Finding {
  readonly verdict: Verdict;
  /** One sentence. */
  readonly detail: string;
  /** What broke the promise: a few of them. */
  readonly examples: readonly string[];
  /** How many broke it, by how; absent where none did. */
  readonly broken?: Broken;
}

export interface Broken {
  readonly lost?: number;
  readonly twice?: number;
  readonly neverSent?: number;
  readonly outOfOrder?: number;
}

export interface Entry {
  readonly sender: string;
  readonly n: number;
}

/** What stands in the system after it came to rest. */
export interface FinalState {
  /** By address, in the order handled; `undefined` where the read failed. */
  readonly entries: ReadonlyMap<string, readonly Entry[] | undefined>;
  /** Ids of the messages among the dead letters; `undefined` where they could not be read. */
  readonly deadLetters: ReadonlySet<string> | undefined;
}

type Check = (counted: readonly OperationRecord[], final: FinalState) => Finding;

const examplesMax = 10;
const idOf = (address: string, { sender, n }: Entry): string => `${address} ${sender}#${n}`;

/** Every acknowledged operation is in effect once, or its message is a dead letter; no operation is in effect twice. */
const noDurableLoss: Check = (counted, final) => {
  const found = new Map<string, number>();
  for (const [address, entries] of final.entries)
    for (const entry of entries ?? []) found.set(idOf(address, entry), (found.get(idOf(address, entry)) ?? 0) + 1);
  const sent = new Set(counted.map((record) => idOf(record.to, record)));
  const acknowledged = counted.filter(({ outcome }) => outcome === 'ok');
  const isDead = ({ messageId }: OperationRecord): boolean =>
    messageId !== undefined && final.deadLetters?.has(messageId) === true;

  const absent = acknowledged.filter((record) => !found.has(idOf(record.to, record)));
  const unread = absent.filter(({ to }) => final.entries.get(to) === undefined);
  const lost = absent.filter((record) => final.entries.get(record.to) !== undefined && !isDead(record));
  const doubtful = final.deadLetters === undefined ? lost : [];
  const twice = [...found].filter(([, times]) => times > 1);
  const foreign = [...found.keys()].filter((id) => !sent.has(id));

  const wrong = [
    ...(doubtful.length > 0 ? [] : lost.map((record) => `lost ${idOf(record.to, record)}`)),
    ...twice.map(([id, times]) => `${times} times ${id}`),
    ...foreign.map((id) => `never sent ${id}`),
  ];
  if (wrong.length > 0) {
    const parts = [
      doubtful.length > 0 || lost.length === 0 ? '' : `${lost.length} of ${acknowledged.length} acknowledged were lost`,
      twice.length === 0 ? '' : `${twice.length} took effect more than once`,
      foreign.length === 0 ? '' : `${foreign.length} were never sent`,
    ];
    return {
      verdict: 'violated',
      detail: parts.filter(Boolean).join(', '),
      examples: wrong.slice(0, examplesMax),
      broken: { lost: doubtful.length > 0 ? 0 : lost.length, twice: twice.length, neverSent: foreign.length },
    };
  }
  if (unread.length > 0 || doubtful.length > 0) {
    const why = unread.length > 0 ? 'their actors could not be read' : 'the dead letters could not be read';
    const examples = [...unread, ...doubtful].map((record) => idOf(record.to, record)).slice(0, examplesMax);
    return { verdict: 'unknown', detail: `${unread.length + doubtful.length} may be lost: ${why}`, examples };
  }
  const dead = absent.length === 0 ? '' : `; ${absent.length} of them are dead letters`;
  if (acknowledged.length === 0) return { verdict: 'unknown', detail: 'nothing was acknowledged', examples: [] };
  return { verdict: 'pass', detail: `${acknowledged.length} acknowledged, each in effect once${dead}`, examples: [] };
};

/** What one sender sent to one actor in one way took effect in the order sent. */
const perSenderOrder: Check = (counted, final) => {
  const ways = new Map(counted.map((record) => [idOf(record.to, record), record.send]));
  const wrong: string[] = [];
  let compared = 0;
  for (const [address, entries] of final.entries) {
    const last = new Map<string, Entry>();
    for (const entry of entries ?? []) {
      const line = `${entry.sender} ${ways.get(idOf(address, entry)) ?? ''}`;
      const before = last.get(line);
      if (before !== undefined) {
        compared += 1;
        if (before.n > entry.n) wrong.push(`${idOf(address, before)} before #${entry.n}`);
      }
      last.set(line, entry);
    }
  }
  if (wrong.length > 0)
    return {
      verdict: 'violated',
      detail: `${wrong.length} out of order`,
      examples: wrong.slice(0, examplesMax),
      broken: { outOfOrder: wrong.length },
    };
  const unread = [...final.entries].filter(([, entries]) => entries === undefined).map(([address]) => address);
  if (unread.length > 0)
    return {
      verdict: 'unknown',
      detail: `${unread.length} actors could not be read`,
      examples: unread.slice(0, examplesMax),
    };
  if (compared === 0) return { verdict: 'unknown', detail: 'no sender reached an actor twice', examples: [] };
  return { verdict: 'pass', detail: `${compared} pairs of neighbours in order`, examples: [] };
};

export const checks: Readonly<Record<CheckName, Check>> = {
  'no-durable-loss': noDurableLoss,
  'per-sender-order': perSenderOrder,
};
