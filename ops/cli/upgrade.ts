import { Command } from 'commander';
import { systemClock } from '../../runtime/clock.ts';
import { TroupeError } from '../../runtime/errors.ts';
import { readConfig } from '../config/read.ts';
import { exitCodes } from '../exit-codes.ts';
import { CommandFailed, usageFault } from './failure.ts';
import { interruptSignal } from './interrupt.ts';
import { type OutputFormat, outputOption, print, printJson } from './output.ts';
import { type ConfigFileOption, givenFlags, withSettingOptions } from './setting-options.ts';

type CheckOptions = ConfigFileOption & { readonly examples: string; readonly output: OutputFormat };

const examplesMax = 10_000;

/** `troupe upgrade check`: what new code would do to what is stored, before it is deployed. */
export function upgradeCommand(): Command {
  return new Command('upgrade')
    .description('look at what new code would do to what is stored')
    .addCommand(checkCommand());
}

function checkCommand(): Command {
  return withSettingOptions(
    new Command('check')
      .description(
        'restore every stored snapshot, and step its waiting mail and due timers, in this code; changes nothing; ' +
          'exits 99 when something would break, 98 when it could not look',
      )
      .option('--examples <count>', 'how many actors to name of each kind of break', '10')
      .addOption(outputOption()),
  ).action(async (options: CheckOptions) => {
    const { applicationSettings } = await import('../../actors/settings.ts');
    const { settings, application } = readConfig(
      { file: options.config, flags: givenFlags({ ...options }) },
      applicationSettings,
    );
    const examples = /^\d{1,5}$/.test(options.examples) ? Number(options.examples) : 0;
    if (examples < 1 || examples > examplesMax)
      throw usageFault(`--examples: write a whole number from 1 to ${examplesMax}`);
    const { openReading } = await import('../../runtime/engines/open-reading.ts');
    const { checkUpgrade } = await import('../upgrade/check.ts');
    const { textOfUpgrade } = await import('../upgrade/report.ts');
    const { namespace, shards, dataDir } = settings;
    try {
      const reading = await openReading(settings.engine, { namespace, dataDir });
      try {
        const report = await checkUpgrade({
          reading,
          namespace,
          shards,
          app: settings.app,
          application,
          turnLimitMs: settings.watchdogMs,
          examples,
          clock: systemClock,
          signal: interruptSignal(),
        });
        if (options.output === 'table') print(textOfUpgrade(report));
        else printJson(report, options.output);
        process.exitCode = report.exitCode;
      } finally {
        await reading.close();
      }
    } catch (error) {
      throw couldNotLook(error);
    }
  });
}

/** The engine's reasons are meant for callers of actors; here they all mean that nothing was learnt. */
function couldNotLook(error: unknown): unknown {
  if (error instanceof CommandFailed || (error as Error | null)?.name === 'AbortError') return error;
  const isEngine = error instanceof TroupeError || /^Engine(Down|Unknown)$/.test((error as Error | null)?.name ?? '');
  if (!isEngine) return error;
  return new CommandFailed(exitCodes.unknown, (error as Error).message, 'nothing was looked at');
}
