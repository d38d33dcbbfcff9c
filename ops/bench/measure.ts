/** How two sides are compared: the same number of messages each, in turns, so that a noisy machine disturbs both. */

import type { Clock } from '../../runtime/clock.ts';

/** Longest that one run may take, in milliseconds. */
export const benchRunMs = 300_000;

/** Pause before a message that is to meet an idle system, in milliseconds. */
export const idleMs = 4;

/** Does so many messages with so many open at a time; resolves when all are done. */
export type Side = (messages: number, inFlight: number) => Promise<void>;

/** Messages a second of each side, run by run, and what is made of them. */
export interface Comparison {
  readonly ours: readonly number[];
  readonly bare: readonly number[];
  /** Medians, messages a second. */
  readonly oursPerSecond: number;
  readonly barePerSecond: number;
  /** Of the medians. */
  readonly ratio: number;
}

export interface Plan {
  readonly messages: number;
  readonly inFlight: number;
  readonly runs: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Runs of each side before the first that counts: code is still being compiled in the first. */
const warmUpRuns = 2;

/** Runs of both sides in turns of which none counts. */
export async function warmUp(ours: Side, bare: Side, plan: Plan): Promise<void> {
  for (let run = 0; run < warmUpRuns; run += 1) for (const side of [ours, bare]) await measure(side, plan);
}

/** A warm-up of both sides, then their runs in turns. */
export async function compare(ours: Side, bare: Side, plan: Plan): Promise<Comparison> {
  const rates: { ours: number[]; bare: number[] } = { ours: [], bare: [] };
  await warmUp(ours, bare, plan);
  for (let run = 0; run < plan.runs; run += 1)
    for (const [name, side] of [['ours', ours] as const, ['bare', bare] as const])
      rates[name].push(await measure(side, plan));
  const oursPerSecond = median(rates.ours);
  const barePerSecond = median(rates.bare);
  return { ...rates, oursPerSecond, barePerSecond, ratio: oursPerSecond / barePerSecond };
}

/** Messages a second of one run. */
export async function measure(side: Side, { messages, inFlight, clock, signal }: Plan): Promise<number> {
  signal.throwIfAborted();
  const aborted = Promise.withResolvers<never>();
  const abort = (): void => aborted.reject(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  const startedMs = clock.monotonic();
  try {
    await Promise.race([side(messages, inFlight), aborted.promise]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
  return (messages / (clock.monotonic() - startedMs)) * 1_000;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** Keeps `inFlight` calls open until `messages` are done. */
export function keepOpen(messages: number, inFlight: number, call: () => Promise<unknown>): Promise<void> {
  return new Promise((resolve, reject) => {
    let begun = 0;
    let done = 0;
    const ended = (): void => {
      done += 1;
      if (done === messages) resolve();
      else begin();
    };
    const begin = (): void => {
      if (begun === messages) return;
      begun += 1;
      call().then(ended, reject);
    };
    for (let n = 0; n < inFlight; n += 1) begin();
  });
}
