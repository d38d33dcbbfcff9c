/** The command line in processes of its own, on free ports and data of its own. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import type { NodeFile } from '../../ops/node-file.ts';

export interface CommandResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const main = fileURLToPath(new URL('../../ops/cli/main.ts', import.meta.url));

/** A data folder, and the command line that works on it. Its end kills what still uses the folder, and removes it. */
export class CommandLine implements AsyncDisposable {
  readonly dataDir: string;
  readonly #env: NodeJS.ProcessEnv;

  constructor(env: NodeJS.ProcessEnv = {}, dataDir?: string) {
    this.dataDir = dataDir ?? join(mkdtempSync(join(tmpdir(), 'troupe test ')), 'data of a node');
    const inherited = Object.entries(process.env).filter(
      ([name]) => !name.startsWith('TROUPE_') && !name.endsWith('_API_KEY') && name !== 'NODE_TEST_CONTEXT',
    );
    this.#env = {
      ...Object.fromEntries(inherited),
      TROUPE_DATA_DIR: this.dataDir,
      TROUPE_GRPC_ADDR: '127.0.0.1:0',
      TROUPE_HTTP_ADDR: '127.0.0.1:0',
      TROUPE_ADMIN_ADDR: '127.0.0.1:0',
      ...env,
    };
  }

  /** Starts a command and leaves it running. */
  start(words: readonly string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
    return spawn(process.execPath, [main, ...words], { env: { ...this.#env, ...env }, stdio: 'pipe' });
  }

  /** Runs a command to its end. */
  async run(words: readonly string[], input = '', env: NodeJS.ProcessEnv = {}): Promise<CommandResult> {
    const child = this.start(words, env);
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(input);
    const output = [child.stdout, child.stderr].map((stream) => (stream === null ? '' : text(stream)));
    const [[code], stdout, stderr] = await Promise.all([once(child, 'exit') as Promise<[number | null]>, ...output]);
    return { code, stdout: stdout ?? '', stderr: stderr ?? '' };
  }

  /** Runs a command that must succeed and answers JSON. */
  async json<Answer>(words: readonly string[]): Promise<Answer> {
    const { code, stdout, stderr } = await this.run([...words, '-o', 'json']);
    if (code !== 0) throw new Error(`troupe ${words.join(' ')} ended with ${code}: ${stderr}`);
    return JSON.parse(stdout) as Answer;
  }

  get node(): NodeFile {
    return JSON.parse(readFileSync(join(this.dataDir, 'node.json'), 'utf8')) as NodeFile;
  }

  /** Processes whose command line or environment names the data folder. */
  processes(): number[] {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
      .filter((pid) =>
        ['cmdline', 'environ'].some((file) => {
          try {
            return readFileSync(`/proc/${pid}/${file}`, 'utf8').includes(this.dataDir);
          } catch {
            return false;
          }
        }),
      )
      .map(Number);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const pid of this.processes()) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It has ended by itself.
      }
    }
    rmSync(join(this.dataDir, '..'), { recursive: true, force: true, maxRetries: 5 });
  }
}
