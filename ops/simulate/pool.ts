/** Runs seeds in worker threads: each run is alone in its thread while it lasts. */

import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { SimulationResult } from './simulation.ts';

/** One run, by names: functions cross no thread. */
export interface Order {
  readonly seed: number;
  readonly plant?: string;
}

export interface Pool {
  /** Takes orders from `next` until it gives none, or until `stop` holds; resolves when all that began are done. */
  run(next: () => Order | undefined, onResult: (order: Order, result: SimulationResult) => void): Promise<void>;
  close(): Promise<void>;
}

/** From source the entry is TypeScript, in the built package JavaScript. */
const entry = new URL(import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js', import.meta.url);
const workersMax = 8;

export function createPool(): Pool {
  const workers = Array.from({ length: Math.min(workersMax, availableParallelism()) }, () => new Worker(entry));
  return {
    async run(next, onResult) {
      await Promise.all(
        workers.map(async (worker) => {
          for (let order = next(); order !== undefined; order = next()) onResult(order, await ask(worker, order));
        }),
      );
    },
    async close() {
      await Promise.all(workers.map((worker) => worker.terminate()));
    },
  };
}

function ask(worker: Worker, order: Order): Promise<SimulationResult> {
  return new Promise((resolve, reject) => {
    const hear = (result: SimulationResult): void => {
      worker.off('error', reject);
      resolve(result);
    };
    worker.once('message', hear);
    worker.once('error', reject);
    worker.postMessage(order);
  });
}
