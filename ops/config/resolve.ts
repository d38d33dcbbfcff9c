/**
 * Settings from their four sources. Flags win over `TROUPE_*` variables, these over troupe.toml, that over the
 * defaults; each value remembers where it came from. Pure: what the sources hold comes in as an argument.
 *
 * All faults are found before any is told, and a name that nobody knows is a fault: a mistyped setting would
 * otherwise be a default in disguise.
 */

import { dirname, resolve } from 'node:path';
import { parse, TomlError } from 'smol-toml';
import type { z } from 'zod';
import { formatListen, isLoopback } from '../../gateway/access.ts';
import { ConfigError, type ConfigFault } from './fault.ts';
import { suggestion } from './nearest.ts';
import { applicationDefaults, fileFaults, leavesOf, type SectionsSchema, sectionsOf, variablesOf } from './sections.ts';
import {
  envOf,
  flagOf,
  keyOf,
  otherVariables,
  type SettingName,
  type SettingValues,
  settingNames,
  settingOf,
  testVariablePrefix,
} from './settings.ts';
import { parseListenAddress } from './values.ts';

/** Where a value came from; `name` is the flag, the variable or the file. */
export interface Origin {
  readonly from: 'flag' | 'env' | 'file' | 'default';
  readonly name?: string;
}

export interface ConfigSources {
  readonly flags: { readonly [Name in SettingName]?: string | boolean | undefined };
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly file?: { readonly path: string; readonly text: string } | undefined;
  /** Relative paths in flags and variables count from here. */
  readonly workingFolder: string;
  /** The default data folder stands here: beside the wrapper. */
  readonly homeFolder: string;
}

export interface Config<Application = unknown> {
  readonly settings: SettingValues;
  /** The application's sections, checked by its schema; without a schema, unread. */
  readonly application: Application;
  /** By key as in the file, such as `grpc_addr` or `codex.allowHostExecution`. */
  readonly origins: ReadonlyMap<string, Origin>;
}

interface Written {
  readonly value: unknown;
  readonly origin: Origin;
  readonly where: string;
  /** What a relative path counts from. */
  readonly folder: string;
}

/**
 * Resolves all settings. With `sections`, for who starts a node, the application's tables are checked too and may be
 * set by variables, and an address that others reach needs a token.
 *
 * @throws ConfigError
 */
export function resolveConfig(sources: ConfigSources): Config;
export function resolveConfig<Schema extends SectionsSchema>(
  sources: ConfigSources,
  sections: Schema,
): Config<z.output<Schema>>;
export function resolveConfig(sources: ConfigSources, sections?: SectionsSchema): Config {
  const faults: ConfigFault[] = [];
  const origins = new Map<string, Origin>();
  const document = readDocument(sources, faults);
  faults.push(...fileFaults(sources.file, document, settingNames.map(keyOf), sections));
  faults.push(...variableFaults(sources.env, sections));

  const values: Record<string, unknown> = {};
  for (const name of settingNames) {
    const written = writtenValue(name, sources, document);
    const setting = settingOf(name);
    const parsed = setting.schema.safeParse(written.value);
    if (parsed.success) {
      values[name] =
        setting.path === true && typeof parsed.data === 'string' ? resolve(written.folder, parsed.data) : parsed.data;
    } else faults.push({ where: written.where, message: parsed.error.issues[0]?.message ?? 'not usable' });
    origins.set(keyOf(name), written.origin);
  }
  const application = sections === undefined ? {} : readSections(sections, sources, document, faults, origins);
  // Only who starts a node opens its ports.
  if (sections !== undefined && faults.length === 0) faults.push(...exposureFaults(values as SettingValues, origins));
  if (faults.length > 0) throw new ConfigError(faults);
  return { settings: values as SettingValues, application, origins };
}

function readDocument(sources: ConfigSources, faults: ConfigFault[]): Record<string, unknown> {
  if (sources.file === undefined) return {};
  try {
    return parse(sources.file.text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const summary = error.message.split('\n', 1)[0] ?? 'not TOML';
    faults.push({ where: `${sources.file.path}:${error.line}:${error.column}`, message: summary });
    return {};
  }
}

/** What counts for this setting, as it was written. */
function writtenValue(name: SettingName, sources: ConfigSources, document: Record<string, unknown>): Written {
  const flag = sources.flags[name];
  const { workingFolder, homeFolder, file } = sources;
  if (flag !== undefined)
    return { value: flag, origin: { from: 'flag', name: flagOf(name) }, where: flagOf(name), folder: workingFolder };
  for (const { env, read } of [{ env: envOf(name) }, ...(settingOf(name).aliases ?? [])] as {
    env: string;
    read?: (text: string) => string | undefined;
  }[]) {
    const text = sources.env[env];
    const value = text === undefined || text === '' || read === undefined ? text : read(text);
    if (value !== undefined && value !== '')
      return { value, origin: { from: 'env', name: env }, where: env, folder: workingFolder };
  }
  const key = keyOf(name);
  if (file !== undefined && Object.hasOwn(document, key))
    return {
      value: document[key],
      origin: { from: 'file', name: file.path },
      where: `${file.path}: ${key}`,
      folder: dirname(file.path),
    };
  return { value: settingOf(name).default, origin: { from: 'default' }, where: key, folder: homeFolder };
}

function variableFaults(env: ConfigSources['env'], sections: SectionsSchema | undefined): ConfigFault[] {
  const known: string[] = [...settingNames.map(envOf), ...otherVariables];
  const ofSections = sections === undefined ? [] : [...variablesOf(sections).keys()];
  return Object.keys(env)
    .filter((name) => name.startsWith('TROUPE_') && !name.startsWith(testVariablePrefix))
    .filter((name) => !known.includes(name) && !ofSections.includes(name))
    .filter((name) => sections !== undefined || !looksLikeSection(name))
    .map((name) => ({ where: name, message: `no such setting${suggestion(name, [...known, ...ofSections])}` }));
}

/** A command that reads no sections leaves their variables to the commands that do. */
function looksLikeSection(variable: string): boolean {
  return sectionsOf.some((section) => variable.startsWith(`TROUPE_${section.toUpperCase()}_`));
}

function readSections(
  sections: SectionsSchema,
  sources: ConfigSources,
  document: Record<string, unknown>,
  faults: ConfigFault[],
  origins: Map<string, Origin>,
): unknown {
  const written = structuredClone(
    Object.fromEntries(Object.entries(document).filter(([key]) => Object.hasOwn(sections.shape, key))),
  );
  const fromFile = new Set(leavesOf(written).map(([path]) => path));
  const fromEnv = new Map<string, string>();
  for (const [variable, leaf] of variablesOf(sections)) {
    const text = sources.env[variable];
    if (text === undefined || text === '') continue;
    const value = leaf.read(text);
    if (value === undefined) faults.push({ where: variable, message: `write ${leaf.form}` });
    else {
      place(written, leaf.path, value);
      fromEnv.set(leaf.path.join('.'), variable);
    }
  }
  const parsed = sections.safeParse(written);
  if (!parsed.success) {
    for (const issue of parsed.error.issues) {
      if (issue.code === 'unrecognized_keys') continue;
      const path = issue.path.join('.');
      faults.push({
        where: fromEnv.get(path) ?? `${sources.file?.path ?? 'troupe.toml'}: ${path}`,
        message: issue.message,
      });
    }
    return applicationDefaults(sections);
  }
  for (const [path] of leavesOf(parsed.data)) {
    const variable = fromEnv.get(path);
    if (variable !== undefined) origins.set(path, { from: 'env', name: variable });
    else if (fromFile.has(path)) origins.set(path, { from: 'file', name: sources.file?.path ?? 'troupe.toml' });
    else origins.set(path, { from: 'default' });
  }
  return parsed.data;
}

function place(target: Record<string, unknown>, path: readonly string[], value: unknown): void {
  let at = target;
  for (const step of path.slice(0, -1)) {
    const next = at[step];
    if (typeof next === 'object' && next !== null) at = next as Record<string, unknown>;
    else {
      const fresh = {};
      at[step] = fresh;
      at = fresh;
    }
  }
  at[path.at(-1) ?? ''] = value;
}

/** Nobody opens a node to the network without a token by mistake. */
function exposureFaults(values: SettingValues, origins: ReadonlyMap<string, Origin>): ConfigFault[] {
  if (values.token !== undefined) return [];
  return (['grpcAddr', 'httpAddr', 'adminAddr'] as const).flatMap((name) => {
    const address = parseListenAddress(values[name]);
    return address === undefined || isLoopback(address.host)
      ? []
      : [
          {
            where: origins.get(keyOf(name))?.name ?? flagOf(name),
            message: `${formatListen(address.host, address.port)} can be reached from outside this machine: set ${envOf('token')}, or listen on 127.0.0.1`,
          },
        ];
  });
}
