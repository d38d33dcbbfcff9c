/**
 * The table of open asks of this process. An ask is entered once, under its envelope's id, and ends exactly once, by
 * whichever comes first: answer, error, deadline, cancellation, drain. The asker's side holds the deadline, so that a
 * lost answer still ends as a typed error (G3). An answer to an ask that is not open is dropped and counted.
 *
 * Most asks are answered long before their deadline, so one gets a timer only when its deadline is near: a sweep each
 * second finds those.
 */

import type { Address } from './address.ts';
import type { Cancel, Clock } from './clock.ts';
import type { Json } from './envelope.ts';
import { type ErrorData, TroupeError, toErrorData } from './errors.ts';
import { limits } from './limits.ts';
import type { CancelSignal } from './messaging.ts';

interface OpenAsk {
  readonly entry: AskEntry;
  readonly resolve: (value: Json) => void;
  readonly reject: (error: TroupeError) => void;
  /** On the monotonic clock. */
  readonly untilMs: number;
  cancelTimer: Cancel | undefined;
  onAbort: (() => void) | undefined;
}

const sweepMs = 1_000;
/** A deadline is near when it may come before the sweep after the next. */
const nearMs = 2 * sweepMs;

export interface AskEntry {
  readonly id: string;
  readonly to: Address;
  /** Delivered at least once: it outlives the turn that was begun for it. */
  readonly durable: boolean;
  readonly timeoutMs: number;
  readonly signal: CancelSignal | undefined;
  readonly onChunk: ((chunk: Json) => void) | undefined;
  /** Called when the caller gives up, by deadline or cancellation. */
  readonly onAbandon: () => void;
}

export class Asks {
  readonly #open = new Map<string, OpenAsk>();
  readonly #clock: Clock;
  #sweeping = false;
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
      const { id, timeoutMs, signal } = entry;
      const untilMs = this.#clock.monotonic() + timeoutMs;
      const ask: OpenAsk = { entry, resolve, reject, untilMs, cancelTimer: undefined, onAbort: undefined };
      this.#open.set(id, ask);
      if (timeoutMs < nearMs) this.#arm(ask, timeoutMs);
      else this.#planSweep();
      if (signal === undefined) return;
      const onAbort = (): void =>
        this.#abandon(ask, new TroupeError('CANCELLED', 'the caller cancelled the ask', { outcome: 'unknown' }));
      if (signal.aborted) return onAbort();
      ask.onAbort = onAbort;
      signal.addEventListener('abort', onAbort, { once: true });
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
      ask.entry.onChunk?.(value);
    } catch (thrown) {
      // The reader is broken, not the actor; whoever passed the chunk on must not suffer for it.
      this.refuse(id, toErrorData(thrown, 'CANCELLED'));
    }
  }

  /** Ends every open ask with the same error. */
  refuseAll(error: ErrorData): void {
    this.refuseWhere(() => true, error);
  }

  /** Ends those that the test picks. */
  refuseWhere(picks: (entry: AskEntry) => boolean, error: ErrorData): void {
    for (const { entry } of [...this.#open.values()]) if (picks(entry)) this.refuse(entry.id, error);
  }

  #finish(id: string): OpenAsk | undefined {
    const ask = this.#open.get(id);
    if (ask === undefined) {
      this.#unclaimed++;
      return undefined;
    }
    this.#open.delete(id);
    ask.cancelTimer?.();
    if (ask.onAbort !== undefined) ask.entry.signal?.removeEventListener('abort', ask.onAbort);
    return ask;
  }

  #abandon(ask: OpenAsk, error: TroupeError): void {
    const { id, onAbandon } = ask.entry;
    if (this.#open.get(id) !== ask) return;
    onAbandon();
    this.#finish(id)?.reject(error);
  }

  #arm(ask: OpenAsk, leftMs: number): void {
    const text = `no answer within ${Math.round(ask.entry.timeoutMs)} ms`;
    ask.cancelTimer = this.#clock.after(leftMs, () =>
      this.#abandon(ask, new TroupeError('DEADLINE_EXCEEDED', text, { outcome: 'unknown' })),
    );
  }

  #planSweep(): void {
    if (this.#sweeping) return;
    this.#sweeping = true;
    this.#clock.after(sweepMs, () => this.#sweep());
  }

  #sweep(): void {
    this.#sweeping = false;
    const nowMs = this.#clock.monotonic();
    for (const ask of this.#open.values()) {
      if (ask.cancelTimer !== undefined) continue;
      if (ask.untilMs - nowMs < nearMs) this.#arm(ask, ask.untilMs - nowMs);
      else this.#planSweep();
    }
  }
}
