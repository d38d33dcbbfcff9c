/** The rules of the house that a reader of a change would otherwise have to remember. Each says what to do. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { status } from '@grpc/grpc-js';
import { errorTable } from '../runtime/errors.ts';
import { commandsOf, documents, trials } from './support/document-trials.ts';
import { cycles, places, readSources, rooms, root } from './tidy/sources.ts';

const shipped = readSources([...rooms, 'proto']);
const tests = readSources(['test']);
const all = [...shipped, ...tests];

/** Files above the length at which one asks what they are about, each with the reason why it is one thing. */
const longFiles: Readonly<Record<string, string>> = {};
const longestFileLines = 400;

/** Packages that belong to rooms further right. */
const notInRuntime = /^(@grpc\/|@ai-sdk\/|ai$|dockerode|fastify|@fastify\/|commander|prom-client|smol-toml)/;

const topLevel = new Set([
  ...rooms,
  'proto',
  'test',
  '.ci',
  '.dockerignore',
  '.gitignore',
  '.npmrc',
  'ARCHITECTURE.md',
  'CHANGELOG.md',
  'CONTRIBUTING.md',
  'Dockerfile',
  'LICENSE',
  'README.md',
  'biome.json',
  'buf.gen.yaml',
  'buf.yaml',
  'docker-compose.yml',
  'package-lock.json',
  'package.json',
  'troupe',
  'tsconfig.build.json',
  'tsconfig.json',
]);

function none(found: readonly string[], advice: string): void {
  assert.deepEqual(found, [], advice);
}

describe('the house', () => {
  test('a room imports only what stands to its left; proto imports nothing', () => {
    const wrong = shipped.flatMap(({ file, room, imports }) => {
      const at = rooms.indexOf(room as (typeof rooms)[number]);
      const allowed = new Set<string>(room === 'proto' ? ['proto'] : rooms.slice(0, at + 1));
      if (room === 'gateway' || room === 'ops') allowed.add('proto');
      return imports
        .filter((one) => one.file !== undefined && !allowed.has(one.file.slice(0, one.file.indexOf('/'))))
        .map((one) => `${file} imports ${one.file}`);
    });
    none(wrong, 'take it as an argument whose type stands in the left room (DESIGN: dependency direction)');
  });

  test('runtime knows no wire format, no Docker, no model provider', () => {
    const wrong = shipped
      .filter(({ room }) => room === 'runtime')
      .flatMap(({ file, imports }) =>
        imports.filter((one) => notInRuntime.test(one.from)).map((one) => `${file} imports ${one.from}`),
      );
    none(wrong, 'move it to the room that owns the package');
  });

  test('imports make no cycle, type-only ones included', () => {
    none(cycles(all), 'move what both need into a file of its own');
  });

  test('relative imports name files that exist, with their ending', () => {
    const wrong = all.flatMap(({ file, imports }) =>
      imports
        .filter((one) => one.file !== undefined && !existsSync(join(root, one.file)))
        .map((one) => `${file} imports ${one.from}`),
    );
    none(wrong, 'write the whole file name, such as ./address.ts');
  });

  test('only clock.ts reads clocks and sets timers', () => {
    const pattern =
      /\bDate\.now\b|\bnew Date\(\s*\)|(?<![.\w])Date\(\)|\bperformance\.now\b|(?<![.\w])set(?:Timeout|Interval)\b(?!\s*:)|\bprocess\.(?:hrtime|uptime)\b|\bAbortSignal\.timeout\b/g;
    const wrong = shipped
      .filter(({ file }) => file !== 'runtime/clock.ts')
      .flatMap(({ file, code }) => places(file, code, pattern, (found) => found));
    none(wrong, 'take a Clock as an argument');
  });

  test('only random.ts takes chance', () => {
    const pattern = /\bMath\.random\b|\brandom(?:UUID|Bytes|Int|FillSync)\b|\bgetRandomValues\b|\buuidv7\b/g;
    const wrong = shipped
      .filter(({ file }) => file !== 'runtime/random.ts')
      .flatMap(({ file, code }) => places(file, code, pattern, (found) => found));
    none(wrong, 'take a Random as an argument');
  });

  test('no type is `any`', () => {
    const pattern = /(?:[:<|&]|\bas)\s*any\b(?!\s*\()/g;
    none(
      shipped.flatMap(({ file, code }) => places(file, code, pattern, (found) => found)),
      'name the type, or take unknown and look',
    );
  });

  test('nothing is left to do later', () => {
    const pattern = /(?:\/\/|^\s*\*|\/\*).*\b(?:TODO|FIXME|XXX|HACK)\b.*/gm;
    none(
      shipped.flatMap(({ file, text }) => places(file, text, pattern, (found) => found)),
      'do it, or write an issue and leave no mark',
    );
  });

  test('a file is a reader’s screenful or two', () => {
    const linesOf = (text: string): number => text.trimEnd().split('\n').length;
    const wrong = shipped
      .map(({ file, text }) => ({ file, lines: linesOf(text) }))
      .filter(({ file, lines }) => lines > longestFileLines && longFiles[file] === undefined)
      .map(({ file, lines }) => `${file} has ${lines} lines`);
    none(wrong, 'ask what it is really about and cut there; or list it above with the reason');
    const outgrown = Object.keys(longFiles).filter(
      (file) => linesOf(shipped.find((source) => source.file === file)?.text ?? '') <= longestFileLines,
    );
    none(outgrown, 'no longer long: take it off the list');
  });

  test('names say what a thing is', () => {
    const vague = /(?:^|[-/])(?:manager|helpers?|utils?|base|impl|misc|common)(?:\.|\/|-)/;
    const declared = /\bexport\s+(?:const|function|class|interface|type)\s+\w*(?:Manager|Helper|Utils?|Base|Impl)\b/g;
    none(
      all.flatMap(({ file, code }) => [
        ...(vague.test(file) ? [file] : []),
        ...places(file, code, declared, (found) => found),
      ]),
      'name it for what it does',
    );
  });

  test('only the public door of a folder re-exports', () => {
    const reExport = /^export\s+(?:type\s+)?(?:\*|\{[^}]*\})\s+from\b/gm;
    const isDoor = (file: string): boolean => file.endsWith('/index.ts') || existsSync(join(root, file.slice(0, -3)));
    none(
      shipped
        .filter(({ file }) => !isDoor(file))
        .flatMap(({ file, code }) => places(file, code, reExport, (found) => found)),
      'import from the file that declares it',
    );
  });

  test('the first level holds what it is known to hold', () => {
    const ignored = readFileSync(join(root, '.gitignore'), 'utf8').split('\n');
    const unknown = readdirSync(root).filter(
      (name) => name !== '.git' && !topLevel.has(name) && !ignored.includes(name) && !ignored.includes(`${name}/`),
    );
    none(unknown, 'find it a room, or add it to the list in test/tidy.test.ts');
  });

  const tracked = spawnSync('git', ['ls-files', '--cached', '--ignored', '--exclude-standard'], { cwd: root });
  test('nothing is committed that .gitignore leaves out', { skip: tracked.status !== 0 && 'git has no answer' }, () => {
    // A link to the packages of another folder, say: whoever merges it would lose their own.
    none(String(tracked.stdout).split('\n').filter(Boolean), 'take it out of the commits that hold it');
  });

  test('the lockfile names no registry', () => {
    const lock = readFileSync(join(root, 'package-lock.json'), 'utf8');
    assert.doesNotMatch(lock, /"resolved":\s*"https?:/, 'install with the .npmrc of this repository');
  });
});

describe('the table of errors', () => {
  const reasons = Object.entries(errorTable);

  test('has a gRPC status and an HTTP status that exist', () => {
    for (const [reason, entry] of reasons) {
      assert.ok(entry.grpc in status, `${reason}: no gRPC status is named ${entry.grpc}`);
      assert.ok(entry.http >= 400 && entry.http <= 599, `${reason}: ${entry.http} is no HTTP error status`);
    }
  });

  test('is the proto’s, both ways, in the same words', () => {
    const proto = readFileSync(join(root, 'proto/troupe/v1/errors.proto'), 'utf8');
    const told = [...proto.matchAll(/\/\/ (.*)\n\s*ERROR_REASON_(\w+) = (\d+);/g)]
      .map(([, meaning, reason]) => [reason, meaning])
      .filter(([reason]) => reason !== 'UNSPECIFIED');
    assert.deepEqual(
      Object.fromEntries(told),
      Object.fromEntries(reasons.map(([reason, entry]) => [reason, entry.meaning])),
    );
  });

  test('is the README’s, both ways', () => {
    const readme = readFileSync(join(root, 'README.md'), 'utf8');
    const told = [...readme.matchAll(/^\| `([A-Z_]+)` \| ([A-Z_]+) \| (\d{3}) \|/gm)].map(([, ...cells]) => cells);
    assert.deepEqual(
      told,
      reasons.map(([reason, entry]) => [reason, entry.grpc, String(entry.http)]),
      'the README has the rows "| `REASON` | GRPC_STATUS | HTTP status | …", in the order of runtime/errors.ts',
    );
  });
});

describe('the documents', () => {
  test('ARCHITECTURE.md names only files that exist', () => {
    const text = readFileSync(join(root, 'ARCHITECTURE.md'), 'utf8');
    const named = [...text.matchAll(/`((?:runtime|supervisors|actors|gateway|ops|proto|test)\/[\w./-]*)`/g)].map(
      ([, path]) => path ?? '',
    );
    const exists = (path: string): boolean =>
      existsSync(join(root, path)) || (!/\.\w+$/.test(path) && existsSync(join(root, `${path}.ts`)));
    none(
      named.filter((path) => !exists(path)),
      'the file was moved or renamed: follow it in ARCHITECTURE.md',
    );
    assert.ok(named.length > 10, 'ARCHITECTURE.md names the files on the message path as `room/file.ts`');
  });

  test('their commands are those of test/support/document-trials.ts, both ways', () => {
    const written = new Set(documents.flatMap(commandsOf));
    none(
      [...written].filter((command) => !trials.has(command)),
      'say there how the command is tried',
    );
    none(
      [...trials.keys()].filter((command) => !written.has(command)),
      'no document has the command any more: take it off',
    );
  });

  test('links between the documents lead somewhere', () => {
    const documents = readdirSync(root).filter((name) => name.endsWith('.md'));
    const wrong = documents.flatMap((name) => {
      const text = readFileSync(join(root, name), 'utf8');
      return [...text.matchAll(/\]\((?!https?:|#)([^)#\s]+)[^)]*\)/g)]
        .filter(([, path]) => !existsSync(join(root, path ?? '')))
        .map(([, path]) => `${name} links to ${path}`);
    });
    none(wrong, 'correct the link');
  });
});
