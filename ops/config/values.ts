/** How the values of settings are written: in a file with their type, in flags and environment as text. */

import { z } from 'zod';

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** Reads `250ms`, `30s`, `1.5m`, `2h` as milliseconds; `undefined` for anything else, a bare number included. */
export function parseDurationMs(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text.trim());
  const unit = unitMs[match?.[2] ?? ''];
  return unit === undefined ? undefined : Math.round(Number(match?.[1]) * unit);
}

/** Writes milliseconds in the largest unit that keeps them whole. */
export function formatDuration(durationMs: number): string {
  for (const unit of ['h', 'm', 's'] as const) {
    const sizeMs = unitMs[unit] ?? 1;
    if (durationMs !== 0 && durationMs % sizeMs === 0) return `${durationMs / sizeMs}${unit}`;
  }
  return `${durationMs}ms`;
}

export const duration = (minMs: number, maxMs: number) =>
  z.string({ error: 'write a time with its unit, such as 250ms, 30s, 5m' }).transform((text, context) => {
    const value = parseDurationMs(text);
    if (value !== undefined && value >= minMs && value <= maxMs) return value;
    context.addIssue({
      code: 'custom',
      message: `write a time from ${formatDuration(minMs)} to ${formatDuration(maxMs)} with its unit, such as 250ms, 30s, 5m`,
    });
    return z.NEVER;
  });

export const whole = (min: number, max: number) =>
  z
    .union([z.int(), z.string().regex(/^\d+$/).transform(Number)], {
      error: `write a whole number from ${min} to ${max}`,
    })
    .pipe(
      z
        .int()
        .min(min, { error: `write a whole number from ${min} to ${max}` })
        .max(max, {
          error: `write a whole number from ${min} to ${max}`,
        }),
    );

const truths: Readonly<Record<string, boolean>> = {
  true: true,
  '1': true,
  yes: true,
  false: false,
  '0': false,
  no: false,
};

export const truth = z
  .union([z.boolean(), z.string()], { error: 'write true or false' })
  .transform((value, context) => {
    const read = typeof value === 'boolean' ? value : truths[value.toLowerCase()];
    if (read !== undefined) return read;
    context.addIssue({ code: 'custom', message: 'write true or false' });
    return z.NEVER;
  });

/** Where to listen. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** Reads `host:port` or `[ipv6]:port`. */
export function parseListenAddress(text: string): ListenAddress | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]/]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  return host === undefined || port > 65_535 ? undefined : { host, port };
}

export const listenAddress = z
  .string({ error: 'write host:port, such as 127.0.0.1:8000' })
  .refine((text) => parseListenAddress(text) !== undefined, {
    error: 'write host:port, such as 127.0.0.1:8000; port 0 takes a free one',
  });
