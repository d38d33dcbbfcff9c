/** The repository's sources as text, for the rules of test/tidy.test.ts. */

import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));

/** The rooms, in the order in which they may import: each only what stands before it. */
export const rooms = ['runtime', 'supervisors', 'actors', 'gateway', 'ops'] as const;

export interface Import {
  /** As written. */
  readonly from: string;
  /** The imported file, from the root of the repository; undefined for a package. */
  readonly file: string | undefined;
  /** Whether it is gone after type stripping. */
  readonly typeOnly: boolean;
}

export interface Source {
  /** From the root of the repository, with slashes. */
  readonly file: string;
  readonly room: string;
  readonly text: string;
  /** The text with comments and the contents of strings blanked. */
  readonly code: string;
  readonly imports: readonly Import[];
}

/** Every hand-written source file below these folders. */
export function readSources(folders: readonly string[]): Source[] {
  return folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts'))
      .map((file) => join(folder, file).split(sep).join('/'))
      .filter((file) => !file.startsWith('proto/gen/'))
      .sort()
      .map(readSource),
  );
}

function readSource(file: string): Source {
  const text = readFileSync(join(root, file), 'utf8');
  return { file, room: file.slice(0, file.indexOf('/')), text, code: blank(text), imports: importsOf(file, text) };
}

const tokens = /\/\/[^\n]*|\/\*[\s\S]*?\*\/|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`/g;

/** Blanks what is no code and keeps the lines. What stands inside a template's `${}` is blanked with it. */
function blank(text: string): string {
  return text.replace(tokens, (token) => {
    const lines = token.replace(/[^\n]/g, '');
    return token.startsWith('/') ? lines : `''${lines}`;
  });
}

const statements = /^\s*(?:import|export)\s+(type\s)?([^'";]*?\sfrom\s+)?'([^']+)'|\bimport\(\s*'([^']+)'\s*\)/gm;

function importsOf(file: string, text: string): Import[] {
  // Code in a template is another program's.
  const own = text.replace(tokens, (token) => (/^[/`]/.test(token) ? '' : token));
  return [...own.matchAll(statements)].map(([, type, names, from, dynamic]) => {
    const target = from ?? dynamic ?? '';
    const named =
      names
        ?.match(/\{([\s\S]*)\}/)?.[1]
        ?.split(',')
        .map((name) => name.trim()) ?? [];
    const allTypes =
      names !== undefined && !/^\s*[\w*]/.test(names) && named.every((name) => name === '' || name.startsWith('type '));
    return {
      from: target,
      file: target.startsWith('.')
        ? relative(root, resolve(root, dirname(file), target))
            .split(sep)
            .join('/')
        : undefined,
      typeOnly: type !== undefined || allTypes,
    };
  });
}

/** `file:line: what`, for each match in the text. */
export function places(file: string, text: string, pattern: RegExp, what: (found: string) => string): string[] {
  return [...text.matchAll(pattern)].map((match) => {
    const line = text.slice(0, match.index).split('\n').length;
    return `${file}:${line}: ${what(match[0].trim())}`;
  });
}

/** One cycle for each file that starts one, as `a > b > a`. */
export function cycles(sources: readonly Source[]): string[] {
  const edges = new Map(sources.map(({ file, imports }) => [file, imports.flatMap((one) => one.file ?? [])]));
  const found = new Set<string>();
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (file: string): void => {
    const at = path.indexOf(file);
    if (at !== -1) {
      found.add([...path.slice(at), file].join(' > '));
      return;
    }
    if (done.has(file)) return;
    path.push(file);
    for (const next of edges.get(file) ?? []) visit(next);
    path.pop();
    done.add(file);
  };
  for (const file of edges.keys()) visit(file);
  return [...found];
}
