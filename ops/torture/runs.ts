/**
 * Numbers by sender, in the order applied, as runs that rise by one: `0-17,19-19`. Text, because every turn copies,
 * searches and writes the whole state of an actor, and a text is one value of it.
 */
export type Runs = Readonly<Record<string, string>>;

/** The first and the last number of a run. */
export type Run = readonly [first: number, last: number];

/** The runs after one more number. */
export function withNumber(runs: Runs, sender: string, n: number): Runs {
  const before = runs[sender];
  if (before === undefined) return { ...runs, [sender]: `${n}-${n}` };
  const dash = before.lastIndexOf('-');
  const rises = Number(before.slice(dash + 1)) + 1 === n;
  return { ...runs, [sender]: rises ? `${before.slice(0, dash)}-${n}` : `${before},${n}-${n}` };
}

/** The runs of one sender. */
export const runsOf = (text = ''): Run[] =>
  text === '' ? [] : text.split(',').map((run) => run.split('-').map(Number) as [number, number]);

/** Every number that was applied, each sender's in the order applied. */
export function entriesOf(runs: Runs): { readonly sender: string; readonly n: number }[] {
  return Object.entries(runs).flatMap(([sender, text]) =>
    runsOf(text).flatMap(([first, last]) =>
      Array.from({ length: last - first + 1 }, (_, index) => ({ sender, n: first + index })),
    ),
  );
}
