/**
 * What users install: the tarball of `npm pack` in an empty folder, with the README's counter. Packages come from npm's
 * cache where it has them.
 */

import assert from 'node:assert/strict';
import { type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { CommandLine } from '../support/cli.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'troupe pack '));
const project = join(folder, 'project');
const slow = { timeout: 300_000 };

after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));

async function run(command: string, args: readonly string[], options: SpawnOptions = {}): Promise<string> {
  const env = { ...process.env, PATH: `${dirname(process.execPath)}:${process.env.PATH}`, ...options.env };
  const child = spawn(command, args, { cwd: project, ...options, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const [[code], stdout, stderr] = await Promise.all([once(child, 'exit'), text(child.stdout!), text(child.stderr!)]);
  assert.equal(code, 0, `${command} ${args.join(' ')}\n${stdout}\n${stderr}`);
  return stdout;
}

/** The README's first example that imports from there. */
function exampleOfReadme(from: string): string {
  const readme = readFileSync(join(root, 'README.md'), 'utf8');
  const found = [...readme.matchAll(/^```ts\n([\s\S]*?)^```/gm)].find(([, code]) => code?.includes(`from '${from}'`));
  assert.ok(found?.[1] !== undefined, `the README shows an example that imports from '${from}'`);
  return found[1];
}

describe('the package', slow, () => {
  test('holds the compiled rooms, the wrapper and the documents, and no source or test', slow, async () => {
    mkdirSync(project);
    await run('npm', ['pack', '--pack-destination', folder], { cwd: root });
    const [tarball] = readdirSync(folder).filter((name) => name.endsWith('.tgz'));
    assert.ok(tarball !== undefined);
    const names = (await run('tar', ['-tzf', join(folder, tarball)])).trim().split('\n');
    for (const name of [
      'troupe',
      'package.json',
      'README.md',
      'LICENSE',
      'dist/runtime/index.js',
      'dist/runtime/index.d.ts',
    ]) {
      assert.ok(names.includes(`package/${name}`), `it lacks ${name}`);
    }
    assert.deepEqual(
      names.filter((name) => /\/test\/|(?<!\.d)\.ts$/.test(name)),
      [],
    );
    writeFileSync(join(project, 'package.json'), '{"type":"module","private":true}');
    await run('npm', [
      'install',
      '--prefer-offline',
      '--ignore-scripts',
      '--no-audit',
      '--no-fund',
      join(folder, tarball),
    ]);
  });

  test('types the README’s counter, and its callers know its messages and answers', slow, async () => {
    writeFileSync(join(project, 'counter.ts'), exampleOfReadme('troupe'));
    writeFileSync(
      join(project, 'caller.ts'),
      `import { ref, type TypedMessaging } from 'troupe';
      import type { counter } from './counter.ts';
      declare const troupe: TypedMessaging;
      const visits = ref<typeof counter>('/counters/visits');
      export const value: Promise<{ value: number }> = troupe.ask(visits, 'increment', { by: 2 });
      // @ts-expect-error A counter has no message of this type.
      troupe.ask(visits, 'decrement', {});
      // @ts-expect-error Its payload is a number.
      troupe.ask(visits, 'increment', { by: '2' });\n`,
    );
    const compilerOptions = { target: 'es2024', module: 'nodenext', strict: true, noEmit: true, types: [] };
    writeFileSync(
      join(project, 'tsconfig.json'),
      JSON.stringify({ compilerOptions: { ...compilerOptions, allowImportingTsExtensions: true } }),
    );
    await run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', project]);
  });

  test('opens its doors to import: troupe and troupe/testing, and nothing behind them', async () => {
    const script = `
      const { defineActor, TroupeError } = await import('troupe');
      await import('troupe/testing');
      const closed = await import('troupe/dist/runtime/errors.js').catch((error) => error.code);
      console.log(typeof defineActor, typeof TroupeError, closed);`;
    const printed = await run(process.execPath, ['--input-type=module', '-e', script]);
    assert.equal(printed.trim(), 'function function ERR_PACKAGE_PATH_NOT_EXPORTED');
  });

  test('runs the README’s test of the counter', slow, async () => {
    writeFileSync(join(project, 'counter.test.ts'), exampleOfReadme('troupe/testing'));
    // Within a test run, node:test would not run its own.
    const printed = await run(process.execPath, ['--test', 'counter.test.ts'], {
      env: { NODE_TEST_CONTEXT: undefined },
    });
    assert.match(printed, /^# pass 1$|pass 1$/m);
  });

  test('runs the README’s counter', slow, async () => {
    await using cli = new CommandLine();
    const env = {
      TROUPE_DATA_DIR: cli.dataDir,
      TROUPE_GRPC_ADDR: '127.0.0.1:0',
      TROUPE_HTTP_ADDR: '127.0.0.1:0',
      TROUPE_ADMIN_ADDR: '127.0.0.1:0',
    };
    const troupe = (...args: string[]): Promise<string> =>
      run(join(project, 'node_modules/.bin/troupe'), args, { env });
    await troupe('up', '--app', 'counter.ts', '--detach');
    await troupe('ask', '/counters/visits', 'increment', '{"by":2}');
    await troupe('down');
    await troupe('up', '--app', 'counter.ts', '--detach');
    const answer = await troupe('ask', '/counters/visits', 'read', '{}', '-o', 'json');
    assert.deepEqual(JSON.parse(answer), { value: 2 }, 'it kept its value through a restart');
    await troupe('down');
  });
});
