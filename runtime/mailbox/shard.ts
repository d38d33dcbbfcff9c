/**
 * The owner of one shard: connects lease, intake, mailroom, commit and outbox for the activations whose addresses live
 * here. It is not the place where turns are decided: that is `activation/activation.ts`.
 *
 * Invariants:
 * 1. Everything in memory belongs to one lease epoch. When the lease is lost, or a commit is refused, all of it is
 *    dropped; a new epoch starts from what is stored.
 * 2. At take-over: numbers of outgoing channels jump to the epoch; marks and parked addresses are loaded; active jobs are
 *    adopted before the first fetch; actors with mail or a due timer are awakened.
 */

import type { Address } from '../address.ts';
import { type Clock, within } from '../clock.ts';
import { deliveryFailedEnvelope } from '../delivery-failed.ts';
import type { Engine, Lease, StoreOperation } from '../engines/engine.ts';
import { shuttingDown, TroupeError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Log } from '../log.ts';
import type { ShardView } from '../messaging.ts';
import type { Random } from '../random.ts';
import {
  type DeadLetter,
  type DeadLetterReason,
  deadLetterOperations,
  errorOfLetter,
  lostLetter,
} from './dead-letters.ts';
import { Housekeeping } from './housekeeping.ts';
import { LeaseKeeper } from './lease-keeper.ts';
import type { ChannelPlace, Mail } from './mail.ts';
import { Mailroom } from './mailroom.ts';
import type { Outbox } from './outbox.ts';
import type { Parked } from './parking.ts';
import { type ResultOutcome, Results, shardOfResult } from './results.ts';
import { createTenure, type Tenure } from './tenure.ts';
import type { TrialGate } from './trial.ts';

export interface ShardOptions {
  readonly name: string;
  readonly engine: Engine;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Lets one trial turn run at a time on this node. */
  readonly trials: TrialGate;
  /** This process's node epoch, and the dead node whose leases it may take at once. */
  readonly node: () => number;
  readonly succeeds: number | undefined;
  /** Name of the shard that an address lives in. */
  readonly shardOf: (address: Address) => string;
  /** How many durable messages may wait for an address. */
  readonly capacityOf: (address: Address) => number;
  /** Mail came, or a timer is due: see that the actor runs and takes it. */
  readonly onWork: (address: Address) => void;
  /** The shard is no longer ours: its activations end. */
  readonly onLost: (shard: string) => void;
  /** Something was written to a shard's queue. */
  readonly onWritten: (shard: string) => void;
  /** Durable mail came in. */
  readonly onArrived: (mail: Mail) => void;
  /** What came of a message is stored: its asker, if it has one here, may know. */
  readonly onResult: (id: string, outcome: ResultOutcome) => void;
  /** Counts what happened, for metrics. */
  readonly count: (name: string, by?: number) => void;
}

/** What is to be committed together. */
export interface ShardUnit {
  readonly operations: readonly StoreOperation[];
  /** Mail whose fate it decides. */
  readonly mails: readonly Mail[];
  readonly onCommitted?: () => void;
  /** It was given up: the shard is not held, or was lost before the commit. */
  readonly onAbandoned?: () => void;
}

const nothing = (): void => undefined;

export class Shard {
  readonly name: string;
  readonly mail: Mailroom;
  readonly results: Results;
  readonly #options: ShardOptions;
  readonly #keeper: LeaseKeeper;
  readonly #housekeeping: Housekeeping;
  #tenure: Tenure | undefined;
  #intakeStopped = false;
  #isClosed = false;
  #heldWaiters: { readonly resolve: () => void; readonly reject: (error: TroupeError) => void }[] = [];

  constructor(options: ShardOptions) {
    this.name = options.name;
    this.#options = options;
    const { name: shard, engine, clock, log, node, succeeds } = options;
    this.#keeper = new LeaseKeeper({
      shard,
      engine,
      clock,
      log,
      node,
      succeeds,
      seq: () => this.#tenure?.committer.seq ?? 0,
      onAcquired: (lease) => this.#takeOver(lease),
      onRenewed: () => this.#renewed(),
      onTick: () => this.#tick(),
      onLost: () => this.#drop(),
    });
    this.results = new Results(shard, engine.store, clock);
    this.mail = new Mailroom({
      shard,
      store: engine.store,
      clock,
      random: options.random,
      log,
      now: () => this.now(),
      capacityOf: options.capacityOf,
      onWork: options.onWork,
      commit: (change, onCommitted) => this.#commit(change, onCommitted),
      settled: () => this.settled(),
      letter: (mail, reason, error) => this.letter([mail], reason, error),
      results: this.results,
      onResult: options.onResult,
      count: options.count,
    });
    this.#housekeeping = new Housekeeping({
      shard,
      engine,
      log,
      now: () => this.now(),
      commit: (operations) => this.submit({ operations, mails: [] }),
      keptSoFar: () => this.mail.keptSoFar,
    });
  }

  /** Idempotency keys and results that are kept. */
  get keptRows(): number {
    return this.#housekeeping.kept;
  }

  get held(): boolean {
    return this.lease !== undefined;
  }

  /** The lease that it is held under. What was read under one may be old under the next. */
  get lease(): Lease | undefined {
    return this.#tenure?.ready === true ? this.#tenure.lease : undefined;
  }

  /** Whether a turn could be committed now, as far as is known here. */
  get commits(): boolean {
    return this.held && this.#tenure?.committer.stalled === false;
  }

  /** Engine time, milliseconds. */
  now(): number {
    return this.#keeper.now();
  }

  view(): Omit<ShardView, 'shard' | 'held'> {
    const tenure = this.#tenure;
    return {
      epoch: tenure?.lease.epoch ?? 0,
      seq: tenure?.committer.seq ?? 0,
      inHand: tenure?.intake.inHandCount ?? 0,
      outbox: this.outboxCount,
      delayed: tenure?.delayed.count ?? 0,
      parked: this.mail.parkedRows,
      kept: this.keptRows,
    };
  }

  /** Begins to take and keep the lease. */
  open(): void {
    this.#keeper.open();
  }

  /** Resolves when the shard is ours. @throws TroupeError `DRAINING` when it is closed instead */
  whenHeld(): Promise<void> {
    if (this.held) return Promise.resolve();
    if (this.#isClosed) return Promise.reject(TroupeError.from(shuttingDown));
    return new Promise((resolve, reject) => this.#heldWaiters.push({ resolve, reject }));
  }

  /** Numbers an outgoing envelope. The shard must be held. */
  enterOutbox(target: string, envelope: Mail['envelope']): ReturnType<Outbox['enter']> {
    if (this.#tenure?.outbox.isLoaded !== true) throw new Error(`shard ${this.name} is not held`);
    return this.#tenure.outbox.enter(target, envelope);
  }

  /** Commits a unit; its mail counts as taken from then on. When the shard is not held, it is given up. */
  submit({ operations, mails, onCommitted = nothing, onAbandoned = nothing }: ShardUnit) {
    const tenure = this.#tenure;
    if (tenure === undefined) return onAbandoned();
    // Mail of an earlier epoch was adopted anew: this unit would be its second run.
    if (mails.some(({ place }) => place !== undefined && place.epoch !== tenure.lease.epoch)) return onAbandoned();
    const taken = this.mail.taken(mails);
    this.#commit({ operations: [...operations, ...taken.operations], takes: taken.takes }, onCommitted, onAbandoned);
  }

  /**
   * Takes mail without handling it: one letter each, committed. `error` is what is to be written of mail that never
   * reached its actor.
   */
  letter(mails: readonly Mail[], reason: DeadLetterReason, error?: string): void {
    const epoch = this.#tenure?.lease.epoch;
    const atMs = this.now();
    for (const mail of mails) {
      const { envelope, errors, place } = mail;
      // Nothing is numbered for a letter that would not be committed.
      if (place === undefined || place.epoch !== epoch) continue;
      const history = error === undefined ? errors : [...errors, { atMs, message: error }];
      const letter: DeadLetter = { envelope, reason, errors: history, atMs };
      const { operations, committed } = this.writing(letter);
      const onCommitted = (): void => {
        committed();
        const { id, replyTo } = envelope;
        const isAwaited = replyTo !== undefined || shardOfResult(id) !== undefined;
        if (isAwaited && reason !== 'STALE_WRITER') this.#options.onResult(id, { error: errorOfLetter(letter) });
      };
      this.submit({ operations, mails: [mail], onCommitted });
    }
  }

  /** What a commit must hold for a letter: the letter, and what tells its sender. Commit it, then call `committed`. */
  writing(letter: DeadLetter): ReturnType<Outbox['enter']> {
    this.#options.count('dead_letters_total');
    this.#housekeeping.lettered();
    const { id, from, to, type, reportsFailure } = letter.envelope;
    const operations = deadLetterOperations(letter);
    if (from === undefined || reportsFailure !== true) return { operations, committed: nothing };
    const { random, shardOf } = this.#options;
    const failure = { to, type, messageId: id, reason: letter.reason, message: errorOfLetter(letter).message };
    const event = deliveryFailedEnvelope(random.id(), from, to, 'at-least-once', failure);
    const entered = this.enterOutbox(shardOf(from), event);
    return { operations: [...operations, ...entered.operations], committed: entered.committed };
  }

  /** A timer of an actor that sleeps from now on is due at this engine time. */
  expectDue(dueMs: number): void {
    this.#tenure?.due.expect(dueMs);
  }

  /** Something was written to this shard's queue. */
  wake(): void {
    // What is fetched before the active jobs are adopted would overtake them.
    if (this.held) this.#tenure?.intake.wake();
  }

  /** Resolves when what was submitted before is committed, or given up with the shard. */
  async settled(): Promise<void> {
    await this.#tenure?.committer.settled();
  }

  /** Stops taking mail in; what is in hand goes on. */
  stopIntake(): void {
    this.#intakeStopped = true;
    this.#tenure?.intake.close();
    this.#tenure?.delayed.close();
    this.#tenure?.due.close();
  }

  /** Envelopes that are committed and not yet flushed. */
  get outboxCount(): number {
    return this.#tenure?.outbox.waitingCount ?? 0;
  }

  /** Gives the lease back in order; commits that do not come through are given up after `withinMs`. */
  async close(withinMs: number): Promise<void> {
    const stopped = this.#keeper.stop();
    this.#isClosed = true;
    for (const waiter of this.#heldWaiters.splice(0)) waiter.reject(TroupeError.from(shuttingDown));
    await stopped;
    const tenure = this.#tenure;
    if (tenure === undefined) return;
    tenure.intake.close();
    await within(this.#options.clock, withinMs, tenure.committer.settled());
    this.#endTenure();
    await this.#keeper.release(withinMs);
  }

  async #takeOver(lease: Lease): Promise<void> {
    const { engine, clock, log, count, onWritten, onArrived } = this.#options;
    const tenure = await createTenure({
      shard: this.name,
      engine,
      clock,
      log,
      lease,
      now: () => this.now(),
      settled: () => this.settled(),
      trials: this.#options.trials,
      commit: (operations, onCommitted) => this.#commit({ operations: [...operations], takes: [] }, onCommitted),
      count,
      onWritten,
      onMail: (mail) => {
        onArrived(mail);
        this.mail.arrived(mail);
      },
      onLost: (gap) => this.#letterLost(gap),
      onStale: (mail) => this.letter([mail], 'STALE_WRITER'),
      onDelayed: (mails, operations) => this.mail.due(mails, operations),
      onDue: (address) => {
        if (this.mail.holdOf(address) === undefined) this.#options.onWork(address);
      },
      onRefused: () => {
        log.warn({ shard: this.name }, 'a commit was refused: the shard has another owner or was rolled back');
        this.#drop();
        this.#keeper.forget();
      },
    });
    this.#tenure = tenure;
    this.mail.attach(tenure);
    this.#housekeeping.begin(tenure.writers);
    await tenure.outbox.load();
    if (this.#intakeStopped) this.stopIntake();
    await tenure.intake.adoptActive();
    await tenure.delayed.load();
    if (this.#tenure !== tenure) return;
    tenure.ready = true;
    tenure.intake.wake();
    for (const waiter of this.#heldWaiters.splice(0)) waiter.resolve();
    this.mail.resume();
    await tenure.due.lookForWakeful();
    await tenure.due.look();
  }

  async #renewed(): Promise<void> {
    const tenure = this.#tenure;
    if (tenure === undefined) return;
    await tenure.intake.adoptActive();
    tenure.intake.wake();
    await tenure.due.look();
    await this.#housekeeping.run(() => this.#tenure === tenure);
  }

  #tick(): void {
    const tenure = this.#tenure;
    if (tenure?.ready !== true) return;
    tenure.intake.wake();
    this.mail.relieve(tenure.intake.inHandCount >= limits.shardInHandEnvelopes);
  }

  #commit({ operations, takes }: Parked, onCommitted = nothing, onAbandoned = nothing): void {
    const tenure = this.#tenure;
    if (tenure === undefined || (operations.length === 0 && takes.length === 0 && onCommitted === nothing)) return;
    tenure.committer.submit({
      operations,
      takes,
      onCommitted: () => {
        // First the marks, so that nothing in the outputs can keep them from being right.
        tenure.intake.settled(takes);
        onCommitted();
      },
      onAbandoned,
    });
  }

  #letterLost(gap: ChannelPlace): void {
    const { writer, n: upTo } = gap;
    this.#options.count('lost_gaps_total');
    this.#options.log.error({ shard: this.name, writer, upTo }, 'the storage engine lost messages');
    this.#commit({ operations: deadLetterOperations(lostLetter(this.name, writer, upTo, this.now())), takes: [gap] });
  }

  /** The shard is not ours any more: its memory is worthless. */
  #drop(): void {
    if (this.#tenure === undefined) return;
    this.#endTenure();
    // The ends of its lives put mail back, so the queues are emptied after them.
    this.#options.onLost(this.name);
    this.mail.detach();
  }

  #endTenure(): void {
    const tenure = this.#tenure;
    this.#tenure = undefined;
    tenure?.committer.abandon();
    tenure?.intake.close();
    tenure?.outbox.close();
    tenure?.delayed.close();
    tenure?.due.close();
  }
}
