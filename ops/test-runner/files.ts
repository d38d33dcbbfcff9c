import { existsSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';

/** The one rule: a test file whose name ends so is of the long suite, every other one of the fast suite. */
const longEnding = '.long.test.ts';

/** Whether a file is left to `troupe test --all`. */
export function isLong(file: string): boolean {
  return file.endsWith(longEnding);
}

/** Every test file of the repository, as paths from its root; none where the tests are not, as in an installed package. */
export function findTestFiles(root: string): string[] {
  const folder = join(root, 'test');
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.test.ts'))
    .map((file) => join('test', file))
    .sort();
}

/** What people call them: the file names without their ending. */
export function namesOf(files: readonly string[]): string[] {
  return files.map((file) => basename(file, isLong(file) ? longEnding : '.test.ts'));
}
