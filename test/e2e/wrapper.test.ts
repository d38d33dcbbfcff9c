/**
 * The wrapper, with a stand-in for npm that notes its calls: no network. The tree has a space in its name, and its
 * command line prints how it was started.
 */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  accessSync,
  chmodSync,
  constants,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const wrapper = fileURLToPath(new URL('../../troupe', import.meta.url));
const tools = 'sh env dirname readlink ln rm mkdir mv cat cksum uname id find sleep printf touch'.split(' ');

interface Run {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

interface Place {
  readonly folder: string;
  readonly tree: string;
  readonly cache: string;
  /** A folder in the PATH, before the tools. */
  readonly bin: string;
  run(args?: readonly string[], options?: { cwd?: string; command?: string; env?: NodeJS.ProcessEnv }): Promise<Run>;
  /** The calls of npm so far, one a line. */
  npmCalls(verb: string): string[];
}

const mainText = `
console.log(JSON.stringify({
  node: process.execPath, cwd: process.cwd(), args: process.argv.slice(2), first: process.env.PATH.split(':')[0],
}));
process.exitCode = 7;
`;

/** Notes its arguments; `ci` installs nothing slowly, `install` makes a Node.js of the running one. */
const npmText = `#!/bin/sh
echo "$*" >>"$NOTES"
case $1 in
  config) echo /elsewhere/npmrc ;;
  ci)
    echo "said by npm"
    if [ -n "$REFUSE" ]; then echo "npm error network refused" >&2; exit 1; fi
    rm -rf node_modules; mkdir node_modules; sleep 0.3; echo {} >node_modules/.package-lock.json ;;
  install)
    if [ -n "$REFUSE" ]; then echo "npm error network refused" >&2; exit 1; fi
    for last; do :; done
    folder=$(pwd)
    mkdir -p "$folder/node_modules/\${last%@*}/bin"; sleep 0.3
    ln -s "$REAL_NODE" "$folder/node_modules/\${last%@*}/bin/node" ;;
esac
`;

function program(file: string, text: string): void {
  writeFileSync(file, text);
  chmodSync(file, 0o755);
}

function place(
  t: TestContext,
  options: { node?: 'fitting' | 'old' | 'none'; npm?: boolean; installed?: boolean } = {},
): Place {
  const folder = mkdtempSync(join(tmpdir(), 'troupe-wrapper-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const [tree, cache, bin, box] = ['my tree', 'my cache', 'bin', 'box'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
    string,
  ];
  for (const one of [join(tree, 'ops/cli'), bin, box]) mkdirSync(one, { recursive: true });
  copyFileSync(wrapper, join(tree, 'troupe'));
  chmodSync(join(tree, 'troupe'), 0o755);
  writeFileSync(join(tree, 'package.json'), '{"type":"module"}');
  writeFileSync(join(tree, 'package-lock.json'), '{"lockfileVersion":3}');
  writeFileSync(join(tree, 'ops/cli/main.ts'), mainText);
  if (options.installed !== false) {
    mkdirSync(join(tree, 'node_modules'));
    writeFileSync(join(tree, 'node_modules/.package-lock.json'), '{}');
    utimesSync(join(tree, 'package-lock.json'), 1, 1);
  }
  for (const tool of tools) {
    const found = (process.env.PATH ?? '')
      .split(delimiter)
      .map((one) => join(one, tool))
      .find(runs);
    if (found !== undefined) symlinkSync(found, join(box, tool));
  }
  if (options.npm !== false) program(join(bin, 'npm'), npmText);
  const node = options.node ?? 'fitting';
  if (node === 'fitting') symlinkSync(process.execPath, join(bin, 'node'));
  if (node === 'old') program(join(bin, 'node'), '#!/bin/sh\necho v20.20.2\n');
  const notes = join(folder, 'notes');
  writeFileSync(notes, '');
  return {
    folder,
    tree,
    cache,
    bin,
    async run(args = [], { cwd = folder, command = join(tree, 'troupe'), env = {} } = {}) {
      const child = spawn(command, args, {
        cwd,
        env: { PATH: `${bin}:${box}`, XDG_CACHE_HOME: cache, NOTES: notes, REAL_NODE: process.execPath, ...env },
      });
      let stdout = '';
      let stderr = '';
      child.stdout.on('data', (part: Buffer) => (stdout += part));
      child.stderr.on('data', (part: Buffer) => (stderr += part));
      const [code] = (await once(child, 'close')) as [number | null];
      return { code, stdout, stderr };
    },
    npmCalls: (verb) =>
      readFileSync(notes, 'utf8')
        .split('\n')
        .filter((line) => line.startsWith(verb)),
  };
}

function runs(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

describe('the wrapper', () => {
  test('runs from any folder and through symbolic links, and passes arguments, folder and exit code on', async (t) => {
    const { folder, tree, run } = place(t);
    mkdirSync(join(folder, 'a link'));
    symlinkSync('../my tree/troupe', join(folder, 'a link/first'));
    symlinkSync('first', join(folder, 'a link/second'));
    for (const command of [join(tree, 'troupe'), join(folder, 'a link/second'), '../a link/second', './troupe']) {
      const { code, stdout, stderr } = await run(['ask', 'two words', '*'], { cwd: tree, command });
      assert.equal(code, 7);
      assert.equal(stderr, '');
      const { cwd, args } = JSON.parse(stdout) as { cwd: string; args: string[] };
      assert.deepEqual(args, ['ask', 'two words', '*']);
      assert.equal(cwd, tree);
    }
  });

  test('installs once when two start together, not again, and again when the lockfile changes', async (t) => {
    const { tree, run, npmCalls } = place(t, { installed: false });
    const both = await Promise.all([run(), run()]);
    assert.deepEqual(
      both.map(({ code }) => code),
      [7, 7],
    );
    for (const { stdout } of both) assert.match(stdout, /^\{.*\}\n$/, 'stdout is the command’s alone');
    assert.equal(npmCalls('ci').length, 1);
    await run();
    assert.equal(npmCalls('ci').length, 1);
    writeFileSync(join(tree, 'package-lock.json'), '{"lockfileVersion":3,"changed":true}');
    // An older file, as after a checkout of an older commit, counts as changed too.
    utimesSync(join(tree, 'package-lock.json'), 1, 1);
    rmSync(join(tree, 'node_modules/.package-lock.json'));
    await run();
    assert.equal(npmCalls('ci').length, 2);
  });

  test('takes what was installed by hand', async (t) => {
    const { run, npmCalls } = place(t);
    assert.equal((await run()).code, 7);
    assert.deepEqual(npmCalls(''), ['']);
  });

  test('fetches Node.js once when the PATH has an old one, remembers it, and puts it first', async (t) => {
    const { cache, run, npmCalls } = place(t, { node: 'old' });
    const both = await Promise.all([run(), run()]);
    assert.match(both.map(({ stderr }) => stderr).join(''), /the PATH has v20\.20\.2: fetching node-\S+@24 once/);
    assert.equal(npmCalls('install').length, 1);
    const { stdout, stderr } = await run();
    assert.equal(stderr, '');
    const remembered = readFileSync(join(cache, 'troupe/node-path'), 'utf8').trim();
    assert.equal(`${(JSON.parse(stdout) as { first: string }).first}/node`, remembered);
    assert.equal(npmCalls('install').length, 1);
  });

  test('fetches again when the remembered Node.js no longer runs', async (t) => {
    const { cache, run, npmCalls } = place(t, { node: 'none' });
    await run();
    rmSync(readFileSync(join(cache, 'troupe/node-path'), 'utf8').trim());
    assert.equal((await run()).code, 7);
    assert.equal(npmCalls('install').length, 2);
    assert.equal(readdirSync(join(cache, 'troupe')).filter((name) => /^node-\d+$/.test(name)).length, 1);
  });

  test('keeps npm’s global settings when the fetched Node.js runs it', async (t) => {
    const { run, npmCalls } = place(t, { node: 'old', installed: false });
    await run();
    assert.equal(npmCalls('config get globalconfig').length, 1);
  });

  test('breaks a lock that a dead process left', async (t) => {
    const { tree, run, npmCalls } = place(t, { installed: false });
    const dead = spawn('true');
    await once(dead, 'exit');
    mkdirSync(join(tree, '.troupe'));
    symlinkSync(String(dead.pid), join(tree, '.troupe/install.lock'));
    assert.equal((await run()).code, 7);
    assert.equal(npmCalls('ci').length, 1);
    assert.deepEqual(readdirSync(join(tree, '.troupe')), []);
  });

  test('without npm, or when the network refuses, it says what to do and leaves no lock', async (t) => {
    const bare = place(t, { node: 'none', npm: false });
    const noNode = await bare.run();
    assert.equal(noNode.code, 1);
    assert.match(noNode.stderr, /npm was not found.*fetch Node\.js\n.*install Node\.js 22\.18 or newer/s);

    const noNpm = await place(t, { npm: false, installed: false }).run();
    assert.equal(noNpm.code, 1);
    assert.match(noNpm.stderr, /npm was not found.*package-lock\.json names\n.*install Node\.js/s);

    for (const node of ['fitting', 'none'] as const) {
      const cut = place(t, { node, installed: false });
      const refused = await cut.run([], { env: { REFUSE: '1' } });
      assert.equal(refused.code, 1);
      assert.match(refused.stderr, /network refused.*failed \(npm says why above\)\n.*check the network/s);
      assert.equal(refused.stdout, '');
      assert.equal((await cut.run()).code, 7, 'and works when the network is back');
    }
  });

  test('spends less than 0.3 s before a warm command', async (t) => {
    const { bin, run } = place(t, { node: 'none' });
    program(join(bin, 'node'), '#!/bin/sh\necho v24.0.0\n');
    await run();
    const times: number[] = [];
    for (let turn = 0; turn < 5; turn++) {
      const startedMs = performance.now();
      await run();
      times.push(performance.now() - startedMs);
    }
    const medianMs = times.sort((a, b) => a - b)[2]!;
    // The real Node.js answers --version in some 40 ms more than the stand-in.
    assert.ok(medianMs < 250, `${medianMs.toFixed(0)} ms`);
  });
});
