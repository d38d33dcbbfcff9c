import { distance } from 'fastest-levenshtein';

/** The known name that a mistyped one most likely means; `undefined` when none is near. */
export function nearest(typed: string, known: readonly string[]): string | undefined {
  let best: { name: string; edits: number } | undefined;
  for (const name of known) {
    const edits = distance(typed.toLowerCase(), name.toLowerCase());
    if (best === undefined || edits < best.edits) best = { name, edits };
  }
  return best !== undefined && best.edits <= Math.max(2, Math.ceil(typed.length / 2)) ? best.name : undefined;
}

/** "; did you mean NAME?", or nothing. */
export function suggestion(typed: string, known: readonly string[]): string {
  const name = nearest(typed, known);
  return name === undefined ? '' : `; did you mean ${name}?`;
}
