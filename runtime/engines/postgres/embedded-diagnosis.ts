/** What is wrong with the embedded PostgreSQL of a data folder, whether it runs or not. Nothing is started. */

import { existsSync, readFileSync, statfsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Clock, systemClock } from '../../clock.ts';
import { textOf } from '../../errors.ts';
import { bytesText, type Examination, type Finding, fails, ok, warns } from '../finding.ts';
import { programsFolder } from './binaries.ts';
import { embeddedDatabase, embeddedUser, majorOfPrograms } from './cluster.ts';
import { examinePostgres } from './diagnosis.ts';
import { chooseLauncher } from './launcher.ts';
import { findPostmaster } from './postmaster.ts';

const bytesMin = 64 * 1024 ** 2;
const bytesLow = 512 * 1024 ** 2;

export async function examineEmbedded(asked: Examination, clock: Clock = systemClock): Promise<Finding[]> {
  const folder = join(asked.dataDir, 'postgres');
  const data = join(folder, 'data');
  const disk = diskFinding(folder);
  const before = [...majorFinding(data), ...(disk === undefined ? [] : [disk])];
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
    return fails(check, textOf(error));
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

function diskFinding(folder: string): Finding | undefined {
  let at = folder;
  while (!existsSync(at) && dirname(at) !== at) at = dirname(at);
  const { bavail, bsize } = statfsSync(at);
  const freeBytes = bavail * bsize;
  const mend = 'free space on it, or move the data folder to another disk';
  if (freeBytes < bytesMin) return fails('engine', `the disk of ${folder} is full: ${bytesText(freeBytes)} left`, mend);
  if (freeBytes < bytesLow)
    return warns('engine', `the disk of ${folder} is nearly full: ${bytesText(freeBytes)} left`, mend);
  return undefined;
}
