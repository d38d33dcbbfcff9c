/**
 * Every command of the documents' `sh` blocks is tried as it stands there. The table says how; a command that is not in
 * it, or is there and in no document, fails. Each `up` gets free ports and a data folder of its own.
 */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { CommandLine } from '../support/cli.ts';
import { redisMissing, startRedis } from '../support/redis.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const slow = { timeout: 240_000 };

type Trial =
  /** Run to its end; its output has to match. */
  | { readonly prints: RegExp }
  /** Left running until the next `up` or the end, when SIGTERM has to end it well. */
  | { readonly foreground: true; readonly redis?: true }
  /** Too long for here: this test file runs it. */
  | { readonly triedBy: string }
  /** Takes minutes: here only its help is asked for. */
  | { readonly helpOnly: true }
  /** What runs this file. */
  | { readonly thisRun: true };

const trials = new Map<string, Trial>([
  ['./troupe up', { foreground: true }],
  ['./troupe up --engine redis://127.0.0.1:6379', { foreground: true, redis: true }],
  ['./troupe up --detach', { prints: /is ready/ }],
  ['./troupe up --app test/apps/counter.ts --detach', { prints: /is ready/ }],
  ['./troupe down', { prints: /has ended/ }],
  ['./troupe test', { thisRun: true }],
  [`./troupe ask /agents/claude plan '{"task":"Build a REST API"}' -o json`, { prints: /"degraded": true/ }],
  ['./troupe tree', { prints: /agents/ }],
  ['./troupe status', { prints: /ready/ }],
  [`./troupe ask /counters/visits increment '{"by":2}'`, { prints: /2/ }],
  ['./troupe tell /counters/visits increment', { prints: /\w/ }],
  ['./troupe actor /counters/visits', { prints: /counter/ }],
  ['./troupe faults run test/faults/first-light.yaml', { triedBy: 'test/e2e/faults.test.ts' }],
  ['./troupe torture --minutes 10 --engine embedded', { helpOnly: true }],
  ['./troupe simulate --seeds 2000', { helpOnly: true }],
  ['./troupe simulate plants', { helpOnly: true }],
  ['./troupe bench hot-path', { helpOnly: true }],
  [
    `./troupe task get "$(./troupe task submit /agents/claude plan '{"task":"Build a REST API"}')" --wait 30s`,
    { prints: /status +done/ },
  ],
  ['./troupe pause /agents --reason "new keys"', { prints: /paused \/agents/ }],
  ['./troupe parked', { prints: /agents\/claude .*new keys/ }],
  ['./troupe resume /agents', { prints: /resumed \/agents/ }],
  ['./troupe restart /agents/claude', { prints: /restarted \/agents\/claude/ }],
  ['./troupe doctor', { prints: /Node/ }],
  ['./troupe upgrade check', { prints: /nothing would break/ }],
]);

function commandsOf(document: string): string[] {
  const blocks = readFileSync(join(root, document), 'utf8').matchAll(/^```sh\n([\s\S]*?)^```/gm);
  return [...blocks].flatMap(([, lines]) => (lines ?? '').split('\n')).filter((line) => line !== '');
}

/** The node that the document's reader would have running now, and a shell in the folder of the repository. */
class Reader {
  readonly #t: TestContext;
  #node: CommandLine | undefined;
  #foreground: ChildProcess | undefined;

  constructor(t: TestContext) {
    this.#t = t;
    t.after(() => this.#node?.[Symbol.asyncDispose]());
  }

  async follow(command: string, trial: Trial): Promise<void> {
    if ('thisRun' in trial) return;
    if ('triedBy' in trial) {
      const file = join(root, trial.triedBy);
      assert.ok(existsSync(file), `${trial.triedBy} is to try "${command}" and does not exist`);
      return;
    }
    if ('helpOnly' in trial) {
      await this.#ends(this.#shell(`${command} --help`), /Usage: troupe (bench|simulate|torture)/);
      return;
    }
    if (/^\.\/troupe up( |$)/.test(command)) await this.#fresh();
    if ('prints' in trial) {
      await this.#ends(this.#shell(command), trial.prints);
      return;
    }
    const line = trial.redis ? command.replace('redis://127.0.0.1:6379', (await startRedis(this.#t)).url) : command;
    this.#foreground = this.#shell(`exec ${line}`);
    await this.#ready(this.#foreground);
  }

  /** Ends what runs, and starts on a new data folder. */
  async #fresh(): Promise<void> {
    await this.close();
    await this.#node?.[Symbol.asyncDispose]();
    this.#node = new CommandLine();
  }

  async close(): Promise<void> {
    const running = this.#foreground;
    this.#foreground = undefined;
    if (running === undefined) return;
    running.kill('SIGTERM');
    const [code] = await once(running, 'exit');
    assert.equal(code, 0, 'a node in the foreground ends well at SIGTERM');
  }

  #shell(line: string): ChildProcess {
    const env = {
      ...process.env,
      PATH: `${dirname(process.execPath)}:${process.env.PATH}`,
      TROUPE_DATA_DIR: this.#node?.dataDir,
      TROUPE_GRPC_ADDR: '127.0.0.1:0',
      TROUPE_HTTP_ADDR: '127.0.0.1:0',
      TROUPE_ADMIN_ADDR: '127.0.0.1:0',
    };
    return spawn('sh', ['-c', line], { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] });
  }

  async #ends(child: ChildProcess, prints: RegExp): Promise<void> {
    const streams = [child.stdout, child.stderr].map((stream) => (stream === null ? '' : text(stream)));
    const [[code], ...outputs] = await Promise.all([once(child, 'exit'), ...streams]);
    assert.equal(code, 0, outputs.join('\n'));
    assert.match(outputs.join('\n'), prints);
  }

  async #ready(child: ChildProcess): Promise<void> {
    let printed = '';
    child.stderr?.on('data', (part: Buffer) => (printed += part));
    const exited = once(child, 'exit').then(() => assert.fail(`it ended: ${printed}`));
    const ready = new Promise<void>((resolve) => {
      child.stdout?.on('data', (part: Buffer) => {
        printed += part;
        if (printed.includes('Try:')) resolve();
      });
    });
    await Promise.race([ready, exited]);
    exited.catch(() => {});
  }
}

describe('the commands of the documents', slow, () => {
  for (const document of ['README.md', 'CONTRIBUTING.md']) {
    test(`of ${document} do what they say, in its order`, slow, async (t) => {
      const reader = new Reader(t);
      for (const command of commandsOf(document)) {
        const trial = trials.get(command);
        assert.ok(trial !== undefined, `"${command}" stands in ${document}: say in this file how to try it`);
        const missing = 'redis' in trial && redisMissing();
        await t.test(command, { skip: missing || false }, () => reader.follow(command, trial));
      }
      await reader.close();
    });
  }

  test('are the ones that are tried here', () => {
    const written = new Set(['README.md', 'CONTRIBUTING.md'].flatMap(commandsOf));
    assert.deepEqual(
      [...trials.keys()].filter((command) => !written.has(command)),
      [],
    );
  });
});
