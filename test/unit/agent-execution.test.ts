import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { executionHandler } from '../../actors/agent/execution.ts';
import { agentMachine } from '../../actors/agent/machine.ts';
import { type Execution, executeRequest, execution } from '../../actors/agent/messages.ts';
import { resolveProgram } from '../../actors/agent/programs.ts';
import { requestHandler } from '../../actors/agent/requests.ts';
import { systemClock } from '../../runtime/clock.ts';
import { Stage } from '../support/stage.ts';

const address = '/agents/codex';
const searchPath = [dirname(process.execPath), process.env.PATH].join(':');

function stageWithCodex(allowHostExecution = true): Stage {
  const stage = new Stage();
  const handler = executionHandler(systemClock, { ...process.env, PATH: searchPath, OPENAI_API_KEY: 'sk-secret' });
  stage.start(address, agentMachine(requestHandler(), handler), { allowHostExecution });
  return stage;
}

async function execute(stage: Stage, request: object, options = {}): Promise<Execution> {
  return execution.parse(await stage.ask(address, 'execute', executeRequest.parse(request), options));
}

const node = (code: string) => ({ command: 'node', args: ['-e', code] });

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    // A zombie that nobody reaped has no command line any more.
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8') !== '';
  } catch {
    return false;
  }
}

/** A program that starts a second one in its group, writes both ids to a file, and never ends. */
const family = (file: string) =>
  node(`
    const { spawn } = require('node:child_process');
    const child = spawn(process.execPath, ['-e', 'process.on("SIGTERM", () => {}); setInterval(() => {}, 1000); process.send("up")'], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    child.once('message', () => require('node:fs').writeFileSync(${JSON.stringify(file)}, process.pid + ' ' + child.pid));
    process.on('SIGTERM', () => {});
    setInterval(() => {}, 1000);
  `);

async function familyIn(file: string): Promise<number[]> {
  for (;;) {
    try {
      const ids = readFileSync(file, 'utf8').split(' ').map(Number);
      if (ids.length === 2) return ids;
    } catch {
      // Not written yet.
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function allGone(pids: readonly number[]): Promise<void> {
  while (pids.some(isAlive)) await new Promise((resolve) => setTimeout(resolve, 20));
}

test('running programs is refused until the configuration allows it, and the refusal names the setting', async () => {
  using stage = stageWithCodex(false);
  await assert.rejects(execute(stage, { command: 'echo', args: ['hi'] }), {
    reason: 'PERMISSION_DENIED',
    message: /\[codex\] allowHostExecution = true/,
  });
});

test('a program runs with its arguments as they are; no shell reads them', async () => {
  using stage = stageWithCodex();
  const ran = await execute(stage, { command: 'echo', args: ['$HOME; rm -rf x', '`id`', '&& true'] });
  assert.equal(ran.stdout, '$HOME; rm -rf x `id` && true\n');
  assert.equal(ran.success, true);
  assert.equal(ran.exitCode, 0);
});

test('its exit code and its error output come back', async () => {
  using stage = stageWithCodex();
  const ran = await execute(stage, node('console.error("no"); process.exit(3)'));
  assert.equal(ran.success, false);
  assert.equal(ran.exitCode, 3);
  assert.equal(ran.stderr, 'no\n');
});

test('it gets the environment it was given and none of the node’s keys', async () => {
  using stage = stageWithCodex();
  const request = {
    ...node('console.log(process.env.GIVEN, process.env.OPENAI_API_KEY)'),
    environment: { GIVEN: 'yes' },
  };
  assert.equal((await execute(stage, request)).stdout, 'yes undefined\n');
});

test('a program outside the list is refused, and so is another file of an allowed name', async (t) => {
  using stage = stageWithCodex();
  for (const command of ['sh', 'bash', 'rm', 'echo hi', 'node\0', '../echo', ''])
    await assert.rejects(
      stage.ask(address, 'execute', { command, args: [], environment: {}, timeoutSeconds: 5 }),
      { reason: 'PERMISSION_DENIED' },
      command,
    );
  const folder = mkdtempSync(join(tmpdir(), 'troupe-programs-'));
  t.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'git'), '#!/bin/sh\necho mine\n', { mode: 0o755 });
  assert.ok('refused' in resolveProgram(join(folder, 'git'), searchPath));
  symlinkSync(process.execPath, join(folder, 'node'));
  assert.ok('path' in resolveProgram(join(folder, 'node'), searchPath), 'a path to the same file is the same program');
  assert.ok('refused' in resolveProgram('git', `relative:${'.'}`), 'only absolute folders are searched');
});

// They wait for time-outs: side by side.
describe('a program that does not end', { concurrency: true }, () => {
  test('at the time-out the whole process group is killed, also when it ignores SIGTERM', {
    timeout: 20_000,
  }, async (t) => {
    using stage = stageWithCodex();
    const folder = mkdtempSync(join(tmpdir(), 'troupe-group-'));
    t.after(() => rmSync(folder, { recursive: true }));
    const file = join(folder, 'pids');
    const running = execute(stage, { ...family(file), timeoutSeconds: 1 });
    const pids = await familyIn(file);
    assert.ok(pids.every(isAlive));
    const ran = await running;
    assert.equal(ran.timedOut, true);
    assert.equal(ran.success, false);
    await allGone(pids);
  });

  test('cancelling kills the process group', { timeout: 20_000 }, async (t) => {
    using stage = stageWithCodex();
    const folder = mkdtempSync(join(tmpdir(), 'troupe-group-'));
    t.after(() => rmSync(folder, { recursive: true }));
    const file = join(folder, 'pids');
    const caller = new AbortController();
    const running = execute(stage, family(file), { signal: caller.signal });
    const pids = await familyIn(file);
    caller.abort();
    await assert.rejects(running, { reason: 'CANCELLED' });
    await allGone(pids);
  });

  test('a killed host thread leaves no program behind its time-out', { timeout: 20_000 }, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'troupe-group-'));
    t.after(() => rmSync(folder, { recursive: true }));
    const file = join(folder, 'pids');
    const thread = new Worker(
      `import { createActor } from ${JSON.stringify(import.meta.resolve('xstate'))};
       import { executionHandler } from ${JSON.stringify(import.meta.resolve('../../actors/agent/execution.ts'))};
       import { workerData } from 'node:worker_threads';
       createActor(executionHandler(), { input: { request: workerData } }).start();`,
      { eval: true, workerData: { ...family(file), environment: {}, timeoutSeconds: 1 } },
    );
    const pids = await familyIn(file);
    await thread.terminate();
    assert.ok(pids.every(isAlive));
    await allGone(pids);
  });
});

test('what a program leaves running in its group ends with it', { timeout: 20_000 }, async () => {
  using stage = stageWithCodex();
  const ran = await execute(
    stage,
    node(`
      const child = require('node:child_process').spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'inherit' });
      child.unref();
      console.log(child.pid);
    `),
  );
  assert.equal(ran.success, true);
  await allGone([Number(ran.stdout)]);
});

test('output beyond the bound is dropped, and the reply says so and fits a message', async () => {
  using stage = stageWithCodex();
  const ran = await execute(stage, node('process.stdout.write("\\u0001".repeat(3_000_000)); console.error("end")'));
  assert.equal(ran.outputCut, true);
  assert.equal(ran.success, true);
  assert.ok(Buffer.byteLength(JSON.stringify(ran)) < 1024 * 1024);
});
