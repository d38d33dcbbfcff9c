/**
 * The owner of one shard: holds its lease, takes it over, and connects intake, commit and outbox for the activations
 * whose addresses live here. It is not the place where turns are decided: that is `activation/activation.ts`.
 *
 * Invariants:
 * 1. Everything in memory belongs to one lease epoch. When the lease is lost, or a commit is refused, all of it is
 *    dropped; a new epoch starts from what is stored.
 * 2. Durable mail is routed to its actor's queue in channel order, and stays in memory until its fate is committed.
 * 3. At take-over: numbers of outgoing channels jump to the epoch; marks are loaded; active jobs are adopted before the
 *    first fetch; actors with mail or a due timer are awakened.
 */

import type { Address } from '../address.ts';
import { type Clock, wait, within } from '../clock.ts';
import type { Engine, Lease, StoreOperation } from '../engines/engine.ts';
import { TroupeError, textOf } from '../errors.ts';
import { defaults, limits } from '../limits.ts';
import type { Log } from '../log.ts';
import { ActorQueue } from './actor-queue.ts';
import { epochOfWriter } from './batch.ts';
import type { CommitUnit } from './committer.ts';
import {
  type DeadLetter,
  type DeadLetterReason,
  deadLetterOperations,
  discardOldestLetters,
  lostLetter,
} from './dead-letters.ts';
import type { Mail } from './mail.ts';
import type { Outbox } from './outbox.ts';
import { createTenure, type Tenure } from './tenure.ts';

export interface ShardOptions {
  readonly name: string;
  readonly engine: Engine;
  readonly clock: Clock;
  readonly log: Log;
  /** This process's node epoch, and the dead node whose leases it may take at once. */
  readonly node: () => number;
  readonly succeeds: number | undefined;
  /** Mail came, or a timer is due: see that the actor runs and takes it. */
  readonly onWork: (address: Address) => void;
  /** The shard is no longer ours: its activations end. */
  readonly onLost: (shard: string) => void;
  /** Something was written to a shard's queue. */
  readonly onWritten: (shard: string) => void;
  /** Durable mail came in. */
  readonly onArrived: (mail: Mail) => void;
  /** The fate of a durable message was committed. */
  readonly onTaken: (address: Address) => void;
  /** Counts what happened, for metrics. */
  readonly count: (name: string, by?: number) => void;
}

export class Shard {
  readonly name: string;
  readonly #options: ShardOptions;
  readonly #queues = new Map<Address, ActorQueue>();
  #tenure: Tenure | undefined;
  #engineOffsetMs = 0;
  #closing = false;
  #intakeStopped = false;
  /** Letters were written since their number was last looked at. */
  #lettered = true;
  #keeper: Promise<void> | undefined;
  #heldWaiters: { readonly resolve: () => void; readonly reject: (error: TroupeError) => void }[] = [];
  #wakeKeeper: () => void = () => undefined;

  constructor(options: ShardOptions) {
    this.name = options.name;
    this.#options = options;
  }

  get held(): boolean {
    return this.#tenure?.ready === true;
  }

  /** Whether a turn could be committed now, as far as is known here. */
  get commits(): boolean {
    return this.held && this.#tenure?.committer.stalled === false;
  }

  /** Engine time, milliseconds. */
  now(): number {
    return this.#options.clock.monotonic() + this.#engineOffsetMs;
  }

  view(): { epoch: number; seq: number; inHand: number; outbox: number } {
    const tenure = this.#tenure;
    return {
      epoch: tenure?.lease.epoch ?? 0,
      seq: tenure?.committer.seq ?? 0,
      inHand: tenure?.intake.inHandCount ?? 0,
      outbox: tenure?.outbox.waitingCount ?? 0,
    };
  }

  /** Begins to take and keep the lease. */
  open(): void {
    this.#keeper = this.#keep();
  }

  /** Resolves when the shard is ours. @throws TroupeError `DRAINING` when it is closed instead */
  whenHeld(): Promise<void> {
    if (this.held) return Promise.resolve();
    return new Promise((resolve, reject) => this.#heldWaiters.push({ resolve, reject }));
  }

  /** The queue of an address; made at the first use. */
  queueOf(address: Address): ActorQueue {
    let queue = this.#queues.get(address);
    if (queue === undefined) {
      queue = new ActorQueue(address);
      this.#queues.set(address, queue);
    }
    return queue;
  }

  hasMail(address: Address): boolean {
    return (this.#queues.get(address)?.length ?? 0) > 0;
  }

  /** Forgets an empty queue; only when no activation holds it. */
  releaseQueue(address: Address): void {
    if (this.#queues.get(address)?.length === 0) this.#queues.delete(address);
  }

  /** Numbers an outgoing envelope. The shard must be held. */
  enterOutbox(target: string, envelope: Mail['envelope']): ReturnType<Outbox['enter']> {
    if (this.#tenure === undefined) throw new Error(`shard ${this.name} is not held`);
    return this.#tenure.outbox.enter(target, envelope);
  }

  /** Commits a unit; `settled` mail counts as taken from then on. Nothing happens when the shard is not held. */
  submit(unit: { operations: readonly StoreOperation[]; mails: readonly Mail[]; onCommitted: () => void }): void {
    const tenure = this.#tenure;
    if (tenure === undefined) return;
    const durable = unit.mails.filter((mail) => mail.channel !== undefined);
    // Mail of an earlier epoch was adopted anew: this unit would be its second run.
    if (durable.some((mail) => mail.channel?.epoch !== tenure.lease.epoch)) return;
    const full: CommitUnit = {
      operations: unit.operations,
      takes: durable.map((mail) => mail.channel as NonNullable<Mail['channel']>),
      onCommitted: () => {
        // First the marks, so that nothing in the outputs can keep them from being right.
        tenure.intake.settled(durable);
        unit.onCommitted();
        for (const mail of durable) this.#options.onTaken(mail.envelope.to);
      },
    };
    tenure.committer.submit(full);
  }

  /** Takes mail without handling it: one letter each, committed. */
  letter(mails: readonly Mail[], reason: DeadLetterReason, onCommitted: () => void = () => undefined): void {
    const letters = mails
      .filter((mail) => mail.channel !== undefined)
      .map((mail): DeadLetter => ({ envelope: mail.envelope, reason, errors: mail.errors, atMs: this.now() }));
    this.#options.count('dead_letters_total', letters.length);
    this.submit({ operations: letters.flatMap(deadLetterOperations), mails, onCommitted });
    this.#lettered = true;
  }

  /** Something was written to this shard's queue. */
  wake(): void {
    this.#tenure?.intake.wake();
  }

  /** Resolves when what was submitted before is committed, or given up with the shard. */
  async settled(): Promise<void> {
    await this.#tenure?.committer.settled();
  }

  /** Stops taking mail in; what is in hand goes on. */
  stopIntake(): void {
    this.#intakeStopped = true;
    this.#tenure?.intake.close();
  }

  /** Envelopes that are committed and not yet flushed. */
  get outboxCount(): number {
    return this.#tenure?.outbox.waitingCount ?? 0;
  }

  /** Gives the lease back in order; commits that do not come through are given up after `withinMs`. */
  async close(withinMs: number): Promise<void> {
    this.#closing = true;
    this.#wakeKeeper();
    const closed = new TroupeError('DRAINING', 'this node is shutting down', { retryAfterMs: 1_000 });
    for (const waiter of this.#heldWaiters.splice(0)) waiter.reject(closed);
    await this.#keeper;
    const tenure = this.#tenure;
    if (tenure === undefined) return;
    tenure.intake.close();
    await within(this.#options.clock, withinMs, tenure.committer.settled());
    this.#endTenure();
    const { engine, clock } = this.#options;
    await within(
      clock,
      withinMs,
      engine.leases.release(this.name, tenure.lease.nonce).catch(() => undefined),
    );
  }

  async #keep(): Promise<void> {
    const { engine, clock, log, node, succeeds } = this.#options;
    for (let attempt = 1; !this.#closing; attempt++) {
      try {
        const askedAtMs = clock.monotonic();
        const answer = await engine.leases.acquire(this.name, {
          node: node(),
          ttlMs: defaults.leaseMs,
          // The lease may be our own: dropped, or given by an answer that was lost.
          succeeds: attempt % 2 === 1 && succeeds !== undefined ? succeeds : node(),
        });
        if ('nonce' in answer) {
          await this.#takeOver(answer, askedAtMs);
          await this.#renewUntilLost();
          continue;
        }
        await this.#pause(Math.min(1_000, Math.max(50, answer.heldUntilMs - answer.engineNowMs)));
      } catch (error) {
        log.warn({ shard: this.name, error: textOf(error) }, 'the shard could not be taken; trying again');
        this.#drop();
        await this.#pause(500);
      }
    }
  }

  async #takeOver(lease: Lease, askedAtMs: number): Promise<void> {
    const { engine, clock, log } = this.#options;
    this.#engineOffsetMs = lease.engineNowMs - clock.monotonic();
    const marks = await engine.store.all(this.name, 'in');
    const lastNumbers = await engine.store.all(this.name, 'out');
    const closedBelow = Number((await engine.store.get(this.name, 'meta', 'closedBelow')) ?? 0);
    const tenure = createTenure({
      shard: this.name,
      engine,
      clock,
      log,
      lease,
      untilMs: askedAtMs + defaults.leaseMs,
      marks,
      lastNumbers,
      closedBelow,
      count: this.#options.count,
      onWritten: this.#options.onWritten,
      onMail: (mail) => {
        this.#options.onArrived(mail);
        this.queueOf(mail.envelope.to).push(mail);
        this.#options.onWork(mail.envelope.to);
      },
      onLost: (writer, upTo) => this.#letterLost(writer, upTo),
      onStale: (mail) => this.letter([mail], 'STALE_WRITER'),
      onRefused: () => {
        log.warn({ shard: this.name }, 'a commit was refused: the shard has another owner or was rolled back');
        this.#drop();
        this.#wakeKeeper();
      },
    });
    this.#tenure = tenure;
    await tenure.outbox.load();
    if (this.#intakeStopped) tenure.intake.close();
    await tenure.intake.adoptActive();
    if (this.#tenure !== tenure) return;
    tenure.ready = true;
    tenure.intake.wake();
    for (const waiter of this.#heldWaiters.splice(0)) waiter.resolve();
    // Mail that was adopted before the shard could be used has awakened nobody yet.
    for (const address of [...this.#queues.keys()]) if (this.hasMail(address)) this.#options.onWork(address);
    await this.#awakenDue();
  }

  /** Renews the lease, compares the active jobs, and looks for due timers, until the lease is lost. */
  async #renewUntilLost(): Promise<void> {
    const { engine, clock, log } = this.#options;
    let sinceRenewalMs = 0;
    while (this.#tenure !== undefined && !this.#closing) {
      await this.#pause(defaults.fetchPollMs / 2);
      const tenure = this.#tenure;
      if (tenure === undefined || this.#closing) return;
      tenure.intake.wake();
      sinceRenewalMs += defaults.fetchPollMs / 2;
      if (sinceRenewalMs < defaults.leaseRenewMs) continue;
      sinceRenewalMs = 0;
      const askedAtMs = clock.monotonic();
      try {
        const renewed = await engine.leases.renew(this.name, tenure.lease.nonce, defaults.leaseMs);
        if (renewed === undefined) {
          log.warn({ shard: this.name }, 'the lease was lost');
          this.#drop();
          return;
        }
        this.#engineOffsetMs = renewed.engineNowMs - clock.monotonic();
        tenure.localUntil = askedAtMs + defaults.leaseMs;
        await tenure.intake.adoptActive();
        tenure.intake.wake();
        await this.#awakenDue();
        await this.#trimLetters();
        await this.#closeWriters(tenure);
      } catch (error) {
        log.debug({ shard: this.name, error: textOf(error) }, 'renewal failed');
        if (clock.monotonic() > tenure.localUntil) {
          log.warn({ shard: this.name }, 'the lease could not be renewed in time');
          this.#drop();
          return;
        }
      }
    }
  }

  async #awakenDue(): Promise<void> {
    const due = await this.#options.engine.store.ranked(this.name, 'due', this.now(), limits.batchEnvelopes);
    for (const { member } of due) this.#options.onWork(member as Address);
  }

  /** Keeps the newest dead letters, up to their bound. */
  async #trimLetters(): Promise<void> {
    if (!this.#lettered) return;
    this.#lettered = false;
    const { operations, more } = await discardOldestLetters(this.#options.engine.store, this.name);
    this.#lettered = more;
    if (operations.length === 0) return;
    this.#options.log.warn({ shard: this.name }, 'the oldest dead letters were discarded');
    this.submit({ operations, mails: [], onCommitted: () => undefined });
  }

  /** Closes the channels of dead nodes once the queue was seen empty: nothing of them can come in order any more. */
  async #closeWriters(tenure: Tenure): Promise<void> {
    const { nodes, transport } = this.#options.engine;
    if (tenure.deadWriters.length === 0) return;
    const lowestLive = await nodes.lowestLive();
    if (lowestLive === undefined) return;
    const isDead = (writer: string): boolean => (epochOfWriter(writer) ?? lowestLive) < lowestLive;
    const dead = tenure.deadWriters.filter(isDead);
    // Jobs move from waiting to active and then are gone: both empty, in this order, means that none is left.
    if (dead.length > 0 && ((await transport.depth(this.name)) > 0 || (await transport.active(this.name)).length > 0))
      return;
    tenure.deadWriters = [];
    if (dead.length === 0 || this.#tenure !== tenure) return;
    this.submit({
      operations: [
        ...dead.map((writer): StoreOperation => ({ op: 'delete', table: 'in', key: writer })),
        { op: 'put', table: 'meta', key: 'closedBelow', value: String(lowestLive) },
      ],
      mails: [],
      onCommitted: () => undefined,
    });
  }

  #letterLost(writer: string, upTo: number): void {
    this.#options.count('lost_gaps_total');
    this.#options.log.error({ shard: this.name, writer, upTo }, 'the storage engine lost messages');
    this.submit({
      operations: deadLetterOperations(lostLetter(writer, upTo, this.now())),
      mails: [],
      onCommitted: () => undefined,
    });
  }

  /** The shard is not ours any more: its memory is worthless. */
  #drop(): void {
    if (this.#tenure === undefined) return;
    this.#endTenure();
    // The ends of its lives put mail back, so the queues are emptied after them.
    this.#options.onLost(this.name);
    for (const queue of this.#queues.values()) queue.remove((mail) => mail.channel !== undefined);
  }

  #endTenure(): void {
    const tenure = this.#tenure;
    this.#tenure = undefined;
    tenure?.committer.abandon();
    tenure?.intake.close();
    tenure?.outbox.close();
  }

  /** Waits, but wakes when the shard closes or was dropped. */
  async #pause(delayMs: number): Promise<void> {
    const wake = new AbortController();
    this.#wakeKeeper = () => wake.abort();
    await wait(this.#options.clock, delayMs, wake.signal).catch(() => undefined);
  }
}
