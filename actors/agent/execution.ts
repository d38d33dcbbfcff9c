/**
 * Runs one program for `execute`.
 *
 * 1. Never through a shell; program and arguments go to the kernel as they are.
 * 2. The program leads a process group of its own. At the deadline, on cancellation, and when the program has ended,
 *    the whole group is killed: TERM, then KILL. Nothing that stays in its group outlives the request.
 * 3. Where the host has the program `timeout` (GNU coreutils), it stands between and kills the group a little later
 *    than we would: a killed host thread or node leaves no program that runs for ever.
 * 4. Its environment holds what programs need to find their way, and what the caller gave; no key of the node.
 * 5. What it writes is kept up to a bound, and the reply says whether something was dropped.
 */

import { spawn } from 'node:child_process';
import { realpathSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { fromPromise } from 'xstate';
import { type Cancel, type Clock, systemClock } from '../../runtime/clock.ts';
import { limits } from '../../runtime/limits.ts';
import type { ExecuteRequest, Execution } from './messages.ts';
import { findProgram, resolveProgram } from './programs.ts';
import type { RequestResult } from './requests.ts';

export interface ExecutionInput {
  readonly request: ExecuteRequest;
  /** Caller's deadline, milliseconds since the epoch. */
  readonly deadlineMs?: number;
  /** Where relative working folders begin; default the node's own. */
  readonly workingDir?: string;
}

const killAfterMs = 2_000;
/** How much later than this thread the guard acts, so that it does so only when the thread is gone. */
const guardSpareMs = killAfterMs + 1_000;
const outputBytesMax = 1024 * 1024;
/** Both outputs as JSON must leave room for the rest of the reply. */
const outputJsonBytesMax = limits.payloadBytes - 64 * 1024;
const passedOn = ['PATH', 'HOME', 'LANG', 'LC_ALL', 'TZ', 'TMPDIR', 'USER', 'LOGNAME'];

/** The promise actor that runs one program. */
export function executionHandler(clock: Clock = systemClock, env: NodeJS.ProcessEnv = process.env) {
  return fromPromise<RequestResult, ExecutionInput>(async ({ input, signal }) => {
    const program = resolveProgram(input.request.command, env.PATH ?? '');
    if ('refused' in program) return { result: 'fail', reason: 'PERMISSION_DENIED', text: program.refused };
    const workingDir = resolve(input.workingDir ?? process.cwd(), input.request.workingDir ?? '.');
    if (!isFolder(workingDir))
      return { result: 'fail', reason: 'INVALID_MESSAGE', text: `workingDir: there is no folder "${workingDir}"` };
    const value = await run(program.path, workingDir, input, signal, clock, env);
    return { result: 'reply', value };
  });
}

function run(
  path: string,
  workingDir: string,
  { request, deadlineMs }: ExecutionInput,
  signal: AbortSignal,
  clock: Clock,
  env: NodeJS.ProcessEnv,
): Promise<Execution> {
  return new Promise((settle, reject) => {
    signal.throwIfAborted();
    const startedMs = clock.now();
    const startedAt = clock.monotonic();
    const leftMs = deadlineMs === undefined ? Number.POSITIVE_INFINITY : deadlineMs - startedMs;
    const withinMs = Math.max(0, Math.min(request.timeoutSeconds * 1_000, leftMs));
    const [program, ...args] = guarded([path, ...request.args], withinMs, env);
    const child = spawn(program, args, {
      cwd: workingDir,
      env: { ...picked(env), ...request.environment },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
      shell: false,
    });
    const output = new BoundedOutput();
    child.stdout.on('data', (piece: Buffer) => output.add('stdout', piece));
    child.stderr.on('data', (piece: Buffer) => output.add('stderr', piece));

    let timedOut = false;
    let killLater: Cancel = () => {};
    const killGroup = (): void => {
      signalGroup(child.pid, 'SIGTERM');
      killLater = clock.after(killAfterMs, () => signalGroup(child.pid, 'SIGKILL'), { keepAlive: true });
    };
    const cancelDeadline = clock.after(
      withinMs,
      () => {
        timedOut = true;
        killGroup();
      },
      { keepAlive: true },
    );
    const abort = (): void => {
      killGroup();
      reject(signal.reason);
    };
    signal.addEventListener('abort', abort, { once: true });
    const end = (): void => {
      cancelDeadline();
      killLater();
      signal.removeEventListener('abort', abort);
    };
    child.once('error', (error) => {
      end();
      reject(error);
    });
    child.once('exit', () => {
      // What the program left behind in its group would also keep the pipes open.
      signalGroup(child.pid, 'SIGKILL');
      // A process that left the group may still hold them; it is not waited for.
      killLater();
      killLater = clock.after(
        killAfterMs,
        () => {
          child.stdout.destroy();
          child.stderr.destroy();
        },
        { keepAlive: true },
      );
    });
    child.once('close', (exitCode) => {
      end();
      settle({
        success: exitCode === 0 && !timedOut,
        command: request.command,
        exitCode: exitCode ?? -1,
        ...output.texts(),
        timedOut,
        durationSeconds: Math.round(clock.monotonic() - startedAt) / 1_000,
        executedAt: new Date(startedMs).toISOString(),
      });
    });
  });
}

/** The command line behind the host's own `timeout`, where there is a usable one. */
function guarded(line: [string, ...string[]], withinMs: number, env: NodeJS.ProcessEnv): [string, ...string[]] {
  const guard = process.platform === 'linux' ? findProgram('timeout', env.PATH ?? '') : undefined;
  if (guard === undefined || realpathSync(guard).endsWith('busybox')) return line;
  const seconds = (withinMs + guardSpareMs) / 1_000;
  return [guard, `--kill-after=${killAfterMs / 1_000}`, String(seconds), ...line];
}

/** What a program writes, up to the bound; the rest is read and dropped, so that the program does not block. */
class BoundedOutput {
  readonly #pieces: Record<'stdout' | 'stderr', Buffer[]> = { stdout: [], stderr: [] };
  #leftBytes = outputBytesMax;
  #cut = false;

  add(stream: 'stdout' | 'stderr', piece: Buffer): void {
    const kept = piece.subarray(0, this.#leftBytes);
    if (kept.length < piece.length) this.#cut = true;
    if (kept.length > 0) this.#pieces[stream].push(kept);
    this.#leftBytes -= kept.length;
  }

  texts(): { stdout: string; stderr: string; outputCut: boolean } {
    const stderr = shortened(Buffer.concat(this.#pieces.stderr).toString(), outputJsonBytesMax / 2);
    const stdout = shortened(
      Buffer.concat(this.#pieces.stdout).toString(),
      outputJsonBytesMax - jsonBytes(stderr.text),
    );
    return { stdout: stdout.text, stderr: stderr.text, outputCut: this.#cut || stdout.cut || stderr.cut };
  }
}

function shortened(text: string, maxBytes: number): { text: string; cut: boolean } {
  let kept = text;
  for (let bytes = jsonBytes(kept); bytes > maxBytes; bytes = jsonBytes(kept))
    kept = kept.slice(0, Math.floor(kept.length * Math.min(0.95, maxBytes / bytes)));
  return { text: kept, cut: kept.length < text.length };
}

function jsonBytes(text: string): number {
  return Buffer.byteLength(JSON.stringify(text));
}

function signalGroup(pid: number | undefined, name: 'SIGTERM' | 'SIGKILL'): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, name);
  } catch {
    // The group has ended already.
  }
}

function picked(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(passedOn.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]])));
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}
