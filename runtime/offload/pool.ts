/**
 * The one file that knows Piscina: a pool of threads for CPU work, made when the first task comes.
 *
 * Piscina's own queue stays empty, since it forgets what waits when a thread dies and no other is there: the caller has
 * never more tasks here than there are threads.
 */

import { fileURLToPath } from 'node:url';
import { textOf } from '../errors.ts';
import { defaults } from '../limits.ts';
import type { Log } from '../log.ts';
import type { TaskOrder } from './messages.ts';

export interface TaskPool {
  /**
   * Runs a task; resolves with whether it succeeded, which its actor has heard by then. Rejects when its thread died or
   * `signal` ended it, of which the actor has heard nothing.
   */
  run(order: TaskOrder, signal: AbortSignal): Promise<boolean>;
  /** Ends all threads. */
  close(): Promise<void>;
}

export interface TaskPoolOptions {
  readonly threads: number;
  readonly heapLimitMb?: number;
  readonly log: Log;
}

/** From source the entry is TypeScript, in the built package JavaScript. */
const entry = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? './task-thread.ts' : './task-thread.js', import.meta.url),
);

export async function startTaskPool({ threads, heapLimitMb, log }: TaskPoolOptions): Promise<TaskPool> {
  const { Piscina } = await import('piscina');
  const pool = new Piscina({
    minThreads: 0,
    maxThreads: threads,
    idleTimeout: defaults.offloadIdleMs,
    // Its other modes block the thread between tasks, and with it the port that brings the data.
    atomics: 'disabled',
    recordTiming: false,
    ...(heapLimitMb === undefined ? {} : { resourceLimits: { maxOldGenerationSizeMb: heapLimitMb } }),
  });
  pool.on('error', (thrown: unknown) =>
    log.warn({ error: textOf(thrown) }, 'a thread for tasks died between two tasks'),
  );
  return {
    run: (order, signal) =>
      pool.run(order, { filename: entry, signal, transferList: [order.port] }) as Promise<boolean>,
    close: () => pool.destroy(),
  };
}
