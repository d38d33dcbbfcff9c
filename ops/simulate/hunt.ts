/** Many seeds: tried side by side, added up, each failure run again, and the first of them shrunk. */

import type { Clock } from '../../runtime/clock.ts';
import { type CoverageFigures, coverageFigures } from './coverage.ts';
import { type Plan, planOf } from './plan.ts';
import { plants } from './plants.ts';
import type { Pool } from './pool.ts';
import { shrink } from './shrink.ts';
import { type SimulationResult, simulate } from './simulation.ts';
import { restrict, type Subset } from './subset.ts';
import type { CheckName, Violation } from './verdict.ts';

export interface HuntOptions {
  readonly pool: Pool;
  readonly first: number;
  /** Seeds to try; absent: until the time is over. */
  readonly seeds?: number;
  readonly limitMs?: number;
  readonly plant?: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Told of progress from time to time. */
  readonly say: (text: string) => void;
}

export interface Range {
  readonly least: number;
  readonly most: number;
}

/** A failure, as small as it could be made. */
export interface ShrunkFailure {
  readonly seed: number;
  readonly check: CheckName;
  readonly subset: Required<Subset>;
  readonly runs: number;
  readonly result: SimulationResult;
  /** Whether a second run of it gave the same history. */
  readonly replayed: boolean;
}

export interface HuntReport {
  readonly verdict: 'pass' | 'violated' | 'unknown' | 'not-deterministic' | 'interrupted';
  readonly first: number;
  readonly seeds: number;
  readonly plant?: string;
  readonly tookMs: number;
  readonly virtualMs: number;
  readonly messages: Range & { readonly total: number };
  readonly faults: Range & { readonly total: number };
  readonly actors: Range;
  readonly commits: number;
  readonly repeats: number;
  readonly events: number;
  readonly coverage: CoverageFigures;
  /** Seeds that were run twice, to compare their hashes. */
  readonly compared: number;
  /** Seeds whose second run was another. */
  readonly differing: readonly number[];
  readonly failures: readonly { readonly seed: number; readonly violations: readonly Violation[] }[];
  readonly shrunk?: ShrunkFailure;
}

/** Each seed has to be worth a run; less makes the verdict unknown. */
const least = { messages: 500, faults: 5, actors: 3 };
const comparedEvery = 40;
const shrinkRuns = 250;
const sayEveryMs = 15_000;
const failuresKept = 50;

export async function hunt(options: HuntOptions): Promise<HuntReport> {
  const { pool, clock, first, signal, plant } = options;
  const startedMs = clock.monotonic();
  const untilMs = startedMs + (options.limitMs ?? Number.POSITIVE_INFINITY);
  const figures = new Figures();
  const differing: number[] = [];
  let begun = 0;
  let compared = 0;
  let saidMs = startedMs;

  await pool.run(
    () => {
      if (signal.aborted) return undefined;
      const over = begun >= (options.seeds ?? Number.POSITIVE_INFINITY) || clock.monotonic() > untilMs;
      if (over) return undefined;
      const seed = first + begun;
      begun += 1;
      return { seed, ...(plant === undefined ? {} : { plant }) };
    },
    ({ seed }, result) => {
      figures.add(seed, result);
      if (clock.monotonic() - saidMs < sayEveryMs) return;
      saidMs = clock.monotonic();
      options.say(`${figures.seeds} seeds, ${figures.failures.length} failed`);
    },
  );
  // Failures, and a share of the others, are run once more: the same seed must be the same execution.
  const checked = [...figures.hashes].filter(([seed]) => seed % comparedEvery === 0 || figures.failed.has(seed));
  const rest = checked.slice(0, Math.max(failuresKept, Math.ceil(checked.length / 2)));
  await pool.run(
    () => {
      const next = signal.aborted ? undefined : rest.shift();
      return next && { seed: next[0], ...(plant === undefined ? {} : { plant }) };
    },
    ({ seed }, { hash }) => {
      compared += 1;
      if (figures.hashes.get(seed) !== hash) differing.push(seed);
    },
  );
  const [failure] = figures.failures;
  const shrunk =
    failure === undefined || signal.aborted
      ? undefined
      : await shrunkFailure(planOf(failure.seed), failure.violations[0] as Violation, plant);
  return {
    verdict: signal.aborted
      ? 'interrupted'
      : figures.failures.length > 0
        ? 'violated'
        : differing.length > 0
          ? 'not-deterministic'
          : figures.thin
            ? 'unknown'
            : 'pass',
    first,
    ...(plant === undefined ? {} : { plant }),
    tookMs: Math.round(clock.monotonic() - startedMs),
    compared,
    differing,
    ...figures.report(),
    ...(shrunk === undefined ? {} : { shrunk }),
  };
}

/** Shrinks a failing plan and runs what is left twice. */
export async function shrunkFailure(
  plan: Plan,
  violation: Violation,
  plant: string | undefined,
): Promise<ShrunkFailure> {
  const planted = plant === undefined ? undefined : plants[plant]?.plant;
  const options = planted === undefined ? {} : { plant: planted };
  const { check } = violation;
  const { subset, runs } = await shrink(
    plan,
    check,
    async (candidate) => (await simulate(candidate, options)).violations[0]?.check,
    shrinkRuns,
  );
  const small = restrict(plan, subset);
  const result = await simulate(small, { ...options, keep: true });
  const { hash } = await simulate(small, options);
  return { seed: plan.seed, check, subset, runs, result, replayed: result.hash === hash };
}

/** What many runs add up to. */
class Figures {
  readonly hashes = new Map<number, string>();
  readonly failed = new Set<number>();
  readonly failures: { seed: number; violations: readonly Violation[] }[] = [];
  readonly #cells = new Map<string, number>();
  readonly #totals = { messages: 0, faults: 0, commits: 0, repeats: 0, events: 0, virtualMs: 0 };
  readonly #ranges = { messages: new Spread(), faults: new Spread(), actors: new Spread() };

  get seeds(): number {
    return this.hashes.size;
  }

  /** Whether some run was not worth much. */
  get thin(): boolean {
    return (
      this.seeds === 0 ||
      Object.entries(least).some(([name, bound]) => this.#ranges[name as keyof typeof least].least < bound)
    );
  }

  add(seed: number, result: SimulationResult): void {
    this.hashes.set(seed, result.hash);
    for (const name of Object.keys(this.#totals) as (keyof Figures['totals'])[]) this.#totals[name] += result[name];
    for (const [cell, count] of result.coverage) this.#cells.set(cell, (this.#cells.get(cell) ?? 0) + count);
    if (result.violations.length > 0) {
      this.failed.add(seed);
      this.failures.push({ seed, violations: result.violations.slice(0, 5) });
      this.failures.sort((left, right) => left.seed - right.seed);
      return;
    }
    // A run that failed ended early.
    for (const name of Object.keys(this.#ranges) as (keyof typeof least)[]) this.#ranges[name].add(result[name]);
  }

  get totals() {
    return this.#totals;
  }

  report() {
    const { messages, faults, ...totals } = this.#totals;
    return {
      seeds: this.seeds,
      ...totals,
      messages: { ...this.#ranges.messages.range, total: messages },
      faults: { ...this.#ranges.faults.range, total: faults },
      actors: this.#ranges.actors.range,
      coverage: coverageFigures(this.#cells),
      failures: this.failures.slice(0, failuresKept),
    };
  }
}

class Spread {
  least = Number.POSITIVE_INFINITY;
  most = 0;

  add(value: number): void {
    this.least = Math.min(this.least, value);
    this.most = Math.max(this.most, value);
  }

  get range(): Range {
    return { least: Number.isFinite(this.least) ? this.least : 0, most: this.most };
  }
}
