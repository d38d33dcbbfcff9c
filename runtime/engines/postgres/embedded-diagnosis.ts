/** What is wrong with the embedded PostgreSQL of a data folder, whether it runs or not. Nothing is started. */

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Clock, systemClock } from '../../clock.ts';
import { textOf } from '../../errors.ts';
import { diskFinding } from '../disk.ts';
import { type Examination, type Finding, fails, ok } from '../finding.ts';
import { programsFolder } from './binaries.ts';
import { embeddedDatabase, embeddedUser, majorOfPrograms } from './cluster.ts';
import { examinePostgres } from './diagnosis.ts';
import { chooseLauncher } from './launcher.ts';
import { findPostmaster } from './postmaster.ts';

export async function examineEmbedded(asked: Examination, clock: Clock = systemClock): Promise<Finding[]> {
  const folder = join(asked.dataDir, 'postgres');
  const data = join(folder, 'data');
  const before = [...majorFinding(data), diskFinding(folder)];
  const running = await findPostmaster(data);
  if (running !== undefined) {
    const connection = { host: running.socketFolder, user: embeddedUser, database: embeddedDatabase };
    return [...before, ...(await examinePostgres(connection, asked, clock))];
  }
  if (asked.ownEpoch !== undefined)
    return [...before, fails('engine', 'the embedded PostgreSQL does not run', `read ${join(folder, 'postgres.log')}`)];
  return [...before, await startable(folder)];
}

async function startable(folder: string): Promise<Finding> {
  const check = 'engine';
  try {
    const programs = programsFolder();
    if (!existsSync(programs)) return fails(check, `PostgreSQL's programs are missing from ${programs}`, 'npm ci');
    const { prefix } = await chooseLauncher(folder);
    const as =
      prefix[0] === 'unshare' ? ' in a user namespace' : prefix[0] === 'setpriv' ? ' as an unprivileged user' : '';
    return ok(check, `embedded PostgreSQL can run${as}`);
  } catch (error) {
    return fails(check, textOf(error), 'or choose another with --engine redis://… or postgres://…');
  }
}

/** Data files of another major version. */
function majorFinding(data: string): Finding[] {
  let stored: string;
  try {
    stored = readFileSync(join(data, 'PG_VERSION'), 'utf8').trim();
  } catch {
    return [];
  }
  const major = majorOfPrograms();
  if (major === undefined || stored === major) return [];
  return [
    fails(
      'engine',
      `the data in ${data} were written by PostgreSQL ${stored}; this Troupe brings PostgreSQL ${major}`,
      'with the version of Troupe that wrote them: troupe data backup FILE; with this one: troupe data upgrade --from FILE',
    ),
  ];
}
