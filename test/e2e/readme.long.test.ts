/**
 * Every command of the documents' `sh` blocks is tried as it stands there. `test/support/document-trials.ts` says how.
 * Each `up` gets free ports and a data folder of its own.
 */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, type TestContext, test } from 'node:test';
import { CommandLine } from '../support/cli.ts';
import { commandsOf, documents, type Trial, trials } from '../support/document-trials.ts';
import { redisMissing, startRedis } from '../support/redis.ts';
import { root } from '../tidy/sources.ts';

const slow = { timeout: 240_000 };

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
  for (const document of documents) {
    test(`of ${document} do what they say, in its order`, slow, async (t) => {
      const reader = new Reader(t);
      for (const command of commandsOf(document)) {
        const trial = trials.get(command);
        assert.ok(trial !== undefined, `"${command}" stands in ${document}: nobody says how to try it`);
        const missing = 'redis' in trial && redisMissing();
        await t.test(command, { skip: missing || false }, () => reader.follow(command, trial));
      }
      await reader.close();
    });
  }
});
