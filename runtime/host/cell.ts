/**
 * The thread's side of one activation: takes its inputs one after another through the logic and says what came of
 * each. It decides nothing about retries, commits or restarts; the owner on the main thread does.
 *
 * 1. One turn at a time, in the order of the queue. After a failed turn, or the final state, none is stepped.
 * 2. All turns of a persistent actor, and durable messages of an ephemeral one, become step records; what they want
 *    done on the thread waits until they are committed.
 * 3. The effects of other turns leave at once.
 * 4. A payload is checked once, here, and the logic sees what the schema returned.
 */

import type { Child, LogicEvent, Program, Stepper, Turn } from '../activation/stepper.ts';
import type { Address } from '../address.ts';
import type { ActorDefinition } from '../define-actor.ts';
import type { Effect } from '../effects.ts';
import { type Envelope, messageInfo } from '../envelope.ts';
import { textOf, toErrorData } from '../errors.ts';
import { redact } from '../redact.ts';
import { Share } from '../tally.ts';
import { type Cause, causeBeside, isSent, type Origin, originOf } from './causes.ts';
import { hooksOf } from './cell-hooks.ts';
import type { CellHost } from './cell-host.ts';
import { CellTimers } from './cell-timers.ts';
import { FedTurns } from './in-hand.ts';
import { InputQueue } from './input-queue.ts';
import type { FromHost, InspectedActivation, StepRecord, ToHost, TurnInput } from './messages.ts';
import { release } from './release.ts';
import { causeOfSaid, StepRecords, type UnsentSteps } from './step-records.ts';
import { type Checked, checkMessage, expiredFault } from './validate.ts';

/** What waits for a turn. */
type Input =
  | TurnInput
  /** From a neighbour on the same thread. */
  | { readonly turn: 'local'; readonly envelope: Envelope }
  /** Set aside by an earlier turn. */
  | { readonly turn: 'again'; readonly envelope: Envelope; readonly commit: boolean }
  | { readonly turn: 'event'; readonly event: LogicEvent; readonly source: Child | undefined; readonly cause: Cause }
  | { readonly turn: 'effect'; readonly effect: Effect; readonly cause: Cause }
  | { readonly turn: 'signal'; readonly event: LogicEvent; readonly cause: Cause };

type StartOrder = Extract<ToHost, { readonly to: 'start' }>;

const startCause: Cause = { by: 'start' };
const sentOrigin: Origin = { sent: true };
/** A round ends after so much time, so that slow turns share the thread too. */
const roundMs = 8;

export class Cell {
  readonly activation: number;
  readonly address: Address;
  readonly definition: ActorDefinition;
  readonly #host: CellHost<Cell>;
  readonly #program: Program;
  readonly #stepper: Stepper;
  readonly #persistent: boolean;
  readonly #timers: CellTimers;
  readonly #queue = new InputQueue<Input>();
  /** Those of the host's that wait here. */
  readonly #fromNeighbours: Share;
  #stash: Input[] = [];
  /** The message of the turn. */
  #envelope: Envelope | undefined;
  readonly #records: StepRecords;
  /** Events of children that wait for their turns. */
  #eventsWaiting = 0;
  #lastTurnMs = 0;
  /** Committed turns whose work on the thread waits, by number. */
  #unfinished: { readonly number: number; readonly turn: Turn; readonly cause: Cause }[] = [];
  readonly #fed = new FedTurns();
  #status: 'running' | 'done' | 'over' = 'running';
  /** Whether the host has this cell in its list of ready ones. */
  listed = false;

  constructor(host: CellHost<Cell>, definition: ActorDefinition, program: Program, order: StartOrder) {
    this.activation = order.activation;
    this.address = order.address as Address;
    this.definition = definition;
    this.#host = host;
    this.#program = program;
    this.#fromNeighbours = new Share(host.fromNeighbours);
    this.#persistent = definition.persist === 'snapshot';
    this.#records = new StepRecords(this.#persistent);
    this.#timers = new CellTimers(host.clock, (timer) => this.#enqueue({ turn: 'timer', timer }));
    const hooks = hooksOf(host, this, {
      onEvent: (event, source, cause) => {
        this.#eventsWaiting += 1;
        this.#enqueue({ turn: 'event', event, source, cause });
      },
      onEffect: (effect, cause) => this.#enqueue({ turn: 'effect', effect, cause }),
    });
    this.#stepper = program.stepper(hooks, host.clock, `${order.address}#${order.incarnation}`);
  }

  /** Waiting inputs. */
  get waiting(): number {
    return this.#queue.length;
  }

  /** Whether `run` has something to do. */
  get hasTurns(): boolean {
    return this.#queue.ready > 0;
  }

  get running(): boolean {
    return this.#status === 'running';
  }

  /** Starts or restores the logic; answers with `started` or `startFailed`. */
  start(order: StartOrder) {
    if (order.snapshot !== undefined) {
      try {
        this.#stepper.restore(order.snapshot, order.version, order.timers, order.invocations);
      } catch (thrown) {
        return this.#refuseStart(thrown, true);
      }
      this.#started();
      this.#stepper.resume();
      return;
    }
    const turn = this.#stepper.start(order.input, this.#persistent);
    if (turn.failure !== undefined) return this.#refuseStart(turn.failure.thrown, false);
    this.#started();
    this.#settle(turn, startCause, this.#persistent);
    this.#flush();
  }

  deliver(inputs: readonly TurnInput[]): void {
    if (this.#status !== 'running') return;
    for (const { turn } of inputs) if (turn === 'timer') this.#records.fired();
    this.#queue.pushAll(inputs);
    this.#host.ready(this);
  }

  /** Takes a message of a neighbour on the same thread. */
  deliverLocally(envelope: Envelope): void {
    if (this.#status !== 'running') return;
    this.#fromNeighbours.add(1);
    this.#enqueue({ turn: 'local', envelope });
  }

  /** One round: at most `most` turns. The host calls it as long as there are inputs. */
  run(most: number): number {
    const { clock } = this.#host;
    let startedMs = 0;
    let turns = 0;
    let handled = 0;
    while (turns < most && this.#status === 'running' && this.#queue.ready > 0) {
      const input = this.#queue.shift();
      if (this.#mustWait(input)) {
        this.#queue.setAside(input);
        continue;
      }
      turns += 1;
      if (input.turn === 'local') this.#fromNeighbours.add(-1);
      if (input.turn === 'message' && !input.commit) handled += 1;
      this.#host.inHand.note(this.activation, this.#fedIndex(input));
      this.#take(input);
      if (this.#records.isFull) this.#flush();
      if (turns === 1) startedMs = clock.monotonic();
      else if ((turns & 3) === 0 && clock.monotonic() - startedMs > roundMs) break;
    }
    if (this.#status === 'running') this.#queue.tidy();
    else this.#queue.clear();
    if (!this.#stepper.isSaturated) this.#queue.bringBack();
    if (turns > 0) this.#lastTurnMs = clock.monotonic();
    this.#flush();
    this.#host.inHand.clear();
    if (handled > 0) this.#host.post({ from: 'handled', activation: this.activation, count: handled });
    return turns;
  }

  /** Turns up to `number` are committed: does what they want done on the thread. */
  committed(number: number) {
    this.#records.committed(number);
    let next = this.#unfinished[0];
    while (next !== undefined && next.number <= number && this.#status !== 'over') {
      this.#unfinished.shift();
      try {
        this.#stepper.finish(next.turn);
      } catch (thrown) {
        return this.#fail(next.cause, thrown);
      }
      next = this.#unfinished[0];
    }
    if (this.#status === 'done' && number >= this.#records.number) this.#end();
  }

  /** The caller of a message cancelled. */
  cancel(message: string): void {
    const event = { type: 'troupe.cancelled', message: { id: message } };
    if (this.#program.handlesCancelled) this.signal(event, { by: 'cancelled', message });
  }

  /** An event from outside that is no message. */
  signal(event: LogicEvent, cause: Cause): void {
    this.#enqueue({ turn: 'signal', event, cause });
  }

  /** Ends the activation if it has been idle for so long and nothing of it lives but its state. */
  passivate(idleMs: number): void {
    const isIdle = this.#status === 'running' && this.waiting === 0 && this.#unfinished.length === 0;
    const rests = isIdle && this.#host.clock.monotonic() - this.#lastTurnMs >= idleMs;
    const asleep = rests && this.#stash.length === 0 && !this.#stepper.hasChildren() && !this.#timers.some();
    if (asleep) this.#end();
    this.#host.post({ from: 'passivated', activation: this.activation, asleep });
  }

  /** Ends the activation. */
  stop(): void {
    this.#end();
    this.#host.post({ from: 'stopped', activation: this.activation });
  }

  /** Fails as if the logic had thrown outside a message. */
  crash(thrown: unknown = new Error('the actor was told to crash'), cause: Cause = { by: 'fault' }): void {
    this.#fail(cause, thrown);
  }

  /** Whether too much is invoked already. The owner of a persistent actor feeds it no more messages then. */
  #mustWait({ turn }: Input): boolean {
    return this.#stepper.isSaturated && !this.#persistent && (turn === 'message' || turn === 'local');
  }

  /** Which of the fed turns that no post has reported this one is; -1 for others. */
  #fedIndex(input: Input): number {
    if (input.turn === 'message' ? !input.commit : input.turn !== 'timer' || !this.#persistent) return -1;
    return this.#fed.next(this.#host.posts);
  }

  /** What a turn said cannot leave the thread: it holds a cycle or another value that is no JSON. */
  unsendable(message: FromHost, thrown: unknown): void {
    const cause = causeOfSaid(message) ?? causeBeside({ activation: this.activation, sent: true });
    this.#fail(cause, new Error(`an effect holds a value that is no JSON: ${textOf(thrown)}`));
  }

  inspect(withContext: boolean): InspectedActivation {
    return {
      activation: this.activation,
      state: this.#stepper.state(),
      ...(withContext ? { context: redact(this.#stepper.context()) } : {}),
      waiting: this.waiting,
    };
  }

  #enqueue(input: Input): void {
    if (this.#status !== 'running') return;
    this.#queue.push(input);
    this.#host.ready(this);
  }

  #take(input: Input) {
    switch (input.turn) {
      case 'message':
        return this.#takeMessage(input.envelope, input.commit || this.#persistent);
      case 'again':
        return this.#takeMessage(input.envelope, input.commit, expiredFault(input.envelope, this.#host.clock.now()));
      case 'local':
        return this.#takeMessage(input.envelope, false);
      case 'timer': {
        const { timer } = input;
        // What is stored is charged to the timer itself.
        const taken = this.#persistent ? sentOrigin : this.#timers.take(timer);
        if (taken === undefined) return;
        const cause: Cause = { by: 'timer', timer: timer.id, gen: timer.gen, sent: taken.sent };
        if (this.#persistent && !this.#records.takeFired(timer)) return this.#record({}, cause);
        return this.#stepWithin(cause, (origin) => this.#stepper.fire(timer, this.#persistent, origin));
      }
      case 'event':
        this.#eventsWaiting -= 1;
        if (this.#stepper.current(input.event, input.source)) this.#stepEvent(input);
        return;
      case 'effect':
        return this.#stepWithin(input.cause, (origin) => this.#stepper.perform(input.effect, origin));
      case 'signal':
        this.#stepEvent(input);
    }
  }

  #takeMessage(envelope: Envelope, commit: boolean, fault?: Checked) {
    this.#envelope = envelope;
    const cause: Cause = { by: 'message', message: envelope.id };
    const checked = fault ?? checkMessage(this.definition, envelope.type, envelope.payload);
    if ('payload' in checked) {
      const event = { type: envelope.type, payload: checked.payload, message: messageInfo(envelope) };
      return this.#close(this.#stepper.step(event, commit, envelope.id, sentOrigin), cause, commit);
    }
    const { refused } = checked;
    const { payload } = envelope;
    if (commit) return this.#record({ rejected: refused, payload }, cause);
    if (envelope.from !== undefined && envelope.replyTo === undefined) this.#host.undelivered(envelope, refused);
    const refusal: Effect = { type: 'troupe.fail', to: envelope.id, reason: refused.reason, text: refused.message };
    release(this.#host, this, [refusal], cause);
  }

  #stepEvent({ event, cause }: { readonly event: LogicEvent; readonly cause: Cause }): void {
    this.#stepWithin(cause, (origin) => this.#stepper.step(event, this.#persistent, undefined, origin));
  }

  /** A turn of which no message is in hand. */
  #stepWithin(cause: Cause, step: (origin: Origin) => Turn): void {
    const origin = originOf(cause);
    this.#host.within(this, origin, () => this.#close(step(origin), cause, this.#persistent));
  }

  #close(turn: Turn, cause: Cause, commit: boolean): void {
    if (turn.failure !== undefined) this.#fail(cause, turn.failure.thrown);
    else this.#settle(turn, cause, commit);
  }

  /** Says what a turn did: as a record when it is to be committed, else at once. */
  #settle(turn: Turn, cause: Cause, commit: boolean): void {
    if (!this.#persistent) this.#timers.apply(turn.timersSet, turn.timersCancelled, isSent(cause));
    if (turn.unstashed) this.#queue.unshiftAll(this.#stash.splice(0));
    if (turn.stashed) this.#stash.push({ turn: 'again', envelope: this.#envelope as Envelope, commit });
    if (commit) {
      this.#record(turn, cause);
      if (turn.unfinished) this.#unfinished.push({ number: this.#records.number, turn, cause });
    } else if (turn.effects.length > 0) release(this.#host, this, turn.effects, cause);
    if (!turn.done) return;
    this.#status = 'done';
    if (commit) return;
    this.#flush();
    this.#end();
    this.#host.post({ from: 'done', activation: this.activation });
  }

  #record(turn: Parameters<StepRecords['add']>[0], cause: Cause): void {
    this.#records.add(turn, cause, this.#persistent ? this.#stepper.mark() : undefined);
  }

  /** Sends the records that gathered, with the state after the last of them. */
  #flush() {
    const unsent = this.#records.take();
    if (unsent.steps.length === 0) return;
    const done = this.#status === 'done';
    let snapshot: string | undefined;
    try {
      // Of one that is done nothing is stored.
      if (this.#persistent && !done) snapshot = this.#stepper.persisted();
    } catch {
      return this.#failUnstorable(unsent);
    }
    this.#send(unsent.steps, snapshot, done);
  }

  /** The first turn after which the state cannot be stored fails; those before it count. */
  #failUnstorable({ steps, marks }: UnsentSteps) {
    let snapshot: string | undefined;
    for (const [index, { cause }] of steps.entries()) {
      try {
        snapshot = this.#stepper.persisted(marks[index]);
      } catch (thrown) {
        if (index > 0) this.#send(steps.slice(0, index), snapshot, false);
        return this.#fail(cause, thrown);
      }
    }
  }

  #send(steps: readonly StepRecord[], snapshot: string | undefined, done: boolean): void {
    // What a child said last is work under way, though the child is gone.
    const open = this.#eventsWaiting > 0 || this.#stepper.hasChildren();
    const said = { activation: this.activation, steps, snapshot, done, open };
    this.#host.post({ from: 'steps', ...said, ...(this.#stepper.isSaturated && { saturated: true as const }) });
  }

  #fail(cause: Cause, thrown: unknown): void {
    if (this.#status === 'over') return;
    this.#flush();
    // The flush itself may have failed.
    if ((this.#status as string) === 'over') return;
    this.#end();
    this.#host.post({ from: 'failed', activation: this.activation, failure: { cause, error: toErrorData(thrown) } });
  }

  #refuseStart(thrown: unknown, restore: boolean): void {
    this.#end();
    const error = toErrorData(thrown, 'ACTOR_FAILED', 'not_started');
    this.#host.post({ from: 'startFailed', activation: this.activation, error, restore });
  }

  #started(): void {
    this.#host.post({ from: 'started', activation: this.activation, shape: this.#program.shape });
  }

  #end(): void {
    this.#status = 'over';
    this.#queue.clear();
    this.#fromNeighbours.end();
    this.#stash = [];
    this.#unfinished = [];
    this.#timers.stop();
    this.#stepper.stop();
    this.#host.over(this);
  }
}
