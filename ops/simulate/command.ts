import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { Command } from 'commander';
import { systemClock } from '../../runtime/clock.ts';
import { systemRandom } from '../../runtime/random.ts';
import { CommandFailed, usageFault } from '../cli/failure.ts';
import { interruptSignal } from '../cli/interrupt.ts';
import { type OutputFormat, outputOption, print, printJson, say } from '../cli/output.ts';
import { type ExitCode, exitCodes } from '../exit-codes.ts';

interface SimulateFlags {
  readonly seeds?: string;
  readonly minutes?: string;
  readonly seed?: string;
  readonly plant?: string;
  readonly faults?: string;
  readonly sends?: string;
  readonly report?: string;
  readonly trace?: string;
  readonly output: OutputFormat;
}

const seedMax = 2 ** 32 - 1;
const seedsMax = 1_000_000;

const exitOf = {
  pass: exitCodes.ok,
  violated: exitCodes.violated,
  unknown: exitCodes.unknown,
  'not-deterministic': exitCodes.notDeterministic,
  interrupted: exitCodes.interrupted,
} as const satisfies Record<string, ExitCode>;

/** `troupe simulate`: a whole node in virtual time, thousands of executions, each decided by its seed. */
export function simulateCommand(): Command {
  return new Command('simulate')
    .description('run whole nodes in virtual time under random faults; one seed is one execution')
    .option('--seeds <number>', 'how many seeds to try, from 1 or from --seed')
    .option('--minutes <number>', 'try seeds for so long, from one drawn by chance or from --seed')
    .option('--seed <number>', 'run this seed and show it; with --seeds or --minutes the first of them')
    .option('--plant <name>', 'build this bug in; troupe simulate plants lists them')
    .option('--faults <ids>', 'of one seed: only these faults, such as f0,f3; none for none')
    .option('--sends <numbers>', 'of one seed: only these messages, such as 0-17,40')
    .option('--report <file>', 'write the whole report there, as JSON')
    .option('--trace <file>', 'of one seed: write its history there')
    .addOption(outputOption())
    .action(simulateAction)
    .addCommand(plantsCommand());
}

async function simulateAction(flags: SimulateFlags): Promise<void> {
  await checkPlant(flags.plant);
  const seed = wholeNumber('--seed', flags.seed, 0, seedMax);
  const seeds = wholeNumber('--seeds', flags.seeds, 1, seedsMax);
  const minutes = flags.minutes === undefined ? undefined : Number(flags.minutes);
  if (minutes !== undefined && !(minutes >= 0.05 && minutes <= 24 * 60))
    throw usageFault('--minutes: write a number from 0.05 to 1440');
  if (seed === undefined && seeds === undefined && minutes === undefined)
    throw usageFault('say how much to simulate', 'such as: troupe simulate --seeds 2000');
  const isOne = seeds === undefined && minutes === undefined;
  if (!isOne && (flags.faults !== undefined || flags.sends !== undefined || flags.trace !== undefined))
    throw usageFault('--faults, --sends and --trace belong to one seed', 'leave out --seeds and --minutes');
  if (isOne) return await runOne(flags, seed as number);
  const { hunt } = await import('./hunt.ts');
  const { createPool } = await import('./pool.ts');
  const { textOfHunt } = await import('./report.ts');
  const { drawSeed } = await import('../faults/chance.ts');
  const pool = createPool();
  try {
    const report = await hunt({
      pool,
      first: seed ?? (seeds === undefined ? drawSeed(systemRandom) : 1),
      ...(seeds === undefined ? {} : { seeds }),
      ...(minutes === undefined ? {} : { limitMs: minutes * 60_000 }),
      ...(flags.plant === undefined ? {} : { plant: flags.plant }),
      clock: systemClock,
      signal: interruptSignal(),
      say,
    });
    finish(flags, report, () => textOfHunt(report), exitOf[report.verdict]);
  } finally {
    await pool.close();
  }
}

async function runOne(flags: SimulateFlags, seed: number): Promise<void> {
  const { planOf } = await import('./plan.ts');
  const { plants } = await import('./plants.ts');
  const { simulate } = await import('./simulation.ts');
  const { numbersOf, restrict } = await import('./subset.ts');
  const { textOfRun } = await import('./report.ts');
  const whole = planOf(seed);
  const faults = flags.faults === 'none' ? [] : flags.faults?.split(',');
  const unknown = faults?.find((id) => !whole.faults.some((fault) => fault.id === id));
  if (unknown !== undefined)
    throw usageFault(
      `--faults: seed ${seed} has no fault "${unknown}"`,
      `it has ${whole.faults.map(({ id }) => id).join(', ')}`,
    );
  const sends = flags.sends === undefined ? undefined : numbersOf(flags.sends, whole.sends.length - 1);
  if (flags.sends !== undefined && sends === undefined)
    throw usageFault(`--sends: write numbers from 0 to ${whole.sends.length - 1}, such as 0-17,40`);
  const plan = restrict(whole, {
    ...(faults === undefined ? {} : { faults }),
    ...(sends === undefined ? {} : { sends }),
  });
  const plant = flags.plant === undefined ? undefined : plants[flags.plant]?.plant;
  const result = await simulate(plan, { keep: true, ...(plant === undefined ? {} : { plant }) });
  if (flags.trace !== undefined) write('--trace', flags.trace, `${result.lines.join('\n')}\n`);
  const { lines: _lines, coverage: _coverage, ...figures } = result;
  const exitCode = result.violations.length > 0 ? exitCodes.violated : exitCodes.ok;
  finish(flags, { ...figures, plan }, () => textOfRun(plan, result), exitCode);
}

interface PlantsFlags {
  readonly seeds: string;
  readonly only?: string;
  readonly report?: string;
  readonly output: OutputFormat;
}

/** `troupe simulate plants`: can the checkers fail? Each built-in bug is hunted until it is caught. */
function plantsCommand(): Command {
  return new Command('plants')
    .description('build bugs in, one after another, and show which check catches each, after how many seeds')
    .option('--seeds <number>', 'seeds to try at most for each', '300')
    .option('--only <names>', 'only these plants, with commas between')
    .option('--report <file>', 'write the findings there, as JSON')
    .addOption(outputOption())
    .action(async (_flags: PlantsFlags, command: Command) => {
      const flags = command.optsWithGlobals<PlantsFlags>();
      const { huntPlants } = await import('./plant-hunt.ts');
      const { plants } = await import('./plants.ts');
      const { createPool } = await import('./pool.ts');
      const { textOfPlants } = await import('./report.ts');
      const names = flags.only?.split(',') ?? Object.keys(plants);
      for (const name of names) await checkPlant(name);
      const seeds = wholeNumber('--seeds', flags.seeds, 1, seedsMax) ?? 300;
      const pool = createPool();
      try {
        const { findings, clean } = await huntPlants({ pool, names, seeds, signal: interruptSignal(), say });
        const exitCode =
          clean.failed.length > 0
            ? exitCodes.violated
            : findings.every(({ caught }) => caught !== undefined)
              ? exitCodes.ok
              : exitCodes.unknown;
        finish(flags, { findings, clean }, () => textOfPlants(findings, clean), exitCode);
      } finally {
        await pool.close();
      }
    });
}

function finish(
  flags: { readonly output: OutputFormat; readonly report?: string },
  report: object,
  text: () => string,
  exitCode: ExitCode,
): void {
  if (flags.report !== undefined) write('--report', flags.report, `${JSON.stringify(report, null, 2)}\n`);
  if (flags.output === 'table') print(text());
  else printJson(report, flags.output);
  process.exitCode = exitCode;
}

function write(flag: string, path: string, text: string): void {
  try {
    writeFileSync(resolve(path), text);
  } catch (error) {
    throw new CommandFailed(exitCodes.failed, `${flag}: ${path} cannot be written: ${(error as Error).message}`);
  }
}

function wholeNumber(flag: string, text: string | undefined, min: number, max: number): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!Number.isInteger(value) || value < min || value > max)
    throw usageFault(`${flag}: write a whole number from ${min} to ${max}`);
  return value;
}

async function checkPlant(name: string | undefined): Promise<void> {
  if (name === undefined) return;
  const { plants } = await import('./plants.ts');
  if (!Object.hasOwn(plants, name))
    throw usageFault(`there is no plant "${name}"`, `there are ${Object.keys(plants).join(', ')}`);
}
