import { createHash } from 'node:crypto';
import { access, chmod, lstat, mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TroupeError } from '../../errors.ts';

/** Longest path of a Unix socket, in bytes, on Linux; macOS has 103. */
const socketPathBytesMax = 103;
const socketFile = '.s.PGSQL.5432.lock';

export async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** Makes a folder that only this user can enter. */
export async function makePrivateFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 });
}

/**
 * Where the socket of a database lives: short, private, and always the same for one data folder. In a shared temporary
 * folder anyone could have made it first, so its owner is checked.
 */
export async function makeSocketFolder(dataFolder: string, owner: number): Promise<string> {
  const path = socketFolderOf(dataFolder, owner);
  await mkdir(path, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
  const found = await lstat(path);
  const mine = found.isDirectory() && (found.uid === process.getuid?.() || found.uid === owner);
  if (!mine) {
    throw new TroupeError(
      'UNAVAILABLE',
      `The folder ${path}, which PostgreSQL's socket needs, belongs to someone else. Remove it, or set TMPDIR.`,
    );
  }
  await chmod(path, 0o700);
  return path;
}

function socketFolderOf(dataFolder: string, owner: number): string {
  const name = `troupe-${owner}-${createHash('sha256').update(dataFolder).digest('hex').slice(0, 12)}`;
  const wanted = join(tmpdir(), name);
  // PostgreSQL reads the folder from a list in its settings, where some characters mean something.
  const usable = /^[\w./-]+$/.test(wanted) && Buffer.byteLength(join(wanted, socketFile)) <= socketPathBytesMax;
  return usable ? wanted : join('/tmp', name);
}
