/**
 * Which envelopes of a channel were taken, as a shard keeps it per writer (`in[w]` of the protocol). Pure.
 *
 * Numbers of a channel rise but may jump; each envelope names its predecessor (`prev`). Taken numbers therefore form
 * runs: a run `(after, upTo]` says that everything from the successor of `after` to `upTo` is taken. The first run
 * always begins at 0; its end is the floor. A mark is as long as the number of gaps, never as the number of messages.
 */

/** `[after, upTo]`, ascending, disjoint, not touching; the first begins at 0. */
export type Taken = readonly (readonly [after: number, upTo: number])[];

export const nothingTaken: Taken = [[0, 0]];

export function isTaken(taken: Taken, n: number): boolean {
  if (n === 0) return true;
  // The answer is nearly always in the first or the last run.
  for (let index = taken.length - 1; index >= 0; index--) {
    const run = taken[index];
    if (run !== undefined && n > run[0]) return n <= run[1];
  }
  return false;
}

/** Adds `n`, whose predecessor on the channel is `prev`. */
export function take(taken: Taken, n: number, prev: number): Taken {
  if (isTaken(taken, n)) return taken;
  let index = taken.length;
  while (index > 0 && (taken[index - 1] as readonly [number, number])[0] >= n) index--;
  const before = taken[index - 1];
  const after = taken[index];
  // A sender whose shard was rolled back names a predecessor before the last one taken.
  const joinsBefore = before !== undefined && before[1] >= prev;
  const joinsAfter = after !== undefined && after[0] === n;
  const run: [number, number] = [joinsBefore ? before[0] : prev, joinsAfter ? after[1] : n];
  return [...taken.slice(0, joinsBefore ? index - 1 : index), run, ...taken.slice(joinsAfter ? index + 1 : index)];
}

/**
 * The last number below `n` that was taken or is in hand. Where everything between the two was lost, `take` with it
 * settles the gap and touches nothing that is in hand.
 */
export function lastKnown(taken: Taken, n: number, inHand: Iterable<number>): number {
  let last = 0;
  for (const known of inHand) if (known < n) last = Math.max(last, known);
  for (const [, end] of taken) if (end < n) last = Math.max(last, end);
  return last;
}

export function encodeTaken(taken: Taken): string {
  return JSON.stringify(taken);
}

/** @throws Error when the text is no mark */
export function decodeTaken(text: string | undefined): Taken {
  if (text === undefined) return nothingTaken;
  try {
    return JSON.parse(text) as Taken;
  } catch (cause) {
    throw new Error(`a stored mark of taken messages is damaged: ${text.slice(0, 80)}`, { cause });
  }
}
