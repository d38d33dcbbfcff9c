/** The configuration as people and scripts read it, with secrets masked. */

import type { Config, Origin } from './resolve.ts';
import { leavesOf } from './sections.ts';
import { keyOf, settingNames, settingOf } from './settings.ts';
import { formatDuration } from './values.ts';

export interface DescribedValue {
  readonly key: string;
  readonly value: unknown;
  readonly origin: string;
}

const masked = '********';

/** Every value in the form in which it may be written, with where it came from. */
export function describeConfig(config: Config): DescribedValue[] {
  const own = settingNames.map((name) => {
    const key = keyOf(name);
    const value = config.settings[name];
    const written = name.endsWith('Ms') ? formatDuration(value as number) : (value ?? null);
    return { key, value: settingOf(name).secret === true ? maskSecret(value) : maskUrl(written), origin: key };
  });
  const sections = leavesOf(config.application).filter(([key]) => key !== '');
  const theirs = sections.map(([key, value]) => ({
    key,
    value: looksSecret(key) ? maskSecret(value) : maskUrl(value),
    origin: key,
  }));
  return [...own, ...theirs].map((entry) => ({ ...entry, origin: originText(config.origins.get(entry.origin)) }));
}

function maskSecret(value: unknown): string | null {
  return value === undefined || value === null ? null : masked;
}

/** A name such as apiKey or password; `apiKeyEnv` only names a variable. */
function looksSecret(key: string): boolean {
  return /(token|secret|password|api_?key|credential)s?$/i.test(key);
}

/** The password of a URL, masked; everything else as it is. */
export function maskUrl(value: unknown): unknown {
  return typeof value === 'string'
    ? value.replace(/^([a-z][a-z0-9+.-]*:\/\/[^:@/?#]*):[^@/?#]*@/i, `$1:${masked}@`)
    : value;
}

export function originText(origin: Origin | undefined): string {
  if (origin === undefined || origin.from === 'default') return 'default';
  return origin.from === 'file' ? (origin.name ?? 'file') : `${origin.from} ${origin.name}`;
}
