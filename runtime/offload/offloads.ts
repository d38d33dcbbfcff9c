/**
 * The tasks that the actors of this node have offloaded: which run, which wait, and how those end of which their
 * threads cannot tell any more.
 *
 * 1. Results and errors of tasks go straight to the actor's thread. What is said from here (`settled`) is only what no
 *    task could say: refused, late, its thread dead.
 * 2. A task runs only while its actor waits for it: a stopped actor, a dead host thread, a passed time limit end the
 *    thread of the task, and nobody else's.
 * 3. At most as many run as the pool has threads; what waits is bounded, first come, first served.
 */

import { availableParallelism } from 'node:os';
import type { Cancel, Clock } from '../clock.ts';
import type { App } from '../define-app.ts';
import { type ErrorData, type ErrorReason, textOf } from '../errors.ts';
import type { FromHost, ToHost } from '../host/messages.ts';
import { limits } from '../limits.ts';
import type { Log } from '../log.ts';
import { startTaskPool, type TaskPool } from './pool.ts';

export interface OffloadsOptions {
  readonly app: App;
  readonly appUrl: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Threads for tasks; default: one for each core but one, at least one. */
  readonly offloadThreads?: number;
  /** Limit of each such thread's heap, in MiB; default: Node's own. */
  readonly heapLimitMb?: number;
  readonly post: (slot: number, message: ToHost) => unknown;
  /** Default: Piscina. */
  readonly startPool?: () => Promise<TaskPool>;
}

type Order = Extract<FromHost, { readonly from: 'offload' }>;

interface Open {
  readonly slot: number;
  readonly order: Order;
  readonly abort: AbortController;
  readonly cancelTimer: Cancel;
  status: 'waiting' | 'running' | 'over';
}

/** When a full queue may be tried again. */
const fullRetryMs = 1_000;

export class Offloads {
  readonly #options: OffloadsOptions;
  readonly #threads: number;
  /** By request number, which is unique on its slot. */
  readonly #open = new Map<string, Open>();
  readonly #waiting: Open[] = [];
  #running = 0;
  #pool: Promise<TaskPool> | undefined;
  #closed = false;
  readonly #totals = { done: 0, failed: 0, refused: 0, cancelled: 0 };

  constructor(options: OffloadsOptions) {
    this.#options = options;
    this.#threads = options.offloadThreads ?? Math.max(1, availableParallelism() - 1);
  }

  /** A task that an actor offloads. */
  receive(slot: number, order: Order) {
    const { app, clock } = this.#options;
    const tasks = app.tasks ?? {};
    const refuse = (reason: ErrorReason, message: string, retryAfterMs?: number) => {
      this.#totals.refused += 1;
      order.port.close();
      const delay = retryAfterMs === undefined ? {} : { retryAfterMs };
      this.#settle(slot, order, { reason, message, outcome: 'not_started', ...delay });
    };
    if (this.#closed) return refuse('DRAINING', 'this node is shutting down', fullRetryMs);
    if (!Object.hasOwn(tasks, order.task)) {
      const known = Object.keys(tasks).join(', ') || 'none; add defineApp({ tasks })';
      return refuse('NOT_FOUND', `the app declares no task "${order.task}"; it declares: ${known}`);
    }
    if (this.#running >= this.#threads && this.#waiting.length >= limits.offloadWaitingTasks)
      return refuse('MAILBOX_FULL', `${this.#waiting.length} tasks are waiting for a thread`, fullRetryMs);
    const { timeoutMs } = order;
    const open: Open = {
      slot,
      order,
      abort: new AbortController(),
      cancelTimer: clock.after(timeoutMs, () =>
        this.#give(open, {
          reason: 'DEADLINE_EXCEEDED',
          message: `the task "${order.task}" did not end within ${timeoutMs} ms`,
          outcome: open.status === 'waiting' ? 'not_started' : 'unknown',
        }),
      ),
      status: 'waiting',
    };
    this.#open.set(keyOf(slot, order.request), open);
    this.#waiting.push(open);
    this.#next();
  }

  /** The actor waits for it no more. */
  cancel(slot: number, request: number): void {
    const open = this.#open.get(keyOf(slot, request));
    if (open === undefined) return;
    this.#totals.cancelled += 1;
    this.#drop(open);
  }

  /** A host thread is gone, and with it all who waited there. */
  hostLost(slot: number): void {
    for (const open of [...this.#open.values()]) if (open.slot === slot) this.cancel(slot, open.order.request);
  }

  /** For metrics. */
  counters(): Readonly<Record<string, number>> {
    const { done, failed, refused, cancelled } = this.#totals;
    return {
      offload_running: this.#running,
      offload_waiting: this.#waiting.length,
      offload_done_total: done,
      offload_failed_total: failed,
      offload_refused_total: refused,
      offload_cancelled_total: cancelled,
    };
  }

  /** Ends all threads for tasks; who still waits is told so. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const open of [...this.#open.values()])
      this.#give(open, { reason: 'DRAINING', message: 'this node is shutting down', outcome: 'unknown' });
    await (await this.#pool?.catch(() => undefined))?.close();
  }

  #next(): void {
    while (this.#running < this.#threads) {
      const open = this.#waiting.shift();
      if (open === undefined) return;
      void this.#run(open);
    }
  }

  async #run(open: Open): Promise<void> {
    const { task, id, port } = open.order;
    open.status = 'running';
    this.#running += 1;
    try {
      this.#pool ??= this.#startPool();
      const pool = await this.#pool;
      const succeeded = await pool.run({ app: this.#options.appUrl, task, id, port }, open.abort.signal);
      // After its end was told otherwise it counts as that.
      if (open.status === 'running') this.#totals[succeeded ? 'done' : 'failed'] += 1;
    } catch (thrown) {
      this.#give(open, {
        reason: 'ACTOR_FAILED',
        message: `the thread of task "${task}" died: ${textOf(thrown)}`,
        outcome: 'unknown',
      });
    } finally {
      this.#forget(open);
      this.#running -= 1;
      this.#next();
    }
  }

  #startPool(): Promise<TaskPool> {
    const { startPool, heapLimitMb, log } = this.#options;
    if (startPool !== undefined) return startPool();
    return startTaskPool({ threads: this.#threads, log, ...(heapLimitMb === undefined ? {} : { heapLimitMb }) });
  }

  /** Ends a task with an error that it could not tell itself. */
  #give(open: Open, error: ErrorData): void {
    if (open.status === 'over') return;
    this.#totals.failed += 1;
    const { activation, task, id } = open.order;
    this.#options.log.warn({ activation, task, id, reason: error.reason }, error.message);
    this.#drop(open);
    this.#settle(open.slot, open.order, error);
  }

  /** Lets it wait no more, or ends its thread. */
  #drop(open: Open) {
    const { status } = open;
    this.#forget(open);
    if (status === 'running') return open.abort.abort();
    this.#waiting.splice(this.#waiting.indexOf(open), 1);
    open.order.port.close();
  }

  #forget(open: Open): void {
    open.status = 'over';
    open.cancelTimer();
    this.#open.delete(keyOf(open.slot, open.order.request));
  }

  #settle(slot: number, { request }: Order, error: ErrorData): void {
    this.#options.post(slot, { to: 'settled', request, result: { error } });
  }
}

function keyOf(slot: number, request: number): string {
  return `${slot}/${request}`;
}
