/**
 * Processes that a bench needs beside its own. Each ends with the channel to the bench, so it never outlives it, and
 * leaves Ctrl-C to the bench.
 */

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { extname } from 'node:path';

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
