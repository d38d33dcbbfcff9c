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
  readonly engine: readonly string[];
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
      'tell, ask, gRPC ask and durable tell beside XState, MessagePort, grpc-js and BullMQ on one engine; what ' +
        'passivated actors cost; recovery of a thread. Exit 1 where a bar is missed',
    )
    .option('--only <name>', 'one bench; may be given again', gathered, [])
    .option('--engine <name>', 'durable tells on this engine only: redis or embedded; may be given again', gathered, [])
    .option('--quick', 'fewer messages and runs; the ratios are rough')
    .option('--out <file>', 'write the report as JSON')
    .addOption(outputOption())
    .action(async (flags: HotPathFlags) => {
      const { benchNames, runHotPath } = await import('./hot-path.ts');
      const { textOfReport } = await import('./report.ts');
      const { benchEngines } = await import('./engine-server.ts');
      const only = chosen('bench', benchNames, flags.only);
      const engines = chosen('engine', benchEngines, flags.engine);
      const size = flags.quick === true ? 'quick' : 'full';
      const report = await runHotPath({ only, engines, size, clock: systemClock, signal: endSignal(), say });
      if (flags.out !== undefined) write(flags.out, `${JSON.stringify(report, null, 2)}\n`);
      if (flags.output === 'table') print(textOfReport(report));
      else printJson(report, flags.output);
      // What was not measured meets no bar.
      if (!report.passed) process.exitCode = exitCodes.failed;
      else if (report.skipped.length > 0) process.exitCode = exitCodes.unknown;
    });
}

const gathered = (name: string, names: readonly string[]): readonly string[] => [...names, name];

/** Those of the known that were named; all where none was. */
function chosen<Name extends string>(what: string, known: readonly Name[], named: readonly string[]): readonly Name[] {
  const names: readonly string[] = known;
  for (const name of named)
    if (!names.includes(name))
      throw usageFault(`there is no ${what} ${name}${suggestion(name, names)}`, `known: ${names.join(', ')}`);
  return known.filter((name) => named.length === 0 || named.includes(name));
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
