/** Numbers by sender, in the order applied, as runs that rise by one: `[first, last]`. */
export type Runs = Readonly<Record<string, readonly (readonly [number, number])[]>>;

/** The runs after one more number. */
export function withNumber(runs: Runs, sender: string, n: number): Runs {
  const before = runs[sender] ?? [];
  const last = before.at(-1);
  const after: Runs[string] =
    last !== undefined && last[1] + 1 === n ? [...before.slice(0, -1), [last[0], n]] : [...before, [n, n]];
  return { ...runs, [sender]: after };
}

/** Every number that was applied, each sender's in the order applied. */
export function entriesOf(runs: Runs): { readonly sender: string; readonly n: number }[] {
  return Object.entries(runs).flatMap(([sender, list]) =>
    list.flatMap(([first, last]) =>
      Array.from({ length: last - first + 1 }, (_, index) => ({ sender, n: first + index })),
    ),
  );
}
