import { accessSync, constants, realpathSync, statSync } from 'node:fs';
import { basename, delimiter, isAbsolute, join } from 'node:path';

/**
 * Programs that `execute` may run. The list keeps a plan from reaching for the unexpected; it is no sandbox, since
 * several of them run whatever code they are given. That is why host execution as a whole is off by default.
 */
export const allowedPrograms = [
  'echo',
  'ls',
  'pwd',
  'date',
  'cat',
  'head',
  'tail',
  'wc',
  'grep',
  'find',
  'python',
  'python3',
  'pip',
  'npm',
  'node',
  'git',
  'make',
] as const;

/**
 * The absolute path of an allowed program, found in the node's own PATH. A path is accepted only where it leads to
 * the very same file, so that another program of an allowed name is refused. A text says why there is none.
 */
export function resolveProgram(
  command: string,
  searchPath: string,
): { readonly path: string } | { readonly refused: string } {
  const name = basename(command);
  if (command.includes('\0') || !(allowedPrograms as readonly string[]).includes(name))
    return { refused: `the program "${command}" is not allowed; allowed are ${allowedPrograms.join(' ')}` };
  const path = findProgram(name, searchPath);
  if (path === undefined) return { refused: `the program "${name}" is not installed on this host` };
  if (command !== name && realPathOf(command) !== realPathOf(path))
    return { refused: `"${command}" is not this host's ${name}; write "${name}"` };
  return { path };
}

/** The absolute path of a program; folders that are not absolute are not searched. */
export function findProgram(name: string, searchPath: string): string | undefined {
  return searchPath
    .split(delimiter)
    .filter(isAbsolute)
    .map((folder) => join(folder, name))
    .find(isProgram);
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

function realPathOf(path: string): string | undefined {
  try {
    return isAbsolute(path) ? realpathSync(path) : undefined;
  } catch {
    return undefined;
  }
}
