/**
 * The durable mail of one shard, by address: what waits in memory, what is parked in the store, what is held back. The
 * shard commits what it changes.
 *
 * Invariants:
 * 1. Mail comes in channel order and is handed on in that order, lane by lane.
 * 2. What waits in memory is bounded for each address; beyond that, or after some seconds, it is parked. While any of it
 *    is not in memory, new mail joins it there.
 * 3. Before mail is appended to rows, what stands in jobs is moved there: at a take-over the rows come first.
 */

import type { Address } from '../address.ts';
import type { Clock } from '../clock.ts';
import type { ShardStore, StoreOperation } from '../engines/engine.ts';
import type { Envelope } from '../envelope.ts';
import { type ErrorData, toErrorData } from '../errors.ts';
import { defaults, limits } from '../limits.ts';
import type { Log } from '../log.ts';
import type { ParkedView } from '../messaging.ts';
import type { Random } from '../random.ts';
import { Tally } from '../tally.ts';
import { ActorQueue } from './actor-queue.ts';
import { chargeAttempt } from './attempts.ts';
import type { DeadLetterReason } from './dead-letters.ts';
import { type Delayed, isEarly } from './delayed.ts';
import { KeyGate } from './key-gate.ts';
import type { Mail } from './mail.ts';
import type { Hold } from './parked-row.ts';
import type { Parked, Parking } from './parking.ts';
import { awaitedOperations, type ResultOutcome, type Results, sameOperations, shardOfResult } from './results.ts';
import { strikeOut, type Trial } from './trial.ts';

export interface MailroomOptions {
  readonly shard: string;
  readonly store: ShardStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Engine time, milliseconds. */
  readonly now: () => number;
  /** How many durable messages may wait for an address. */
  readonly capacityOf: (address: Address) => number;
  /** Mail can be handled: see that the actor runs and takes it. */
  readonly onWork: (address: Address) => void;
  readonly commit: (change: Parked, onCommitted?: () => void) => void;
  /** Resolves when what was committed before is stored, or given up with the shard. */
  readonly settled: () => Promise<void>;
  readonly letter: (mail: Mail, reason: DeadLetterReason, error?: string) => void;
  readonly results: Results;
  /** What came of a message is known: its asker, if it has one here, may know. */
  readonly onResult: (id: string, outcome: ResultOutcome) => void;
  readonly count: (name: string, by?: number) => void;
}

/** What belongs to one lease. */
interface Store {
  readonly parking: Parking;
  readonly delayed: Delayed;
  readonly keys: KeyGate;
  readonly trial: Trial;
}

export class Mailroom {
  readonly #options: MailroomOptions;
  readonly #queues = new Map<Address, ActorQueue>();
  #store: Store | undefined;
  /** What was taken in before the shard could be used: somebody else may have had it in hand. */
  #adopted: Mail[] = [];
  #isResumed = false;
  /** Ephemeral mail of the shard in this process: in its queues, or with ephemeral actors. */
  readonly ephemeral = new Tally();
  /** Idempotency keys and results that began to be kept here, so far. */
  keptSoFar = 0;

  constructor(options: MailroomOptions) {
    this.#options = options;
  }

  /** Begins anew with what is stored under a lease. */
  attach({ parking, delayed, trial }: Omit<Store, 'keys'>): void {
    const { shard, store, clock, now, commit, letter } = this.#options;
    const keys = new KeyGate({
      shard,
      store,
      clock,
      now,
      commit: (operations) => {
        this.keptSoFar += 1;
        commit({ operations, takes: [] });
      },
      onPass: (mail) => this.#passed(mail),
      onRepeat: (mail, first) => this.#repeated(mail, first),
      onMisuse: (mail) => letter(mail, 'INVALID_MESSAGE', 'this idempotency key stands for another message'),
    });
    this.#store = { parking, delayed, keys, trial };
    this.#adopted = [];
    this.#isResumed = false;
  }

  /** The lease is gone: durable mail in memory is worthless. */
  detach(): void {
    this.#store?.keys.close();
    this.#store = undefined;
    for (const queue of this.#queues.values()) queue.forgetDurable();
  }

  /** Takes up what a former owner left, and what came while this one was getting ready. */
  resume(): void {
    if (this.#store === undefined) return;
    const { parking, trial } = this.#store;
    // What waits for its next attempt comes within this lease; what an operator holds may not.
    const comes = (address: Address): boolean => (parking.holdOf(address)?.why ?? 'backoff') === 'backoff';
    const parked = [...parking.addresses()].filter((address) => comes(address) && parking.unloaded(address) > 0);
    this.#isResumed = true;
    trial.begin(this.#adopted.splice(0), parked);
    for (const address of [...this.#queues.keys()]) if (this.hasMail(address)) this.#options.onWork(address);
    for (const address of [...parking.addresses()]) {
      const hold = parking.holdOf(address);
      if (hold !== undefined) this.#limit(parking, address, hold);
      else if (parking.unloaded(address) > 0) this.#options.onWork(address);
      else this.#options.commit({ operations: parking.leave(address), takes: [] });
    }
  }

  /** The queue of an address; made at the first use. */
  queueOf(address: Address): ActorQueue {
    let queue = this.#queues.get(address);
    if (queue === undefined) {
      queue = new ActorQueue(address, this.ephemeral);
      this.#queues.set(address, queue);
    }
    return queue;
  }

  /** Forgets an empty queue; only when no activation holds it. */
  releaseQueue(address: Address): void {
    const queue = this.#queues.get(address);
    if (queue?.length === 0 && queue.inMemory === 0) this.#queues.delete(address);
  }

  /** Whether mail waits for an address that may be handled now. */
  hasMail(address: Address): boolean {
    const queue = this.#queues.get(address);
    if (this.holdOf(address) !== undefined) return (queue?.ephemeralLength ?? 0) > 0;
    return (queue?.length ?? 0) > 0 || this.#unloaded(address) > 0;
  }

  /** Durable messages that wait for an address, those with its thread included; an estimate after a take-over. */
  waiting(address: Address): number {
    return (this.#queues.get(address)?.inMemory ?? 0) + this.#unloaded(address);
  }

  /** Durable messages of all addresses that wait in rows; an estimate after a take-over. */
  get parkedRows(): number {
    return this.#store?.parking.rows ?? 0;
  }

  /** Whether the idempotency key of a message is known to be claimed already. */
  knowsKey({ to, key }: Envelope): boolean {
    return key !== undefined && this.#store?.keys.knows(to, key) === true;
  }

  /** The fate of mail is decided: what a commit must hold for it. */
  taken(mails: readonly Mail[]): Parked {
    const taken: Parked = { operations: [], takes: [] };
    this.#leaveTrial(mails);
    for (const mail of mails) {
      const { place, envelope } = mail;
      this.#queues.get(envelope.to)?.settled(mail);
      if (place?.at === 'channel') taken.takes.push(place);
      else if (place?.at === 'row') taken.operations.push(...(this.#store?.parking.take(envelope.to, place) ?? []));
    }
    return taken;
  }

  /** Durable mail came in order. */
  arrived(mail: Mail): void {
    if (!this.#isResumed) this.#adopted.push(mail);
    this.#store?.keys.arrived(mail);
  }

  /** Delayed mail has come due; `operations` remove it from where it was. */
  due(mails: readonly Mail[], operations: readonly StoreOperation[]): void {
    const parking = this.#store?.parking;
    if (parking === undefined) return;
    const all: Parked = { operations: [...operations], takes: [] };
    for (const mail of mails) {
      const { operations: appended, takes } = this.#append(parking, mail);
      all.operations.push(...appended);
      all.takes.push(...takes);
    }
    this.#options.commit(all);
    for (const { envelope } of mails) this.#options.onWork(envelope.to);
  }

  /** The trials under this lease. */
  get trial(): Trial | undefined {
    return this.#store?.trial;
  }

  /** Parks what has waited for long; when the hands of the shard are full, whatever is long. */
  relieve(full: boolean): void {
    const parking = this.#store?.parking;
    if (parking === undefined) return;
    const beforeMs = this.#options.clock.monotonic() - defaults.parkAfterMs;
    for (const [address, queue] of this.#queues)
      if (queue.hasInJobsSince(beforeMs) || (full && queue.inMemory > limits.turnsPerPost))
        this.#options.commit(this.#move(parking, address));
  }

  /** Why durable mail of an address is not handed on now. */
  holdOf(address: Address): Hold | undefined {
    return this.#store?.parking.holdOf(address);
  }

  /** Holds an address; its durable mail is parked. */
  hold(address: Address, hold: Hold): void {
    const parking = this.#store?.parking;
    if (parking === undefined) return;
    const { operations, takes } = this.#move(parking, address);
    this.#options.commit({ operations: [...operations, ...parking.hold(address, hold)], takes });
    this.#limit(parking, address, hold);
  }

  /** Lets a held address go on. */
  release(address: Address): void {
    const parking = this.#store?.parking;
    if (parking?.holdOf(address) === undefined) return;
    this.#options.commit({ operations: parking.hold(address, undefined), takes: [] });
    this.#options.onWork(address);
  }

  /** Writes what is known of parked mail after an attempt at it failed. */
  attempted(mail: Mail): void {
    this.#options.commit({ operations: this.#store?.parking.update(mail) ?? [], takes: [] });
  }

  /** Reads parked mail of an address when little of it is left in memory; `onWork` tells when it is there. */
  refill(address: Address): void {
    const parking = this.#store?.parking;
    if (parking === undefined || parking.unloaded(address) === 0) return;
    if (this.queueOf(address).durableLength < limits.parkedPageEnvelopes / 4) void this.#load(parking, address);
  }

  /** Every address that has parked mail or is held. */
  parked(): ParkedView[] {
    return [...(this.#store?.parking.addresses() ?? [])].map((address) => {
      const hold = this.holdOf(address);
      return { address, waiting: this.waiting(address), ...(hold === undefined ? {} : { hold }) };
    });
  }

  /** It is to be handled: to its queue, to the rows before it, or away until its time. */
  #passed(mail: Mail) {
    const { clock, letter, commit, onWork, now, results } = this.#options;
    if (this.#store === undefined) return;
    const { parking, delayed, trial } = this.#store;
    const { envelope } = mail;
    if (!this.#fits(mail)) return letter(mail, 'MAILBOX_FULL');
    if (shardOfResult(envelope.id) !== undefined) {
      const onCommitted = (): void => results.isAwaited(envelope);
      this.keptSoFar += 1;
      commit({ operations: awaitedOperations(envelope.id, now()), takes: [] }, onCommitted);
    }
    if (isEarly(envelope, now())) {
      if (!delayed.hasRoom()) return letter(mail, 'MAILBOX_FULL');
      return commit({ operations: delayed.enter(mail), takes: this.taken([mail]).takes });
    }
    const queue = this.queueOf(envelope.to);
    if (
      parking.holdOf(envelope.to) !== undefined ||
      parking.unloaded(envelope.to) > 0 ||
      queue.durableLength >= limits.actorWaitingEnvelopes
    )
      commit(this.#appended(parking, mail));
    else {
      queue.push(mail, clock.monotonic());
      // What went to the rows is asked about when it is read.
      if (trial.takeSuspect(mail)) this.#blame(parking, mail);
    }
    onWork(envelope.to);
  }

  /** The whole process died with this message in hand: that is an attempt. It waits in its queue. */
  #blame(parking: Parking, mail: Mail): void {
    const { now, random, commit, letter } = this.#options;
    const { to } = mail.envelope;
    const text = 'the process ended while this message was in hand';
    const error: ErrorData = { reason: 'ACTOR_FAILED', message: text, outcome: 'unknown' };
    const charged = chargeAttempt(mail, error, now(), random);
    if (charged.spent) {
      this.queueOf(to).remove((other) => other === mail);
      letter(mail, 'ATTEMPTS_SPENT');
      commit({ operations: [strikeOut], takes: [] });
      return;
    }
    const hold: Hold = { why: 'backoff', text, untilMs: now() + Math.max(charged.delayMs, defaults.retryFirstMs) };
    const { operations, takes } = this.#move(parking, to);
    const rows = [...parking.update(mail), ...operations, ...parking.hold(to, hold), strikeOut];
    commit({ operations: rows, takes });
    this.#limit(parking, to, hold);
  }

  /** It repeats a message under one idempotency key: it is not handled, and has the result of that one. */
  #repeated(mail: Mail, first: string): void {
    const { commit, count, now, results, onResult } = this.#options;
    const { id, replyTo } = mail.envelope;
    count('idempotent_repeats_total');
    const kept = shardOfResult(id) !== undefined && shardOfResult(first) !== undefined;
    const operations = kept ? sameOperations(id, first, now()) : [];
    if (kept) this.keptSoFar += 1;
    commit({ operations, takes: this.taken([mail]).takes }, () => {
      results.isAwaited(mail.envelope);
      if (replyTo === undefined) return;
      const failed = (error: unknown): void => onResult(id, { error: toErrorData(error, 'UNAVAILABLE', 'unknown') });
      results.whenDone(first, (outcome) => onResult(id, outcome)).catch(failed);
    });
  }

  /** Senders outside were refused before their mail had a number; what actors send has a reserve. */
  #fits({ envelope }: Mail): boolean {
    if (envelope.from === undefined) return true;
    const capacity = this.#options.capacityOf(envelope.to);
    const { actorSentReserve, shardParkedEnvelopes } = limits;
    const isFull = this.waiting(envelope.to) >= actorSentReserve * capacity;
    if (!isFull && this.parkedRows < actorSentReserve * shardParkedEnvelopes) return true;
    this.#options.count('delivery_failed_total');
    this.#options.log.warn(
      { from: envelope.from, to: envelope.to },
      'a mailbox, or its shard, is full beyond its reserve',
    );
    return false;
  }

  /** Appends mail that came in: it is read again with the rows before it. */
  #appended(parking: Parking, mail: Mail): Parked {
    this.#leaveTrial([mail]);
    return this.#append(parking, mail);
  }

  /** This mail will not be handled from memory, or not at all. */
  #leaveTrial(mails: readonly Mail[]): void {
    if (!this.#isResumed) this.#adopted = this.#adopted.filter((mail) => !mails.includes(mail));
    this.#store?.trial.taken(mails);
  }

  #append(parking: Parking, mail: Mail): Parked {
    const moved = this.#move(parking, mail.envelope.to);
    const { operations, takes } = parking.append(mail);
    return { operations: [...moved.operations, ...operations], takes: [...moved.takes, ...takes] };
  }

  /** Moves the durable mail of an address, in memory until now, to rows: answers with what is left to be committed. */
  #move(parking: Parking, address: Address): Parked {
    const queue = this.queueOf(address);
    const { steps, rest } = parking.move(address, queue.durable());
    this.#store?.trial.forgotten(address, parking.trim(address, queue));
    const moved = [...steps, rest].reduce((sum, { takes }) => sum + takes.length, 0);
    if (moved > 0) this.#options.count('parked_total', moved);
    for (const step of steps) this.#options.commit(step);
    return rest;
  }

  async #load(parking: Parking, address: Address): Promise<void> {
    const { store, shard, settled, clock, log } = this.#options;
    try {
      await parking.load(address, { store, shard, settled }, (mails) => this.#read(parking, address, mails));
    } catch (error) {
      log.debug({ shard, address, error }, 'parked mail could not be read; trying again');
      clock.after(defaults.retryFirstMs, () => this.refill(address));
    }
  }

  /** Rows of an address were read: they go behind what waits in memory. */
  #read(parking: Parking, address: Address, mails: readonly Mail[]): void {
    const { clock, commit, onWork } = this.#options;
    if (this.#store?.parking !== parking) return;
    const { trial } = this.#store;
    trial.read(address, mails);
    const suspect = mails.find((mail) => trial.takeSuspect(mail));
    const queue = this.queueOf(address);
    for (const mail of mails) queue.push(mail, clock.monotonic());
    if (suspect !== undefined) this.#blame(parking, suspect);
    commit({ operations: parking.leave(address), takes: [] });
    if (mails.length > 0) onWork(address);
  }

  /** Lets an address go when its hold is over. */
  #limit(parking: Parking, address: Address, hold: Hold): void {
    if (hold.untilMs === undefined) return;
    const { clock, now } = this.#options;
    clock.after(Math.max(0, hold.untilMs - now()), () => {
      if (this.#store?.parking === parking && parking.holdOf(address) === hold) this.release(address);
    });
  }

  #unloaded(address: Address): number {
    return this.#store?.parking.unloaded(address) ?? 0;
  }
}
