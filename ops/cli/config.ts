import { Command } from 'commander';
import { describeConfig } from '../config/describe.ts';
import { readConfig } from '../config/read.ts';
import { type OutputFormat, outputOption, print, printJson, table } from './output.ts';
import { type ConfigFileOption, givenFlags, withSettingOptions } from './setting-options.ts';

/** `troupe config show`: what a node would start with, and where each value comes from. */
export function configCommand(): Command {
  const show = withSettingOptions(
    new Command('show')
      .description('show every setting with its value; secrets are masked')
      .option('--origin', 'say where each value comes from')
      .addOption(outputOption()),
  ).action(async (options: ConfigFileOption & { origin?: true; output: OutputFormat }) => {
    const { applicationSettings } = await import('../../actors/settings.ts');
    const config = readConfig({ file: options.config, flags: givenFlags({ ...options }) }, applicationSettings);
    const values = describeConfig(config);
    if (options.output === 'table') {
      const rows = values.map(({ key, value, origin }) => [key, text(value), ...(options.origin ? [origin] : [])]);
      return print(table(['SETTING', 'VALUE', ...(options.origin ? ['FROM'] : [])], rows));
    }
    const shown = values.map(({ key, value, origin }) => ({ key, value, ...(options.origin ? { origin } : {}) }));
    if (options.output === 'jsonl') for (const line of shown) printJson(line, 'jsonl');
    else if (options.origin)
      printJson(Object.fromEntries(values.map(({ key, value, origin }) => [key, { value, origin }])));
    else printJson(Object.fromEntries(values.map(({ key, value }) => [key, value])));
  });
  return new Command('config').description('what the node is configured with').addCommand(show);
}

const text = (value: unknown): string =>
  value === null ? '-' : typeof value === 'string' ? value : JSON.stringify(value);
