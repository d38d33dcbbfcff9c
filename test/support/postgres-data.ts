import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { programsFolder } from '../../runtime/engines/postgres/binaries.ts';
import { startEmbeddedPostgres } from '../../runtime/engines/postgres/embedded.ts';
import { chooseLauncher } from '../../runtime/engines/postgres/launcher.ts';

/** Where tools keep what they can make again; a new `npm ci` empties it. */
const cache = fileURLToPath(new URL('../../node_modules/.cache/troupe', import.meta.url));

/**
 * Lays the files of a new PostgreSQL into the folder, where `startEmbeddedPostgres` finds them: a copy of what initdb
 * made once takes a fraction of its time. For tests that are not about the making.
 */
export async function layPostgresData(folder: string): Promise<void> {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  // Elsewhere, as another user: there initdb has to make them.
  if ((await chooseLauncher(folder)).folder !== undefined) return;
  const { status, stderr } = spawnSync('cp', ['-Rp', await madeOnce(), join(folder, 'data')], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`the files of PostgreSQL were not copied: ${stderr}`);
}

async function madeOnce(): Promise<string> {
  const { version } = JSON.parse(readFileSync(join(programsFolder(), '..', 'package.json'), 'utf8')) as {
    version: string;
  };
  const made = join(cache, `postgres-${version}`);
  if (existsSync(made)) return made;
  mkdirSync(cache, { recursive: true });
  const making = mkdtempSync(join(cache, 'making-'));
  const server = await startEmbeddedPostgres({ dataDir: making });
  await server.stop();
  // Of test files that make it at once, the first gives it.
  await rename(join(making, 'data'), made).catch((error) => {
    if (!existsSync(made)) throw error;
  });
  await rm(making, { recursive: true, force: true });
  return made;
}
