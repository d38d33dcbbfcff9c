import { plants } from './plants.ts';
import type { Pool } from './pool.ts';
import type { PlantFinding } from './report.ts';

export interface PlantHuntOptions {
  readonly pool: Pool;
  readonly names: readonly string[];
  /** Seeds to try at most for each plant, from 1. */
  readonly seeds: number;
  readonly signal: AbortSignal;
  readonly say: (text: string) => void;
}

export interface PlantHunt {
  readonly findings: readonly PlantFinding[];
  /** The code without plants, on every seed that any plant needed. */
  readonly clean: { readonly seeds: number; readonly failed: readonly number[] };
}

/** Hunts each plant until it is caught, and runs the unplanted code on the same seeds. */
export async function huntPlants(options: PlantHuntOptions): Promise<PlantHunt> {
  const { pool, seeds, signal, say } = options;
  const findings: PlantFinding[] = [];
  for (const name of options.names) {
    let begun = 0;
    let tried = 0;
    let caught: PlantFinding['caught'];
    await pool.run(
      () => {
        if (caught !== undefined || begun >= seeds || signal.aborted) return undefined;
        begun += 1;
        return { seed: begun, plant: name };
      },
      ({ seed }, { violations }) => {
        const [violation] = violations;
        tried += 1;
        if (violation === undefined || (caught !== undefined && caught.seed < seed)) return;
        const checks = [...new Set(violations.map(({ check }) => check))];
        caught = { seed, checks, detail: violation.detail };
      },
    );
    const what = plants[name]?.what ?? '';
    findings.push({ plant: name, what, seeds: caught?.seed ?? tried, ...(caught === undefined ? {} : { caught }) });
    say(
      `${name}: ${caught === undefined ? `not caught in ${tried} seeds` : `caught by ${caught.checks.join(', ')} at seed ${caught.seed}`}`,
    );
  }
  const needed = Math.max(0, ...findings.map((finding) => finding.seeds));
  const failed: number[] = [];
  let begun = 0;
  await pool.run(
    () => {
      if (begun >= needed || signal.aborted) return undefined;
      begun += 1;
      return { seed: begun };
    },
    ({ seed }, { violations }) => {
      if (violations.length > 0) failed.push(seed);
    },
  );
  return { findings, clean: { seeds: begun, failed: failed.sort((left, right) => left - right) } };
}
