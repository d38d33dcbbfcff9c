import { resolve } from 'node:path';
import { Command } from 'commander';
import { systemClock } from '../../runtime/clock.ts';
import { systemRandom } from '../../runtime/random.ts';
import { CommandFailed, usageFault } from '../cli/failure.ts';
import { interruptSignal } from '../cli/interrupt.ts';
import { type OutputFormat, outputOption, print, printJson, say } from '../cli/output.ts';
import { exitCodes } from '../exit-codes.ts';

interface TortureFlags {
  readonly minutes: string;
  readonly engine: string;
  readonly seed?: string;
  readonly report?: string;
  readonly output: OutputFormat;
}

const engineForm = /^(embedded|memory|redis|rediss?:\/\/.+|postgres(ql)?:\/\/.+)$/;

/** `troupe torture`: kill everything, again and again, and compare what was sent with what was applied. */
export function tortureCommand(): Command {
  return new Command('torture')
    .description('kill actors, threads, the process and the engine under load, then see whether anything was lost')
    .option('--minutes <number>', 'how long to kill; up to 3 minutes more while no message came twice', '10')
    .option(
      '--engine <engine>',
      'embedded, redis (a server of its own), or redis://… or postgres://…, which are not killed; memory, which loses',
      'embedded',
    )
    .option('--seed <number>', 'repeats keys, moments and targets of a run')
    .option('--report <folder>', 'write report.json, history.ndjson and the node’s log there')
    .addOption(outputOption())
    .action(async (flags: TortureFlags) => {
      const { drawSeed } = await import('../faults/chance.ts');
      const { redisMissing } = await import('../faults/own-redis.ts');
      const { runTorture } = await import('./torture.ts');
      const { textOfTorture } = await import('./report.ts');
      const minutes = Number(flags.minutes);
      if (!(minutes >= 0.1 && minutes <= 24 * 60)) throw usageFault('--minutes: write a number from 0.1 to 1440');
      if (!engineForm.test(flags.engine))
        throw usageFault('--engine: write embedded, redis, memory, redis://… or postgres://…');
      const seed = flags.seed === undefined ? drawSeed(systemRandom) : Number(flags.seed);
      if (!Number.isInteger(seed) || seed < 0 || seed >= 2 ** 32)
        throw usageFault('--seed: write a whole number from 0 to 4294967295');
      const missing = flags.engine === 'redis' ? redisMissing() : undefined;
      if (missing !== undefined) throw new CommandFailed(exitCodes.unreachable, missing);
      const report = await runTorture({
        runMs: minutes * 60_000,
        engine: flags.engine,
        seed,
        ...(flags.report === undefined ? {} : { reportFolder: resolve(flags.report) }),
        clock: systemClock,
        random: systemRandom,
        signal: interruptSignal(),
        say,
      });
      if (flags.output === 'table') print(textOfTorture(report));
      else printJson(report, flags.output);
      process.exitCode = report.exitCode;
    });
}
