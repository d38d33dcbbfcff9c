/**
 * The owner's half of one life of an actor: it decides what happens to each turn and is the only place that does.
 *
 *   mail waits → check (deadline) → feed the thread → step record → commit → release outputs → acknowledge
 *                                              ├→ failed → charge the message in hand → exit
 *                                              └→ idle → passivate → exit
 *
 * Invariants:
 * 1. Turns are fed in the order of the queue, and their records come back in that order.
 * 2. No output of a committed turn leaves before its commit (G5); what `persist: none` says in an ephemeral turn leaves
 *    at once.
 * 3. A failed turn is discarded whole. Only the message in hand is charged; what was fed after it goes back unstarted.
 * 4. After the end of this life nothing of it is committed or answered; its stale messages are dropped.
 */

import type { Address } from '../address.ts';
import type { ActorDefinition } from '../define-actor.ts';
import type { Effect } from '../effects.ts';
import { type ErrorData, shuttingDown } from '../errors.ts';
import { isSent } from '../host/causes.ts';
import type { OpenInvocation, SetTimer, Timer, TurnFailure, TurnInput } from '../host/messages.ts';
import { limits } from '../limits.ts';
import { errorOfLetter } from '../mailbox/dead-letters.ts';
import type { Mail } from '../mailbox/mail.ts';
import { strikeOut, type Trial } from '../mailbox/trial.ts';
import { Share } from '../tally.ts';
import { errorOfEnd } from './attempts.ts';
import { Charges } from './charges.ts';
import { DurableTimers } from './durable-timers.ts';
import { Hand } from './hand.ts';
import { InvocationRows } from './invocation-rows.ts';
import { Outputs } from './outputs.ts';
import { Seclusion } from './seclusion.ts';
import type { ActivationOptions, ReportedExit } from './surroundings.ts';
import { Tryout } from './tryout.ts';
import { begunIn, TurnRecorder, type Turns } from './turn-recorder.ts';

export class Activation {
  readonly number: number;
  readonly address: Address;
  readonly definition: ActorDefinition;
  readonly incarnation: number;
  readonly slot: number;
  status: 'starting' | 'running' | 'parked' | 'stopping' | 'ended' = 'starting';
  /** Why it is parked. */
  reason: string | undefined;
  readonly #options: ActivationOptions;
  readonly #hand = new Hand();
  readonly #timers: DurableTimers;
  readonly #invocations: InvocationRows;
  readonly #outputs: Outputs;
  readonly #recorder: TurnRecorder;
  readonly #charges: Charges;
  readonly #seclusion: Seclusion;
  /** Timers that came due while the actor was held. */
  #postponed: Timer[] = [];
  readonly #tryout = new Tryout();
  readonly #ephemeralInHand: Share;
  /** Turns whose records wait for their commit. */
  #uncommittedTurns = 0;
  #draining = false;
  hadMail = false;
  /** So much of what it invoked waits that it is fed no messages. */
  #isSaturated = false;
  /** The thread was asked to put it to sleep and has not answered. */
  #passivating = false;
  #lastWorkMs: number;

  constructor(options: ActivationOptions) {
    this.#options = options;
    this.number = options.number;
    this.address = options.address;
    this.definition = options.definition;
    this.incarnation = options.incarnation;
    this.slot = options.slot;
    this.#lastWorkMs = options.clock.monotonic();
    this.#ephemeralInHand = new Share(options.shard.mail.ephemeral);
    this.#outputs = new Outputs({ ...options, persistent: this.persistent });
    this.#timers = new DurableTimers(
      options.clock,
      () => options.shard.now(),
      (timer) => this.#fire(timer),
      options.stored?.timers ?? [],
    );
    this.#invocations = new InvocationRows(options.address, options.stored?.invocations ?? [], options.unbegun);
    const parts = { hand: this.#hand, timers: this.#timers, invocations: this.#invocations, outputs: this.#outputs };
    this.#seclusion = new Seclusion(options, parts, {
      isIdle: () => this.#isIdle,
      move: () => (this.status === 'running' ? this.end({ cause: 'moved', charged: false }) : undefined),
    });
    this.#recorder = new TurnRecorder({ ...options, ...parts, isRunning: () => this.status === 'running' });
    this.#charges = new Charges({ ...options, ...parts, recorder: this.#recorder });
  }

  get persistent(): boolean {
    return this.definition.persist === 'snapshot';
  }

  mailbox(): { inHand: number; waiting: number } {
    return { inHand: this.#inFlight + this.#ephemeralInHand.count, waiting: this.#options.queue.length };
  }

  /** Turns that were fed and are not committed. */
  get #inFlight(): number {
    return this.#hand.length + this.#uncommittedTurns;
  }

  /** What its thread is to know of its former life, beside the snapshot. */
  storedRows(): { timers: SetTimer[]; invocations: OpenInvocation[] } {
    return { timers: this.#timers.stored(), invocations: this.#invocations.open() };
  }

  /** Its logic has this shape; known before the first turn is recorded. */
  shaped(shape: string): void {
    this.#recorder.shaped(shape);
  }

  /** The thread has it: mail can flow. */
  started(): void {
    this.status = 'running';
    for (const timer of this.#timers.list()) this.#timers.arm(timer);
    // Of the life before: run again, or reported as interrupted.
    for (const src of this.#invocations.begunBefore()) {
      const isRerun = this.definition.invocations[src]?.onInterrupt !== 'fail';
      this.#options.count(isRerun ? 'invocation_reruns_total' : 'invocations_interrupted_total');
    }
    this.#outputs.resume();
    if (!this.#seclusion.started()) this.pump();
  }

  park(reason: string): void {
    this.status = 'parked';
    this.reason = reason;
  }

  /** Ephemeral messages that wait for it, and for all actors of its shard. */
  get ephemeral(): { readonly waiting: number; readonly ofShard: number } {
    const { queue, shard } = this.#options;
    const inHand = this.persistent ? this.#inFlight : this.#ephemeralInHand.count;
    return { waiting: queue.ephemeralLength + inHand, ofShard: shard.mail.ephemeral.count };
  }

  /** Hands ephemeral mail on; the caller has seen that it fits. */
  deliver(mail: Mail) {
    if (this.#draining && mail.envelope.from === undefined) return this.#outputs.refuse(mail.envelope.id, shuttingDown);
    this.#lastWorkMs = this.#options.clock.monotonic();
    if (this.persistent || this.#passivating) {
      this.#options.queue.push(mail, this.#lastWorkMs);
      this.pump();
      return;
    }
    this.#options.post({ to: 'deliver', activation: this.number, inputs: [this.#bypass(mail)] });
  }

  /** An ephemeral message to an ephemeral actor: it needs no record. */
  #bypass({ envelope }: Mail): TurnInput {
    if (envelope.replyTo !== undefined) this.#outputs.asked(envelope.id);
    this.#ephemeralInHand.add(1);
    this.hadMail = true;
    return { turn: 'message', envelope, commit: false };
  }

  /** Whether it has been idle for its time, as far as is known here. */
  hasRested(nowMs: number): boolean {
    const rests = this.#isIdle && nowMs - this.#lastWorkMs >= this.definition.passivateAfterMs;
    return rests && !this.#options.shard.mail.hasMail(this.address);
  }

  get #isIdle(): boolean {
    const isFree = this.status === 'running' && !this.#passivating && this.#outputs.openCount === 0;
    return isFree && this.#inFlight + this.#ephemeralInHand.count === 0;
  }

  /** Asks the thread to put the actor to sleep, if it is idle there too. Mail waits for the answer. */
  passivate(): void {
    this.#passivating = true;
    this.#options.post({ to: 'passivate', activation: this.number, idleMs: this.definition.passivateAfterMs });
  }

  /** What the thread answered. */
  passivated(asleep: boolean): void {
    this.#passivating = false;
    if (asleep) {
      const dueMs = this.#timers.firstDueMs();
      if (dueMs !== undefined) this.#options.shard.expectDue(dueMs);
      this.end({ cause: 'passivated', charged: false });
      return;
    }
    this.#lastWorkMs = this.#options.clock.monotonic();
    this.pump();
  }

  cancel(message: string): void {
    this.#outputs.forget(message);
    if (this.status === 'running') this.#options.post({ to: 'cancel', activation: this.number, message });
  }

  /** Feeds what waits, up to the window. */
  pump(): void {
    if (this.status !== 'running' || this.#draining || this.#passivating) return;
    const { queue, shard, post } = this.#options;
    const hold = shard.mail.holdOf(this.address);
    if (hold !== undefined && hold.why !== 'backoff') return;
    for (const timer of this.#postponed.splice(0)) if (this.#timers.has(timer)) this.#fire(timer);
    const trial = shard.mail.trial?.isOn === true ? shard.mail.trial : undefined;
    // What is being tried goes first, also when the trial has ended meanwhile.
    const isHeld = hold !== undefined || trial !== undefined || this.#tryout.isOn;
    const window = this.#isSaturated ? 0 : this.#seclusion.window;
    while (queue.length > 0 && this.#inFlight < window) {
      const inputs: TurnInput[] = [];
      const expired: Mail[] = [];
      while (inputs.length < limits.turnsPerPost && this.#inFlight < window) {
        const mail = queue.shift(isHeld);
        if (mail === undefined) break;
        if (this.#isExpired(mail)) expired.push(mail);
        else if (this.persistent || mail.place !== undefined) inputs.push(this.#feed(mail));
        else inputs.push(this.#bypass(mail));
      }
      if (expired.length > 0) this.#expire(expired);
      if (inputs.length === 0) break;
      post({ to: 'deliver', activation: this.number, inputs });
    }
    if (hold === undefined) shard.mail.refill(this.address);
    if (hold === undefined && trial !== undefined && queue.durableLength > 0) this.#try(trial);
    if (hold === undefined && this.#inFlight === 0 && !shard.mail.hasMail(this.address)) this.#seclusion.isEmpty();
  }

  /** Handles one durable message alone on its node, after its name is stored. */
  #try(trial: Trial): void {
    const { shard, post } = this.#options;
    const take = (): Mail | undefined => {
      // Its turn may come when another's ends with the lease: then nothing could be named.
      const isFree = this.status === 'running' && !this.#draining && shard.held;
      const mail = isFree && shard.mail.holdOf(this.address) === undefined ? this.#shiftUnexpired() : undefined;
      shard.mail.refill(this.address);
      return mail;
    };
    this.#tryout.begin(trial, take, (mail) => {
      const inputs = [this.#feed(mail)];
      return () => post({ to: 'deliver', activation: this.number, inputs });
    });
  }

  #shiftUnexpired(): Mail | undefined {
    const { queue } = this.#options;
    const expired: Mail[] = [];
    let mail = queue.shiftDurable();
    for (; mail !== undefined && this.#isExpired(mail); mail = queue.shiftDurable()) expired.push(mail);
    if (expired.length > 0) this.#expire(expired);
    return mail;
  }

  #feed(mail: Mail): TurnInput {
    const { envelope, place } = mail;
    this.hadMail = true;
    if (place === undefined && envelope.replyTo !== undefined) this.#outputs.asked(envelope.id);
    this.#hand.addMail(mail);
    return { turn: 'message', envelope, commit: true };
  }

  /** Feeds nothing from now on; asks that wait to be fed are refused, durable mail stays. */
  drain(): void {
    this.#draining = true;
    for (const mail of this.#options.queue.remove((waiting) => waiting.place === undefined))
      this.#outputs.refuse(mail.envelope.id, shuttingDown);
  }

  /** The durable mail of a shard is not ours any more; what it does on the thread is not recorded. */
  forgetDurable(): void {
    this.#hand.forgetDurable();
    this.#tryout.end();
  }

  /** Ephemeral messages of `persist: none` left the thread's mailbox. */
  handled(count: number): void {
    this.#ephemeralInHand.add(-count);
  }

  /** Outputs of turns that need no commit. */
  output(effects: readonly Effect[]): void {
    for (const effect of effects) this.#outputs.release(effect);
  }

  /** Turns to commit, as one unit. */
  steps(turns: Turns): void {
    if (this.status === 'ended') return;
    const { shard, clock, post, onUnbegun } = this.#options;
    const { operations, mails, stashed, after } = this.#recorder.record(turns);
    const tried = [...mails, ...stashed].find((mail) => mail === this.#tryout.mail);
    // It was handled and did no harm.
    if (stashed.length > 0) shard.mail.trial?.taken(stashed);
    if (tried !== undefined) operations.push(strikeOut);
    const { length } = turns.steps;
    this.#isSaturated = turns.saturated === true;
    this.#lastWorkMs = clock.monotonic();
    this.#uncommittedTurns += length;
    // A turn that changed nothing writes nothing, yet its answer waits for the commits before it.
    const onCommitted = () => {
      this.#uncommittedTurns -= length;
      // What is committed is true, also when this life has ended meanwhile.
      for (const follow of after) follow();
      if (tried !== undefined) this.#tryout.end(tried);
      // What such a turn invoked begins where it can stay.
      if (this.status !== 'ended' && !turns.done) this.#seclusion.committed(mails);
      if ((this.status as string) === 'ended') return onUnbegun(begunIn(turns));
      const last = turns.steps.at(-1);
      if (last !== undefined) post({ to: 'committed', activation: this.number, number: last.number });
      if (turns.done) this.end({ cause: 'done', charged: true });
      else this.pump();
    };
    const onAbandoned = (): void => {
      this.#uncommittedTurns -= length;
      // With them the end in the last of them did not happen either, of which the thread does not know.
      if (turns.done) post({ to: 'stop', activation: this.number });
      if (turns.done) this.end({ cause: 'lease-lost', charged: false });
    };
    shard.submit({ operations, mails, onCommitted, onAbandoned });
  }

  /** A child that it had spawned has ended for good by itself: it is wanted no longer. */
  childEnded(name: string, gen: number): void {
    const operations = this.status === 'ended' ? [] : this.#recorder.childEnded(name, gen);
    if (operations.length > 0) this.#options.shard.submit({ operations, mails: [] });
  }

  /** A turn threw, and this life is over. */
  async failed({ cause, error }: TurnFailure): Promise<void> {
    if (this.status === 'ended') return;
    this.status = 'stopping';
    // Turns before the failed one may still be on their way to the store.
    if (this.#uncommittedTurns > 0) await this.#options.shard.settled();
    // The thread or the lease may be gone by now; that end has put the message back with the others.
    if ((this.status as string) === 'ended') return;
    const inHand = cause.by === 'message' ? this.#hand.takeMail(cause.message) : undefined;
    this.#charges.message(inHand, error);
    // A durable ask waits for its next attempt until its own deadline.
    if (cause.by === 'message') this.#outputs.refuseOpen(cause.message, error);
    if (cause.by === 'timer') this.#charges.timer(cause.timer, cause.gen, error);
    if (cause.by === 'invocation' && cause.invocation !== undefined) this.#charges.invocation(cause.invocation, error);
    this.end({ cause: 'failed', charged: !isSent(cause), error });
  }

  /** The thread died; `suspect`: the fed turn, counted from the oldest, that was being stepped at that moment. */
  threadLost(exit: ReportedExit & { readonly error: ErrorData }, suspect: number | undefined): void {
    if (this.status === 'ended') return;
    if (suspect !== undefined) this.#charges.threadEnd(this.#hand.takeAt(suspect), exit.error);
    this.end(exit);
  }

  /** Its thread ended in what a sender's message had it begin. */
  threadEndedIn(invocation: string, error: ErrorData): void {
    if (this.status !== 'ended') this.#charges.threadEnd({ invocation }, error);
  }

  /**
   * Ends this life: what was fed goes back to the queue, unanswered ephemeral asks end. With an exit the supervisor
   * hears of it; an ordered stop passes none.
   */
  end(exit: ReportedExit | undefined): void {
    if (this.status === 'ended') return;
    this.status = 'ended';
    this.#ephemeralInHand.end();
    this.#timers.disarm();
    if (this.#tryout.mail !== undefined) this.#options.shard.submit({ operations: [strikeOut], mails: [] });
    this.#tryout.end();
    const fed = this.#hand.empty();
    const answered = (mail: Mail): boolean => mail.place === undefined && mail.envelope.replyTo !== undefined;
    this.#options.queue.putBack(fed.filter((mail) => !answered(mail)));
    // Where it did not fail, what waits is for its next life.
    const goesOn = exit?.cause === 'passivated' || exit?.cause === 'moved';
    const unanswered = goesOn ? [] : this.#options.queue.remove(answered);
    const { retryAt } = this.#charges;
    if (retryAt !== undefined) this.#options.shard.mail.hold(this.address, { why: 'backoff', ...retryAt });
    const error = errorOfEnd(this.address, exit);
    for (const mail of unanswered) this.#outputs.refuse(mail.envelope.id, error);
    this.#outputs.refuseAll(error);
    if (exit !== undefined) this.#options.onExit(exit);
  }

  #isExpired({ envelope: { deadlineMs } }: Mail): boolean {
    return deadlineMs !== undefined && deadlineMs < this.#options.shard.now();
  }

  #expire(mails: readonly Mail[]): void {
    this.#options.shard.letter(mails, 'EXPIRED');
    for (const { envelope, place } of mails)
      if (place === undefined) this.#outputs.refuse(envelope.id, errorOfLetter({ reason: 'EXPIRED', errors: [] }));
  }

  #fire(timer: Timer): void {
    if (this.status !== 'running') return;
    const hold = this.#options.shard.mail.holdOf(this.address);
    if (hold !== undefined && hold.why !== 'backoff') {
      this.#postponed.push(timer);
      return;
    }
    this.#hand.addTimer(timer);
    this.#options.post({ to: 'deliver', activation: this.number, inputs: [{ turn: 'timer', timer }] });
  }
}
