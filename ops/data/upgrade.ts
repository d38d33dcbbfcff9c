/** The way of the embedded database from one major version of PostgreSQL to the next. */

import { existsSync, readFileSync, renameSync } from 'node:fs';
import { readlink, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { majorOfPrograms } from '../../runtime/engines/postgres/cluster.ts';
import { CommandFailed } from '../cli/failure.ts';
import type { SettingValues } from '../config/settings.ts';
import { exitCodes } from '../exit-codes.ts';
import { endOrphan } from './wipe.ts';

export interface Majors {
  /** What wrote the data; `undefined` where there are none. */
  readonly stored: string | undefined;
  /** What this Troupe brings. */
  readonly brought: string;
}

export function majorsOf({ dataDir }: SettingValues): Majors {
  const file = join(dataDir, 'postgres', 'data', 'PG_VERSION');
  return {
    stored: existsSync(file) ? readFileSync(file, 'utf8').trim() : undefined,
    brought: majorOfPrograms() ?? '',
  };
}

/** Moves the old database aside, where it stays; answers where. */
export async function setAside({ dataDir }: SettingValues, stored: string): Promise<string> {
  const folder = join(dataDir, 'postgres');
  await endOrphan(folder);
  let kept = `${folder}-${stored}`;
  for (let n = 2; existsSync(kept); n += 1) kept = `${folder}-${stored}.${n}`;
  const elsewhere = await readlink(join(folder, 'data')).catch(() => undefined);
  if (elsewhere !== undefined) await rename(dirname(elsewhere), `${dirname(elsewhere)}-${stored}`);
  renameSync(folder, kept);
  return kept;
}

/** What to do where the data are of another major and no backup was named. */
export function howToUpgrade({ stored, brought }: Majors, folder: string): CommandFailed {
  return new CommandFailed(
    exitCodes.failed,
    `the data in ${folder} were written by PostgreSQL ${stored}; this Troupe brings PostgreSQL ${brought}, which cannot read them`,
    [
      '1. with the version of Troupe that wrote them (npx troupe@VERSION): troupe data backup my.backup',
      '  2. with this version: troupe data upgrade --from my.backup',
      '  The old files are kept aside; nothing is removed.',
    ].join('\n'),
  );
}
