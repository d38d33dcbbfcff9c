/** A part of a plan, as a shrunk failure names it on the command line. */

import type { Plan } from './plan.ts';

export interface Subset {
  /** Ids of the faults that stay; absent: all. */
  readonly faults?: readonly string[];
  /** Indexes of the sends that stay; absent: all. */
  readonly sends?: readonly number[];
}

export function restrict(plan: Plan, subset: Subset): Plan {
  const faults = subset.faults === undefined ? undefined : new Set(subset.faults);
  const sends = subset.sends === undefined ? undefined : new Set(subset.sends);
  return {
    ...plan,
    faults: plan.faults.filter(({ id }) => faults?.has(id) !== false),
    sends: plan.sends.filter(({ index }) => sends?.has(index) !== false),
  };
}

/** Numbers as `0-17,40`. */
export function rangesOf(numbers: readonly number[]): string {
  const ranges: [number, number][] = [];
  for (const number of [...numbers].sort((left, right) => left - right)) {
    const last = ranges.at(-1);
    if (last !== undefined && last[1] + 1 === number) last[1] = number;
    else ranges.push([number, number]);
  }
  return ranges.map(([first, last]) => (first === last ? String(first) : `${first}-${last}`)).join(',');
}

/** Reads `0-17,40`; `undefined` when it is nothing of the kind. */
export function numbersOf(text: string, max: number): number[] | undefined {
  if (text === '') return [];
  if (!/^\d{1,9}(-\d{1,9})?(,\d{1,9}(-\d{1,9})?)*$/.test(text)) return undefined;
  const numbers: number[] = [];
  for (const part of text.split(',')) {
    const [first = 0, last = first] = part.split('-').map(Number);
    if (last > max || last < first) return undefined;
    for (let number = first; number <= last; number += 1) numbers.push(number);
  }
  return numbers;
}
