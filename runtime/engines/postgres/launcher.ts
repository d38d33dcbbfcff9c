/**
 * As whom PostgreSQL runs. It refuses to run as root, and as a user without a name:
 *
 * 1. An ordinary user: directly.
 * 2. Root: in a user namespace, where root's files belong to an ordinary user. Nothing is copied and no user is needed.
 * 3. Root where user namespaces are forbidden: as `postgres` or `nobody`, with programs and data under /var/lib/troupe.
 */

import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, chown, cp, readFile, rename, rm } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { TroupeError } from '../../errors.ts';
import { exists, makePrivateFolder } from './folders.ts';

/** Where the unprivileged user's files are, when root may not use user namespaces. */
const systemFolder = '/var/lib/troupe';

export interface Launcher {
  /** The words that stand before the program. */
  readonly prefix: readonly string[];
  /** Who owns PostgreSQL's files, as this process sees it. */
  readonly owner: number;
  /** Where the data go when they cannot be in the folder that was asked for. */
  readonly folder?: string;
  /** Gives a file or folder to the user that PostgreSQL runs as. */
  give(path: string): Promise<void>;
  /** The programs where that user can read them. */
  place(root: string): Promise<string>;
}

export async function chooseLauncher(
  dataFolder: string,
  run: (program: string, words: readonly string[]) => SpawnSyncReturns<string> = probe,
): Promise<Launcher> {
  const uid = process.getuid?.() ?? -1;
  const stay = { give: async () => {}, place: async (root: string) => root };
  if (uid !== 0 && hasName()) return { prefix: [], owner: uid, ...stay };

  const users = await readUsers();
  const ordinary = users.get('nobody') ?? [...users.values()].find((user) => user.uid !== 0);
  if (ordinary !== undefined) {
    const prefix = ['unshare', '--user', `--map-user=${ordinary.uid}`, `--map-group=${ordinary.gid}`];
    const tried = run('unshare', [...prefix.slice(1), 'true']);
    if (tried.status === 0) return { prefix, owner: uid, ...stay };
    const target = users.get('postgres') ?? ordinary;
    const drop = ['setpriv', `--reuid=${target.uid}`, `--regid=${target.gid}`, '--clear-groups'];
    if (uid === 0 && run('setpriv', [...drop.slice(1), 'true']).status === 0) {
      return unprivileged(drop, target, dataFolder);
    }
    const why = (tried.error?.message ?? tried.stderr ?? '').trim();
    throw new TroupeError('UNAVAILABLE', `${cannot(uid)} A user namespace was refused (${why}). ${advice}`);
  }
  throw new TroupeError('UNAVAILABLE', `${cannot(uid)} /etc/passwd names no other user. ${advice}`);
}

function unprivileged(prefix: readonly string[], user: User, dataFolder: string): Launcher {
  const hash = createHash('sha256').update(dataFolder).digest('hex').slice(0, 12);
  return {
    prefix,
    owner: user.uid,
    folder: join(systemFolder, hash),
    give: (path) => chown(path, user.uid, user.gid),
    async place(root) {
      // The package may stand in a folder that only root can enter.
      await makePrivateFolder(systemFolder);
      await chmod(systemFolder, 0o755);
      const version = createHash('sha256').update(await readFile(join(root, 'bin', 'postgres')));
      const target = join(systemFolder, `postgres-${version.digest('hex').slice(0, 12)}`);
      if (await exists(target)) return target;
      const made = join(dirname(target), `.${basename(target)}.${process.pid}`);
      await cp(root, made, { recursive: true, verbatimSymlinks: true });
      await chmod(made, 0o755);
      await rename(made, target).catch(() => rm(made, { recursive: true }));
      return target;
    },
  };
}

interface User {
  readonly uid: number;
  readonly gid: number;
}

async function readUsers(): Promise<Map<string, User>> {
  const text = await readFile('/etc/passwd', 'utf8').catch(() => '');
  const users = new Map<string, User>();
  for (const line of text.split('\n')) {
    const [name, , uid, gid] = line.split(':');
    if (name && uid && gid) users.set(name, { uid: Number(uid), gid: Number(gid) });
  }
  return users;
}

/** Whether the system has a name for this user; `initdb` asks for it. */
function hasName(): boolean {
  try {
    return userInfo().username !== '';
  } catch {
    return false;
  }
}

function probe(program: string, words: readonly string[]): SpawnSyncReturns<string> {
  return spawnSync(program, words, { encoding: 'utf8', timeout: 5_000 });
}

const cannot = (uid: number): string =>
  uid === 0
    ? 'The embedded PostgreSQL does not run as root.'
    : `The embedded PostgreSQL does not run as user ${uid}, who has no name on this system.`;

const advice =
  'Start Troupe as an ordinary user, or use an engine of your own: --engine redis://HOST:6379 or ' +
  '--engine postgres://USER@HOST/DATABASE.';
