/**
 * What one life of an actor says to others: each effect is turned into something that its commit holds, or into
 * something that happens once the commit is done.
 */

import type { Address } from '../address.ts';
import type { Asks } from '../asks.ts';
import type { Effect, TellEffect } from '../effects.ts';
import type { StoreOperation } from '../engines/engine.ts';
import type { Delivery, Envelope, Json } from '../envelope.ts';
import type { ErrorData } from '../errors.ts';
import type { Shard } from '../mailbox/shard.ts';

export interface OutputsOptions {
  readonly address: Address;
  readonly persistent: boolean;
  readonly shard: Shard;
  readonly asks: Asks;
  /** Turns a tell into an envelope from this actor and the shard it goes to. @throws TroupeError */
  readonly envelopeOf: (effect: TellEffect, from: Address, delivery: Delivery) => { envelope: Envelope; shard: string };
  /** Carries out an effect that needs no commit, or whose commit is done. */
  readonly perform: (effect: Effect, from: Address) => void;
  readonly count: (name: string) => void;
}

export class Outputs {
  readonly #options: OutputsOptions;
  /** Ephemeral asks that nobody has answered yet; they end with this life. */
  readonly #openAsks = new Set<string>();

  constructor(options: OutputsOptions) {
    this.#options = options;
  }

  /** Ephemeral asks that wait for their answer. */
  get openCount(): number {
    return this.#openAsks.size;
  }

  /** An ask was taken that only this life can answer. */
  asked(id: string): void {
    this.#openAsks.add(id);
  }

  /** The asker waits no longer. */
  forget(id: string): void {
    this.#openAsks.delete(id);
  }

  refuse(id: string, error: ErrorData): void {
    this.#openAsks.delete(id);
    this.#options.asks.refuse(id, error);
  }

  /** Ends every ask that is still open. */
  refuseAll(error: ErrorData): void {
    for (const id of [...this.#openAsks]) this.refuse(id, error);
  }

  /** What an effect of a turn adds to its commit, and what is to be done after it. */
  record(effect: Effect, operations: StoreOperation[], after: (() => void)[]): void {
    const { address, persistent, shard, envelopeOf } = this.#options;
    const durable =
      effect.type === 'troupe.tell' && (effect.delivery ?? (persistent ? 'at-least-once' : 'at-most-once'));
    if (effect.type !== 'troupe.tell' || durable !== 'at-least-once') {
      after.push(() => this.release(effect));
      return;
    }
    try {
      const outgoing = envelopeOf(effect, address, 'at-least-once');
      const entered = shard.enterOutbox(outgoing.shard, outgoing.envelope);
      operations.push(...entered.operations);
      after.push(entered.committed);
    } catch {
      // The logic named an address or wrote a payload that cannot be sent; its turn stands.
      this.#options.count('delivery_failed_total');
    }
  }

  /** Carries out an effect now. */
  release(effect: Effect): void {
    const { asks, perform, address } = this.#options;
    switch (effect.type) {
      case 'troupe.reply':
        if (effect.to === undefined) return;
        this.#openAsks.delete(effect.to);
        asks.answer(effect.to, (effect.value ?? null) as Json);
        return;
      case 'troupe.fail':
        if (effect.to === undefined) return;
        this.refuse(effect.to, {
          reason: effect.reason,
          message: effect.text,
          outcome: 'not_started',
          ...(effect.retryAfterMs === undefined ? {} : { retryAfterMs: effect.retryAfterMs }),
        });
        return;
      case 'troupe.chunk':
        if (effect.to !== undefined) asks.chunk(effect.to, effect.value as Json);
        return;
      default:
        perform(effect, address);
    }
  }
}
