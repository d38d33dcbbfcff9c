/**
 * What one life of an actor says to others: each effect is turned into something that its commit holds, or into
 * something that happens once the commit is done.
 */

import type { Address } from '../address.ts';
import type { Asks } from '../asks.ts';
import type { ActorDefinition } from '../define-actor.ts';
import { deliveryFailedEnvelope, failureOfRefusal, hearsOfFailures } from '../delivery-failed.ts';
import type { Effect, TellEffect } from '../effects.ts';
import type { StoreOperation } from '../engines/engine.ts';
import type { Delivery, Envelope, Json } from '../envelope.ts';
import type { ErrorData } from '../errors.ts';
import type { Cause } from '../host/causes.ts';
import { type ResultOutcome, resultOperations } from '../mailbox/results.ts';
import type { Shard } from '../mailbox/shard.ts';
import type { Random } from '../random.ts';
import { Ties, type TiesPort, type TiesRow } from './ties.ts';

export interface OutputsOptions {
  readonly address: Address;
  readonly definition: ActorDefinition;
  readonly incarnation: number;
  readonly persistent: boolean;
  /** What its record holds of its former lives. */
  readonly stored: { readonly ties?: TiesRow } | undefined;
  readonly ties: () => TiesPort;
  readonly shard: Shard;
  readonly random: Random;
  readonly asks: Asks;
  /** Turns a tell into an envelope from this actor and the shard it goes to. @throws TroupeError */
  readonly envelopeOf: (effect: TellEffect, from: Address, delivery: Delivery) => { envelope: Envelope; shard: string };
  /** Carries out an effect that needs no commit, or whose commit is done. */
  readonly perform: (effect: Effect, from: Address, incarnation: number) => void;
  /** What came of a message is stored, where that is to be: its askers may know. */
  readonly onResult: (id: string, outcome: ResultOutcome) => void;
  readonly count: (name: string) => void;
}

export class Outputs {
  readonly #options: OutputsOptions;
  /** Ephemeral asks that nobody has answered yet; they end with this life. */
  readonly #openAsks = new Set<string>();
  /** Of a persistent actor: children and watches. */
  readonly #ties: Ties | undefined;

  constructor(options: OutputsOptions) {
    this.#options = options;
    if (options.persistent) this.#ties = new Ties(options.ties, options.stored?.ties);
  }

  /** Brings the children and watches of the former life back. */
  resume(): void {
    for (const effect of this.#ties?.resume() ?? []) this.release(effect);
  }

  /** A turn has been told of the end of a watched life. */
  told(cause: Cause): void {
    this.#ties?.told(cause);
  }

  /** A spawned child has ended for good; answers whether that is to be stored. */
  childEnded(name: string, gen: number): boolean {
    return this.#ties?.childEnded(name, gen) === true && this.#ties.takeChanged();
  }

  /** Whether children or watches have changed since this was last asked. */
  takeTiesChanged(): boolean {
    return this.#ties?.takeChanged() === true;
  }

  /** What the record holds of children and watches. */
  tiesRow(): TiesRow | undefined {
    return this.#ties?.row();
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
    this.#options.onResult(id, { error });
  }

  /** Ends an ask if only this life could have answered it. */
  refuseOpen(id: string, error: ErrorData): void {
    if (this.#openAsks.has(id)) this.refuse(id, error);
  }

  /** Ends every ask that is still open. */
  refuseAll(error: ErrorData): void {
    for (const id of [...this.#openAsks]) this.refuse(id, error);
  }

  /** What an effect of a turn adds to its commit, and what is to be done after it. */
  record(effect: Effect, operations: StoreOperation[], after: (() => void)[]): void {
    const { address, definition, persistent, shard, random, envelopeOf } = this.#options;
    const durable =
      effect.type === 'troupe.tell' && (effect.delivery ?? (persistent ? 'at-least-once' : 'at-most-once'));
    if (effect.type !== 'troupe.tell' || durable !== 'at-least-once') {
      const due = this.#taken(effect);
      if (due === undefined) return;
      const result = resultOf(due);
      if (result !== undefined) operations.push(...resultOperations(result.id, result.outcome, shard.now()));
      after.push(() => this.#deliver(due));
      return;
    }
    const enter = ({ envelope, shard: target }: ReturnType<OutputsOptions['envelopeOf']>): void => {
      const entered = shard.enterOutbox(target, envelope);
      operations.push(...entered.operations);
      after.push(entered.committed);
    };
    try {
      enter(envelopeOf(effect, address, 'at-least-once'));
    } catch (error) {
      // The logic named an address or a type that nothing can be sent to; its turn stands.
      this.#options.count('delivery_failed_total');
      if (!hearsOfFailures(definition) || !shard.held) return;
      const failure = failureOfRefusal({ to: effect.address, type: effect.messageType }, error);
      const envelope = deliveryFailedEnvelope(random.id(), address, address, 'at-least-once', failure);
      enter({ envelope, shard: shard.name });
    }
  }

  /** What is to be done about an effect, once what it changes is committed. */
  #taken(effect: Effect): Effect | undefined {
    try {
      return this.#ties === undefined ? effect : this.#ties.take(effect);
    } catch {
      // No address, or too many children or watches; the turn stands.
      this.#options.count('effects_refused_total');
      return undefined;
    }
  }

  /** Carries out an effect of a turn that needs no commit. */
  release(effect: Effect) {
    const { shard } = this.#options;
    const result = resultOf(effect);
    const operations = result === undefined ? [] : resultOperations(result.id, result.outcome, shard.now());
    if (operations.length === 0) return this.#deliver(effect);
    // An answer that is kept outlives the lease: nobody would give it again.
    const keep = (): void => {
      const onAbandoned = (): void => void shard.whenHeld().then(keep, () => undefined);
      shard.submit({ operations, mails: [], onCommitted: () => this.#deliver(effect), onAbandoned });
    };
    keep();
  }

  #deliver(effect: Effect): void {
    const { asks, perform, address, incarnation } = this.#options;
    switch (effect.type) {
      case 'troupe.reply':
      case 'troupe.fail': {
        const result = resultOf(effect);
        if (result === undefined) return;
        this.#openAsks.delete(result.id);
        this.#options.onResult(result.id, result.outcome);
        return;
      }
      case 'troupe.chunk':
        if (effect.to !== undefined) asks.chunk(effect.to, effect.value as Json);
        return;
      default:
        perform(effect, address, incarnation);
    }
  }
}

/** The outcome that an answer stands for. */
function resultOf(effect: Effect): { readonly id: string; readonly outcome: ResultOutcome } | undefined {
  if ((effect.type !== 'troupe.reply' && effect.type !== 'troupe.fail') || effect.to === undefined) return undefined;
  if (effect.type === 'troupe.reply') return { id: effect.to, outcome: { value: (effect.value ?? null) as Json } };
  const { to, reason, text, retryAfterMs } = effect;
  const retry = retryAfterMs === undefined ? {} : { retryAfterMs };
  return { id: to, outcome: { error: { reason, message: text, outcome: 'not_started', ...retry } } };
}
