/** The sources of the configuration as this process finds them. */

import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { ConfigError } from './fault.ts';
import { type Config, type ConfigSources, resolveConfig } from './resolve.ts';
import type { SectionsSchema } from './sections.ts';

export const configFileName = 'troupe.toml';

export interface ReadOptions {
  /** File named by `--config`. */
  readonly file?: string | undefined;
  readonly flags?: ConfigSources['flags'];
  readonly env?: NodeJS.ProcessEnv;
  readonly workingFolder?: string;
}

/**
 * Reads flags, environment and file. The file is the one named by `--config` or `TROUPE_CONFIG`, else troupe.toml in
 * the working folder, if there is one.
 *
 * @throws ConfigError
 */
export function readConfig(options?: ReadOptions): Config;
export function readConfig<Schema extends SectionsSchema>(
  options: ReadOptions,
  sections: Schema,
): ReturnType<typeof resolveConfig<Schema>>;
export function readConfig(options: ReadOptions = {}, sections?: SectionsSchema): Config {
  const env = options.env ?? process.env;
  const workingFolder = options.workingFolder ?? process.cwd();
  const named = options.file ?? (env.TROUPE_CONFIG || undefined);
  const path = resolve(workingFolder, named ?? configFileName);
  const sources: ConfigSources = {
    flags: options.flags ?? {},
    env,
    file: readFile(path, named !== undefined),
    workingFolder,
    homeFolder: homeFolder(workingFolder),
  };
  return sections === undefined ? resolveConfig(sources) : resolveConfig(sources, sections);
}

function readFile(path: string, demanded: boolean): ConfigSources['file'] {
  try {
    return { path, text: readFileSync(path, 'utf8') };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' && !demanded) return undefined;
    const why = code === 'ENOENT' ? 'no such file' : `it cannot be read (${code})`;
    throw new ConfigError([{ where: path, message: why }]);
  }
}

/** The folder of the wrapper; the working folder where Troupe is a dependency, so that data never lands in node_modules. */
export function homeFolder(workingFolder: string): string {
  const home = projectFolder();
  return home.split(/[\\/]/).includes('node_modules') ? workingFolder : home;
}

/** The folder that holds package.json of Troupe. */
export function projectFolder(): string {
  let folder = import.meta.dirname;
  while (!existsSync(join(folder, 'package.json')) && dirname(folder) !== folder) folder = dirname(folder);
  return folder;
}
