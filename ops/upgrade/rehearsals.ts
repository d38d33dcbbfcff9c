/**
 * The thread that runs the new code, from outside. A trial whose code does not come back, or ends the thread, is charged
 * with it; the thread is started again and the others go on.
 */

import { Worker } from 'node:worker_threads';
import type { Cancel, Clock } from '../../runtime/clock.ts';
import { textOf } from '../../runtime/errors.ts';
import { CommandFailed } from '../cli/failure.ts';
import { exitCodes } from '../exit-codes.ts';
import { type FromThread, noTrial, position, type ThreadStart, type Trial, type TrialResult } from './trial.ts';

/** How a trial ended that did not come to its end. `turn` 0 is the restore. */
export interface Stopped {
  readonly stopped: 'hangs' | 'crashes';
  readonly turn: number;
  readonly why: string;
}

export interface RehearsalOptions extends Omit<ThreadStart, 'position'> {
  /** Longest time of one turn, in milliseconds. */
  readonly turnLimitMs: number;
  readonly clock: Clock;
  readonly signal?: AbortSignal;
}

/** Longest time for the import of the app, in milliseconds. */
const loadWithinMs = 60_000;
/** How often it is looked whether the thread makes progress, within the limit. */
const looksPerLimit = 20;
/** Heap of the thread, in MiB. */
const heapMib = 1_024;
/** Ends of the thread with nothing in hand, after which the app is given up. */
const endsInVainMax = 3;

type Ending =
  | { readonly tried: readonly TrialResult[] }
  | { readonly stopped: Stopped['stopped']; readonly why: string };

export class Rehearsals {
  readonly #options: RehearsalOptions;
  readonly #position = new Int32Array(new SharedArrayBuffer(position.fields * Int32Array.BYTES_PER_ELEMENT));
  #worker: Worker | undefined;
  #endsInVain = 0;

  constructor(options: RehearsalOptions) {
    this.#options = options;
  }

  /**
   * Runs trials; the answers stand in the same order.
   *
   * @throws CommandFailed when the app cannot be used
   */
  async run(trials: readonly Trial[]): Promise<(TrialResult | Stopped)[]> {
    const outcomes = new Map<Trial, TrialResult | Stopped>();
    let left = trials;
    while (left.length > 0) {
      const ending = await this.#round(left);
      if ('tried' in ending) {
        for (const [index, trial] of left.entries()) outcomes.set(trial, ending.tried[index] as TrialResult);
        break;
      }
      await this.close();
      const charged = left[this.#position[position.trial] as number];
      if (charged === undefined) {
        this.#endsInVain += 1;
        if (this.#endsInVain >= endsInVainMax) throw unusable(`it ends its thread: ${ending.why}`);
        continue;
      }
      outcomes.set(charged, { ...ending, turn: this.#position[position.turn] as number });
      left = left.filter((trial) => trial !== charged);
    }
    return trials.map((trial) => outcomes.get(trial) as TrialResult | Stopped);
  }

  /** Loads the app. @throws CommandFailed when it cannot be used */
  async prepare(): Promise<void> {
    this.#worker ??= await this.#start();
  }

  async close(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.terminate();
  }

  async #round(trials: readonly Trial[]): Promise<Ending> {
    await this.prepare();
    const worker = this.#worker as Worker;
    this.#position[position.trial] = noTrial;
    return this.#listen<Ending>(worker, this.#options.turnLimitMs, (settle) => {
      worker.on('message', (message: FromThread) => {
        if (message.from === 'tried') settle({ tried: message.results });
      });
      worker.on('error', (error) => settle({ stopped: 'crashes', why: textOf(error) }));
      worker.on('exit', (code) => settle({ stopped: 'crashes', why: `the code ended its thread with code ${code}` }));
      worker.postMessage(trials);
      return () => settle({ stopped: 'hangs', why: `no answer for ${this.#options.turnLimitMs} ms` });
    });
  }

  async #start(): Promise<Worker> {
    const { app, application } = this.#options;
    const entry = new URL(`./rehearsal-thread${import.meta.url.slice(-3)}`, import.meta.url);
    const workerData: ThreadStart = { app, application, position: this.#position };
    // What the app prints would stand between our own lines.
    const streams = { stdout: true, stderr: true };
    const worker = new Worker(entry, { workerData, ...streams, resourceLimits: { maxOldGenerationSizeMb: heapMib } });
    worker.stdout.resume();
    worker.stderr.resume();
    // An error is followed by the exit, and there may be nobody listening for it then.
    worker.on('error', () => {});
    const fault = await this.#listen<string | undefined>(worker, loadWithinMs, (settle) => {
      worker.on('message', (message: FromThread) => {
        if (message.from === 'unusable') settle(message.text);
        if (message.from === 'ready') settle(undefined);
      });
      worker.on('error', (error) => settle(textOf(error)));
      worker.on('exit', (code) => settle(`it ended its thread with code ${code}`));
      return () => settle(`its import takes longer than ${loadWithinMs / 1_000} s`);
    });
    if (fault === undefined) return worker;
    await worker.terminate();
    throw unusable(fault);
  }

  /** Waits for what `wire` settles with; calls its answer when the thread makes no progress for `limitMs`. */
  #listen<Result>(
    worker: Worker,
    limitMs: number,
    wire: (settle: (result: Result) => void) => () => void,
  ): Promise<Result> {
    const { clock, signal } = this.#options;
    return new Promise((resolve, reject) => {
      let cancel: Cancel = () => {};
      const end = (): void => {
        cancel();
        signal?.removeEventListener('abort', abort);
        for (const event of ['message', 'error', 'exit']) worker.removeAllListeners(event);
        worker.on('error', () => {});
      };
      const abort = (): void => {
        end();
        reject(signal?.reason);
      };
      if (signal?.aborted) return abort();
      signal?.addEventListener('abort', abort);
      const stalled = wire((result) => {
        end();
        resolve(result);
      });
      let seen = -1;
      let looks = 0;
      // Counted in looks, so that a machine which stands still for a while charges nobody.
      cancel = clock.every(limitMs / looksPerLimit, () => {
        const progress = Atomics.load(this.#position, position.progress);
        looks = progress === seen ? looks + 1 : 0;
        seen = progress;
        if (looks >= looksPerLimit) stalled();
      });
    });
  }
}

function unusable(why: string): CommandFailed {
  return new CommandFailed(exitCodes.unknown, `the app cannot be looked at: ${why}`, 'run it with node to see where');
}
