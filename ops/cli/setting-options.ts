/** The flags of the settings: one each, made from the table. */

import { type Command, Option } from 'commander';
import type { ConfigSources } from '../config/resolve.ts';
import { envOf, flagOf, type SettingName, settingNames, settingOf } from '../config/settings.ts';

export interface ConfigFileOption {
  readonly config?: string;
}

export function withSettingOptions(command: Command): Command {
  for (const name of settingNames) {
    const { value, help, default: written } = settingOf(name);
    const fallback = written === undefined || written === false ? '' : `; default ${written}`;
    const flags = value === '' ? flagOf(name) : `${flagOf(name)} <${value}>`;
    command.addOption(new Option(flags, `${help} (${envOf(name)}${fallback})`));
  }
  return command.option('--config <file>', 'configuration file (TROUPE_CONFIG; default troupe.toml)');
}

/** What was given on the command line; commander names a flag's value in camel case. */
export function givenFlags(options: Readonly<Record<string, unknown>>): ConfigSources['flags'] {
  const given: Partial<Record<SettingName, string | boolean>> = {};
  for (const name of settingNames) {
    const value = options[name.replace(/Ms$/, '')];
    if (typeof value === 'string' || typeof value === 'boolean') given[name] = value;
  }
  return given;
}
