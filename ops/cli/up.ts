import { Command } from 'commander';
import { readConfig } from '../config/read.ts';
import { exitCodes } from '../exit-codes.ts';
import { version } from '../version.ts';
import { CommandFailed } from './failure.ts';
import { interruptSignal } from './interrupt.ts';
import { dataFolder } from './node-client.ts';
import { print, say } from './output.ts';
import { type ConfigFileOption, givenFlags, withSettingOptions } from './setting-options.ts';

type UpOptions = ConfigFileOption & { readonly detach?: true };

/** `troupe up`: starts a node and runs it until SIGTERM or SIGINT; with `--detach` in the background. */
export function upCommand(): Command {
  return withSettingOptions(
    new Command('up')
      .description('start a node; it runs until SIGTERM, SIGINT or "troupe down"')
      .option('--detach', 'run it in the background, and return when it is ready'),
  ).action(async (options: UpOptions) => {
    const { applicationSettings } = await import('../../actors/settings.ts');
    const config = readConfig({ file: options.config, flags: givenFlags({ ...options }) }, applicationSettings);
    if (options.detach !== true) {
      const { runNode } = await import('../up.ts');
      const { dataDir } = config.settings;
      const finder = dataDir === dataFolder({}) ? '' : ` --data-dir '${dataDir}'`;
      const exitCode = await runNode({ config, version: version(), finder, announce: print });
      process.exit(exitCode);
    }
    const { detachNode } = await import('../detach.ts');
    const outcome = await detachNode({
      dataDir: config.settings.dataDir,
      words: process.argv.slice(2).filter((word) => word !== '--detach'),
      timeoutMs: config.settings.startTimeoutMs,
      signal: interruptSignal(),
    });
    if ('failed' in outcome) {
      say(outcome.failed);
      throw new CommandFailed(exitCodes.failed, 'the node did not start', `its log: ${outcome.logPath}`);
    }
    print(outcome.ready);
    say(`log: ${outcome.logPath}\nstop it with: troupe down`);
  });
}
