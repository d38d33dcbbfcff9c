import { writeFileSync } from 'node:fs';
import { Command } from 'commander';
import { systemClock } from '../../runtime/clock.ts';
import { CommandFailed, usageFault } from '../cli/failure.ts';
import { interruptSignal } from '../cli/interrupt.ts';
import { type OutputFormat, outputOption, print, printJson, say } from '../cli/output.ts';
import { suggestion } from '../config/nearest.ts';
import { exitCodes } from '../exit-codes.ts';

interface HotPathFlags {
  readonly only: readonly string[];
  readonly quick?: true;
  readonly out?: string;
  readonly output: OutputFormat;
}

/** `troupe bench`: how fast it is, beside the libraries it stands on. */
export function benchCommand(): Command {
  return new Command('bench')
    .description('measure on this machine, beside the libraries that Troupe stands on')
    .addCommand(hotPathCommand());
}

function hotPathCommand(): Command {
  return new Command('hot-path')
    .description(
      'tell, ask, gRPC ask and durable tell beside XState, MessagePort, grpc-js and BullMQ; exit 1 below a bar',
    )
    .option('--only <name>', 'one bench; may be given again', (name, names: readonly string[]) => [...names, name], [])
    .option('--quick', 'fewer messages and runs; the ratios are rough')
    .option('--out <file>', 'write the report as JSON')
    .addOption(outputOption())
    .action(async (flags: HotPathFlags) => {
      const { benchNames, runHotPath } = await import('./hot-path.ts');
      const { textOfReport } = await import('./report.ts');
      for (const name of flags.only)
        if (!benchNames.some((known) => known === name))
          throw usageFault(
            `there is no bench ${name}${suggestion(name, benchNames)}`,
            `known: ${benchNames.join(', ')}`,
          );
      const only = benchNames.filter((name) => flags.only.length === 0 || flags.only.includes(name));
      const signal = endSignal();
      const report = await runHotPath({ only, quick: flags.quick === true, clock: systemClock, signal, say });
      if (flags.out !== undefined) write(flags.out, `${JSON.stringify(report, null, 2)}\n`);
      if (flags.output === 'table') print(textOfReport(report));
      else printJson(report, flags.output);
      if (!report.passed) process.exitCode = exitCodes.failed;
    });
}

/** Aborted by Ctrl-C, and by who else wants this process to end. */
function endSignal(): AbortSignal {
  const terminated = new AbortController();
  for (const name of ['SIGTERM', 'SIGHUP'] as const) process.once(name, () => terminated.abort());
  return AbortSignal.any([interruptSignal(), terminated.signal]);
}

function write(file: string, text: string): void {
  try {
    writeFileSync(file, text);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new CommandFailed(exitCodes.failed, `${file} cannot be written (${code})`, 'choose another file with --out');
  }
}
