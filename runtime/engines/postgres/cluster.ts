import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { TroupeError } from '../../errors.ts';
import { programsFolder } from './binaries.ts';
import { exists, makePrivateFolder } from './folders.ts';
import { runs } from './postmaster.ts';

/** The superuser and the database of the embedded PostgreSQL; only its private socket leads to them. */
export const embeddedUser = 'troupe';
export const embeddedDatabase = 'postgres';

/** Runs one of PostgreSQL's programs, as the user that it needs. */
export type RunProgram = (program: 'initdb' | 'postgres', words: readonly string[]) => SpawnSyncReturns<string>;

export function programRunner(prefix: readonly string[], root: string, environment: NodeJS.ProcessEnv): RunProgram {
  return (program, words) => {
    const [first = '', ...rest] = [...prefix, join(root, 'bin', program), ...words];
    return spawnSync(first, rest, { encoding: 'utf8', env: environment, cwd: '/', timeout: 120_000 });
  };
}

/** The version of the programs, such as "18.4"; fails where they do not run on this system. */
export function programVersion(run: RunProgram): string {
  const answer = run('postgres', ['--version']);
  const version = /(\d+)(\.\d+)*/.exec(answer.stdout ?? '')?.[0];
  if (answer.status === 0 && version !== undefined) return version;
  throw new TroupeError(
    'UNAVAILABLE',
    `The embedded PostgreSQL does not run on this system: ${outputOf(answer)}. Use an engine of your own: ` +
      '--engine redis://HOST:6379 or --engine postgres://USER@HOST/DATABASE.',
  );
}

/** Major version of the programs, by the note that comes with them; nothing is run. */
export function majorOfPrograms(): string | undefined {
  const header = join(programsFolder(), 'share', 'postgresql', 'postgres.bki');
  const first = existsSync(header) ? readFileSync(header, 'utf8').slice(0, 100) : '';
  return /^# PostgreSQL (\d+)/.exec(first)?.[1];
}

/** Makes the data files where there are none, and refuses those of another major version. */
export async function prepareCluster(
  home: string,
  version: string,
  run: RunProgram,
  give: (path: string) => Promise<void>,
): Promise<string> {
  const data = join(home, 'data');
  await removeUnfinished(home);
  if (!(await exists(join(data, 'PG_VERSION')))) {
    // Made beside and renamed into place, so that an interrupted start leaves nothing half made.
    const made = join(home, `data.new-${process.pid}`);
    await makePrivateFolder(made);
    await give(made);
    const words = ['--auth-local=trust', '--auth-host=reject', '--encoding=UTF8', '--locale=C', '--no-instructions'];
    const answer = run('initdb', ['-D', made, '-U', embeddedUser, ...words]);
    if (answer.status !== 0) {
      await rm(made, { recursive: true, force: true });
      throw new TroupeError('UNAVAILABLE', `PostgreSQL's files in ${home} cannot be made: ${outputOf(answer)}`);
    }
    await rename(made, data).catch(async (error) => {
      await rm(made, { recursive: true, force: true });
      if (!(await exists(join(data, 'PG_VERSION')))) throw error;
    });
  }
  const stored = (await readFile(join(data, 'PG_VERSION'), 'utf8')).trim();
  const major = version.split('.')[0];
  if (stored !== major) {
    throw new TroupeError(
      'UNAVAILABLE',
      `The data in ${data} were written by PostgreSQL ${stored}; this Troupe brings PostgreSQL ${major}. With the ` +
        'version of Troupe that wrote them: troupe data backup FILE; with this one: troupe data upgrade --from FILE. ' +
        'Or start with another data folder (TROUPE_DATA_DIR).',
    );
  }
  return data;
}

/** What starts that were killed during initdb have left. */
async function removeUnfinished(home: string): Promise<void> {
  for (const name of await readdir(home)) {
    const pid = /^data\.new-(\d+)$/.exec(name)?.[1];
    if (pid !== undefined && !runs(Number(pid))) await rm(join(home, name), { recursive: true, force: true });
  }
}

function outputOf(answer: SpawnSyncReturns<string>): string {
  const text = answer.error?.message ?? `${answer.stderr ?? ''}${answer.stdout ?? ''}`;
  return text.trim().slice(-500) || `exit ${answer.status ?? answer.signal}`;
}
