const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** A time with its unit, such as `250ms`, `1.5s` or `2m`, in milliseconds; `undefined` when it is none. */
export function parseDuration(text: string): number | undefined {
  const parts = /^(-?\d{1,12}(?:\.\d{1,9})?)(ms|s|m|h)$/.exec(text);
  return parts === null ? undefined : Number(parts[1]) * (unitMs[parts[2] as string] as number);
}
