/**
 * Processes that a bench needs beside its own. Each ends with the channel to the bench, so it never outlives it, and
 * leaves Ctrl-C to the bench.
 */

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { extname } from 'node:path';
import { textOf } from '../../runtime/errors.ts';

export interface Part {
  /** Where it listens. */
  readonly address: string;
  end(): Promise<void>;
}

/** Starts a part; resolves when it listens. */
export async function startPart(name: 'grpc-node' | 'grpc-echo'): Promise<Part> {
  const child = fork(new URL(`./${name}${extname(import.meta.url)}`, import.meta.url), {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    execArgv: [],
  });
  const exited = once(child, 'exit');
  const address = await Promise.race([
    once(child, 'message').then(([message]) => String(message)),
    exited.then(([code, signal]) => {
      throw new Error(`${name} ended with ${code ?? signal} before it listened`);
    }),
  ]);
  return {
    address,
    async end() {
      if (child.connected) child.disconnect();
      await exited;
    },
  };
}

/** In the part's process: says where it listens, and ends it when the bench is gone. */
export function serveAsPart(address: string, end: () => Promise<void> | void): void {
  const leave = async (): Promise<void> => {
    await end();
    process.exit();
  };
  process.on('SIGINT', () => undefined);
  process.once('disconnect', leave);
  // Without a listener the error of a bench that is gone by now would be thrown.
  process.send?.(address, (error: Error | null) => {
    if (error !== null) void leave();
  });
}

/** Runs a part that measures by a plan and says what it found. Rejects with the signal's reason when aborted. */
export async function runPart<Result>(
  name: 'sleepers-part' | 'recovery-part',
  plan: object,
  signal: AbortSignal,
): Promise<Result> {
  signal.throwIfAborted();
  const child = fork(new URL(`./${name}${extname(import.meta.url)}`, import.meta.url), {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    execArgv: ['--expose-gc'],
  });
  const end = (): void => void child.kill('SIGKILL');
  signal.addEventListener('abort', end, { once: true });
  try {
    const exited = once(child, 'exit');
    const answered = once(child, 'message') as Promise<[{ readonly result: Result } | { readonly error: string }]>;
    child.send(plan);
    const [answer] = await Promise.race([
      answered,
      exited.then(([code, ended]) => {
        signal.throwIfAborted();
        throw new Error(`${name} ended with ${code ?? ended} before it had measured`);
      }),
    ]);
    if ('error' in answer) throw new Error(`${name}: ${answer.error}`);
    await exited;
    return answer.result;
  } finally {
    signal.removeEventListener('abort', end);
    end();
  }
}

/** In the part's process: measures by the plan that comes, says what was found, and leaves. */
export function answerAsPart<Plan, Result>(measure: (plan: Plan) => Promise<Result>): void {
  process.on('SIGINT', () => undefined);
  process.once('disconnect', () => process.exit());
  process.once('message', async (plan: Plan) => {
    const answer = await measure(plan).then(
      (result) => ({ result }),
      (error: unknown) => ({ error: textOf(error) }),
    );
    process.send?.(answer, () => process.exit());
  });
}
