/**
 * The table of open asks of this process. An ask is entered once, under its envelope's id, and ends exactly once, by
 * whichever comes first: answer, error, deadline, cancellation, drain. The asker's side holds the deadline, so that a
 * lost answer still ends as a typed error (G3). An answer to an ask that is not open is dropped and counted.
 */

import type { Cancel, Clock } from './clock.ts';
import type { Json } from './envelope.ts';
import { type ErrorData, TroupeError, toErrorData } from './errors.ts';
import { limits } from './limits.ts';

interface OpenAsk {
  readonly resolve: (value: Json) => void;
  readonly reject: (error: TroupeError) => void;
  readonly onChunk: ((chunk: Json) => void) | undefined;
  readonly end: () => void;
}

export interface AskEntry {
  readonly id: string;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
  readonly onChunk: ((chunk: Json) => void) | undefined;
  /** Called when the caller gives up, by deadline or cancellation. */
  readonly onAbandon: () => void;
}

export class Asks {
  readonly #open = new Map<string, OpenAsk>();
  readonly #clock: Clock;
  #unclaimed = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get openCount(): number {
    return this.#open.size;
  }

  /** Answers that nobody waited for: replies to tells, and those that came too late. */
  get unclaimedCount(): number {
    return this.#unclaimed;
  }

  /** Enters an ask; the promise rejects with a `TroupeError` only. @throws TroupeError `MAILBOX_FULL` */
  enter(entry: AskEntry): Promise<Json> {
    if (this.#open.size >= limits.openAsks)
      throw new TroupeError('MAILBOX_FULL', `this node has ${limits.openAsks} open asks`, { retryAfterMs: 1_000 });
    return new Promise((resolve, reject) => {
      const abandon = (error: TroupeError): void => {
        if (!this.#open.has(entry.id)) return;
        entry.onAbandon();
        this.#finish(entry.id)?.reject(error);
      };
      const cancelTimer: Cancel = this.#clock.after(entry.timeoutMs, () =>
        abandon(
          new TroupeError('DEADLINE_EXCEEDED', `no answer within ${Math.round(entry.timeoutMs)} ms`, {
            outcome: 'unknown',
          }),
        ),
      );
      const onAbort = (): void =>
        abandon(new TroupeError('CANCELLED', 'the caller cancelled the ask', { outcome: 'unknown' }));
      this.#open.set(entry.id, {
        resolve,
        reject,
        onChunk: entry.onChunk,
        end: () => {
          cancelTimer();
          entry.signal?.removeEventListener('abort', onAbort);
        },
      });
      if (entry.signal?.aborted) onAbort();
      else entry.signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  isOpen(id: string): boolean {
    return this.#open.has(id);
  }

  answer(id: string, value: Json): void {
    this.#finish(id)?.resolve(value);
  }

  refuse(id: string, error: ErrorData): void {
    this.#finish(id)?.reject(TroupeError.from(error));
  }

  chunk(id: string, value: Json): void {
    const ask = this.#open.get(id);
    if (ask === undefined) {
      this.#unclaimed++;
      return;
    }
    try {
      ask.onChunk?.(value);
    } catch (thrown) {
      // The reader is broken, not the actor; whoever passed the chunk on must not suffer for it.
      this.refuse(id, toErrorData(thrown, 'CANCELLED'));
    }
  }

  /** Ends every open ask with the same error. */
  refuseAll(error: ErrorData): void {
    for (const id of [...this.#open.keys()]) this.refuse(id, error);
  }

  #finish(id: string): OpenAsk | undefined {
    const ask = this.#open.get(id);
    if (ask === undefined) {
      this.#unclaimed++;
      return undefined;
    }
    this.#open.delete(id);
    ask.end();
    return ask;
  }
}
