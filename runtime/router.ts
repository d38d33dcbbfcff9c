/**
 * The one door for messages: admit, place, hand on. Whatever is refused is refused here, before it has a number, with
 * a typed error; what passes is in a mailbox.
 *
 * Invariants:
 * 1. Messages to one address that one sender sends one after another stay in order, also while its actor is started.
 * 2. A payload is checked against its schema before it is accepted (and once more by the actor's thread).
 * 3. `from` is set here and nowhere else.
 */

import type { Activation } from './activation/activation.ts';
import type { Directory } from './activation/directory.ts';
import { type Address, isSystemAddress, parseAddress } from './address.ts';
import type { Asks } from './asks.ts';
import { ephemeralFault } from './capacity.ts';
import { type Clock, within } from './clock.ts';
import { type ActorDefinition, messageTypeFault } from './define-actor.ts';
import { deliveryFailedType, hearsOfFailures } from './delivery-failed.ts';
import type { Draft } from './draft.ts';
import type { EngineTrouble } from './engines/watched-engine.ts';
import { type Delivery, type Envelope, type Json, lanes, streamHeader } from './envelope.ts';
import { shuttingDown, TroupeError, toErrorData } from './errors.ts';
import { checkMessage } from './host/validate.ts';
import { messageKeyOf } from './idempotency.ts';
import { defaults, limits } from './limits.ts';
import { ephemeralMail } from './mailbox/mail.ts';
import type { Hold } from './mailbox/parked-row.ts';
import { keptIdOf, type Results, shardOfResult } from './mailbox/results.ts';
import type { AskOptions, OutgoingMessage, TaskView } from './messaging.ts';
import type { Random } from './random.ts';
import type { SupervisionPort } from './supervision.ts';

export interface RouterOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly asks: Asks;
  readonly directory: Directory;
  readonly supervision: () => SupervisionPort;
  readonly node: () => number;
  /** Engine time of the shard that an address lives in, milliseconds. */
  readonly engineNow: (address: Address) => number;
  readonly shardNameOf: (address: Address) => string;
  /** What a shard keeps of results; `undefined` where there is no such shard. */
  readonly resultsOf: (shard: string) => Results | undefined;
  /** Why an address is held, if it is. */
  readonly holdOf: (address: Address) => Hold | undefined;
  /** Whether the shard of an address can commit now. */
  readonly commits: (address: Address) => boolean;
  /** What the engine fails with now. */
  readonly trouble: () => EngineTrouble | undefined;
  /** Writes a durable envelope; resolves when the engine has it. */
  readonly sendDurable: (envelope: Envelope) => Promise<void>;
  /** Why a durable message does not fit its mailbox or its shard, where it does not. */
  readonly durableFault: (envelope: Envelope, definition: ActorDefinition) => TroupeError | undefined;
}

/** How long a message waits for an actor that is between two lives. */
const restartWaitMs = 5_000;
/** How long the submitter of a task waits for more than its acceptance. */
const registerMs = 2_000;

interface Handed {
  readonly envelope: Envelope;
  readonly written: Promise<void> | undefined;
}

export class Router {
  readonly #options: RouterOptions;
  /** Messages that wait for an actor to run, by address. */
  readonly #lines = new Map<Address, { last: Promise<unknown>; length: number }>();
  #draining = false;

  constructor(options: RouterOptions) {
    this.#options = options;
  }

  /** Refuses messages from outside from now on. */
  drain(): void {
    this.#draining = true;
  }

  async tell(message: OutgoingMessage, from?: Address): Promise<{ readonly messageId: string }> {
    const to = this.#admit(message, from);
    const hand = (definition: ActorDefinition): Handed => {
      const needsStore = message.delayMs !== undefined || message.idempotencyKey !== undefined;
      const durable = definition.persist === 'snapshot' || needsStore;
      const delivery = message.delivery ?? (durable ? 'at-least-once' : 'at-most-once');
      const envelope = this.#reporting(this.#envelope(to, message, delivery, definition, from));
      return { envelope, written: this.#hand(envelope, definition) };
    };
    const ready = this.#readyDefinition(to);
    const { envelope, written } =
      ready === undefined ? await this.#inLine(to, restartWaitMs, message.delivery, hand) : hand(ready);
    await written;
    return { messageId: envelope.id };
  }

  ask(message: OutgoingMessage, options: AskOptions = {}, from?: Address): Promise<Json> {
    try {
      return this.#ask(message, options, from);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** @throws what refuses it before it is open */
  #ask(message: OutgoingMessage, options: AskOptions, from: Address | undefined): Promise<Json> {
    const { asks, clock, directory, random } = this.#options;
    const timeoutMs = boundedTimeoutMs(options.timeoutMs);
    const to = this.#admit(message, from);
    const untilMs = clock.monotonic() + timeoutMs;
    // A repeat under the same key has to find what this one was answered.
    const isKept = message.idempotencyKey !== undefined;
    const id = isKept ? keptIdOf(this.#options.shardNameOf(to), random.id()) : random.id();
    // The ask is open from here, so that nothing on its way can outlast its deadline.
    const answer = asks.enter({
      id,
      to,
      durable: message.delivery === 'at-least-once',
      timeoutMs,
      signal: options.signal,
      onChunk: options.onChunk,
      onAbandon: () => directory.get(to)?.cancel(id),
    });
    const refuse = (error: unknown): void => asks.refuse(id, toErrorData(error, 'UNAVAILABLE', 'not_started'));
    const hand = (definition: ActorDefinition): void => {
      if (!asks.isOpen(id)) return;
      const envelope = this.#askEnvelope(id, to, message, options, untilMs - clock.monotonic(), definition, from);
      this.#hand(envelope, definition)?.catch(refuse);
    };
    const ready = this.#readyDefinition(to);
    const delivery = message.delivery ?? (isKept ? 'at-least-once' : 'at-most-once');
    try {
      if (ready !== undefined) hand(ready);
      else this.#inLine(to, Math.min(timeoutMs, restartWaitMs), delivery, hand).catch(refuse);
    } catch (error) {
      refuse(error);
    }
    return answer;
  }

  /** Sends a durable message whose answer is kept; resolves when it is stored that it is to come. */
  async submit(
    message: OutgoingMessage,
    options: { readonly timeoutMs?: number } = {},
  ): Promise<{ readonly taskId: string }> {
    const { clock, random, shardNameOf, resultsOf, engineNow } = this.#options;
    const to = this.#admit(message, undefined);
    if (message.delivery === 'at-most-once')
      throw new TroupeError('INVALID_MESSAGE', 'a task is durable: submit it without a delivery, or at-least-once');
    const timeoutMs = options.timeoutMs === undefined ? undefined : boundedTimeoutMs(options.timeoutMs);
    const shard = shardNameOf(to);
    const taskId = keptIdOf(shard, random.id());
    const registered = resultsOf(shard)?.registered(taskId) ?? Promise.resolve();
    try {
      await this.#inLine(to, restartWaitMs, 'at-least-once', async (definition) => {
        checkAnswers(definition, message.type);
        const draft = this.#envelope(to, message, 'at-least-once', definition, undefined, taskId);
        if (timeoutMs !== undefined) draft.deadlineMs = engineNow(to) + timeoutMs;
        await this.#hand(draft, definition);
      });
      await within(clock, registerMs, registered);
    } finally {
      resultsOf(shard)?.forget(taskId);
    }
    return { taskId };
  }

  /** @throws TroupeError `NOT_FOUND`, `UNAVAILABLE` */
  async result(taskId: string): Promise<TaskView> {
    const results = this.#options.resultsOf(shardOfResult(taskId) ?? '');
    if (results === undefined) throw new TroupeError('NOT_FOUND', 'this is not the id of a task');
    try {
      return await results.read(taskId);
    } catch (cause) {
      if (cause instanceof TroupeError) throw cause;
      throw new TroupeError('UNAVAILABLE', 'the storage engine does not answer', { retryAfterMs: 1_000, cause });
    }
  }

  /** Builds the envelope of a message that an actor sends from a committed turn. @throws TroupeError */
  committedEnvelope(message: OutgoingMessage, from: Address): Envelope {
    const to = this.#admit(message, from);
    const payload = (message.payload ?? {}) as Json;
    return this.#reporting(this.#build(to, message, message.delivery ?? 'at-least-once', payload, from));
  }

  /** A durable tell of an actor that wants to know where it ends says so; what is known of its sender may be gone then. */
  #reporting(draft: Draft<Envelope>): Draft<Envelope> {
    const { from, delivery } = draft;
    if (from === undefined || delivery !== 'at-least-once') return draft;
    if (hearsOfFailures(this.#options.directory.definitionOf(from))) draft.reportsFailure = true;
    return draft;
  }

  #admit(message: OutgoingMessage, from: Address | undefined): Address {
    if (this.#draining && from === undefined) throw TroupeError.from(shuttingDown);
    const to = parseAddress(message.to);
    if (isSystemAddress(to))
      throw new TroupeError('INVALID_ADDRESS', `${to} belongs to the runtime: it can be read, not messaged`);
    const fault = typeof message.type === 'string' ? messageTypeFault(message.type) : 'the message type is missing';
    if (fault !== undefined) throw new TroupeError('INVALID_MESSAGE', fault);
    if (message.type === deliveryFailedType)
      throw new TroupeError(
        'INVALID_MESSAGE',
        `"${deliveryFailedType}" is an event of the runtime: nobody else sends it`,
      );
    checkTiming(message);
    return to;
  }

  #envelope(
    to: Address,
    message: OutgoingMessage,
    delivery: Delivery,
    definition: ActorDefinition,
    from: Address | undefined,
    answeredAs?: string,
  ): Draft<Envelope> {
    const key = messageKeyOf(message, answeredAs !== undefined);
    const payload = message.payload === undefined ? {} : message.payload;
    const checked = checkMessage(definition, message.type, payload);
    if ('refused' in checked) throw TroupeError.from(checked.refused);
    const draft = this.#build(to, message, delivery, payload, from, answeredAs);
    if (key !== undefined) draft.key = key;
    return draft;
  }

  #build(
    to: Address,
    message: OutgoingMessage,
    delivery: Delivery,
    payload: Json,
    from: Address | undefined,
    id: string = this.#options.random.id(),
  ): Draft<Envelope> {
    const { type, headers } = message;
    const draft: Draft<Envelope> = { id, to, type, payload, delivery, attempt: 1 };
    if (from !== undefined) draft.from = from;
    if (headers !== undefined) draft.headers = headers;
    if (message.priority !== undefined) draft.priority = message.priority;
    if (message.delayMs !== undefined) draft.notBeforeMs = this.#options.engineNow(to) + message.delayMs;
    return draft;
  }

  #askEnvelope(
    id: string,
    to: Address,
    message: OutgoingMessage,
    options: AskOptions,
    leftMs: number,
    definition: ActorDefinition,
    from: Address | undefined,
  ): Envelope {
    if (message.delayMs !== undefined)
      throw new TroupeError('INVALID_MESSAGE', 'an ask waits for its answer and has no delay; send a tell');
    checkAnswers(definition, message.type);
    const delivery = message.delivery ?? (message.idempotencyKey === undefined ? 'at-most-once' : 'at-least-once');
    const draft = this.#envelope(to, message, delivery, definition, from, id);
    if (options.onChunk !== undefined) draft.headers = { ...message.headers, [streamHeader]: '1' };
    draft.deadlineMs = this.#options.engineNow(to) + leftMs;
    draft.replyTo = { node: this.#options.node() };
    return draft;
  }

  /** The definition of an actor that runs and that nobody waits for in line. */
  #readyDefinition(to: Address): ActorDefinition | undefined {
    if (this.#lines.has(to)) return undefined;
    const activation = this.#options.directory.get(to);
    return activation?.status === 'running' ? activation.definition : undefined;
  }

  /** Waits for the actor, at most `waitMs` and behind those that came before, then hands over. */
  #inLine<T>(
    to: Address,
    waitMs: number,
    delivery: Delivery | undefined,
    hand: (definition: ActorDefinition) => T,
  ): Promise<T> {
    const line = this.#lines.get(to) ?? { last: Promise.resolve(), length: 0 };
    if (line.length >= limits.ephemeralMailboxMessages)
      throw new TroupeError('MAILBOX_FULL', `too many messages wait for ${to} to run`, { retryAfterMs: 500 });
    const { clock } = this.#options;
    const untilMs = clock.monotonic() + waitMs;
    const before = line.last;
    const mine = (async () => {
      // Those before have waited no longer than this one may.
      await before.catch(() => undefined);
      return hand(await this.#definitionOf(to, Math.max(1, untilMs - clock.monotonic()), delivery));
    })();
    line.last = mine;
    line.length++;
    this.#lines.set(to, line);
    const leave = (): void => {
      line.length--;
      if (line.length === 0) this.#lines.delete(to);
    };
    mine.then(leave, leave);
    return mine;
  }

  /** The definition of the actor at an address, which is started where that is the rule. */
  async #definitionOf(to: Address, waitMs: number, delivery: Delivery | undefined): Promise<ActorDefinition> {
    const { clock, directory, commits, trouble } = this.#options;
    const untilMs = clock.monotonic() + waitMs;
    // Its shard comes back when the engine does; until then nobody is made to wait.
    const needsCommit = delivery !== 'at-least-once' && directory.definitionOf(to)?.persist === 'snapshot';
    if (needsCommit && !commits(to) && trouble() !== undefined) throw this.#engineAway();
    const state = await this.#ensure(to, waitMs);
    if (state === 'absent')
      throw new TroupeError('NOT_FOUND', `no actor has the address ${to}; list them with: troupe tree`);
    if (state === 'held') return this.#heldDefinition(to, delivery);
    const alive = directory.get(to);
    if (alive?.status === 'running' || alive?.status === 'parked') return alive.definition;
    const known = directory.definitionOf(to);
    // Durable mail needs no life: it waits in the mailbox.
    const persistent = known?.persist === 'snapshot';
    const durable = (delivery ?? (persistent ? 'at-least-once' : 'at-most-once')) === 'at-least-once';
    if (!durable || known === undefined) await directory.whenRunning(to, Math.max(1, untilMs - clock.monotonic()));
    const definition = directory.definitionOf(to);
    if (definition === undefined)
      throw new TroupeError('UNAVAILABLE', `${to} is being restarted`, { retryAfterMs: defaults.backoffFirstMs * 2 });
    return definition;
  }

  /** Of an actor that an operator has stopped: durable mail waits for it. @throws TroupeError `PARKED` */
  #heldDefinition(to: Address, delivery: Delivery | undefined): ActorDefinition {
    const held = this.#options.supervision().held?.(to);
    const definition = held?.definition ?? this.#options.directory.definitionOf(to);
    const wanted = delivery ?? (definition?.persist === 'snapshot' ? 'at-least-once' : 'at-most-once');
    if (definition !== undefined && wanted === 'at-least-once') return definition;
    throw new TroupeError('PARKED', held?.reason ?? `${to} was stopped by an operator`);
  }

  /** Asks the tree for an actor; a start that takes longer than `waitMs` goes on without the caller. */
  async #ensure(to: Address, waitMs: number): ReturnType<SupervisionPort['ensure']> {
    const ensured = this.#options.supervision().ensure(to);
    await within(this.#options.clock, waitMs, ensured);
    return Promise.race([ensured, Promise.resolve('restarting' as const)]);
  }

  /** Puts an envelope into its mailbox; a promise where the engine has to acknowledge it. */
  #hand(envelope: Envelope, definition: ActorDefinition): Promise<void> | undefined {
    if (envelope.delivery === 'at-least-once') {
      const full = this.#options.durableFault(envelope, definition);
      if (full !== undefined) throw full;
      return this.#options.sendDurable(envelope);
    }
    const hold = this.#options.holdOf(envelope.to);
    if (hold !== undefined && hold.why !== 'backoff')
      throw new TroupeError('PARKED', `${envelope.to} is held (${hold.why}): ${hold.text}`);
    const activation = this.#running(envelope.to);
    if (activation.persistent && !this.#options.commits(envelope.to)) throw this.#engineAway();
    const full = ephemeralFault(activation);
    if (full !== undefined) throw full;
    activation.deliver(ephemeralMail(envelope));
    return undefined;
  }

  #engineAway(): TroupeError {
    const trouble = this.#options.trouble();
    const message = trouble === undefined ? 'the storage engine does not answer' : trouble.what;
    return new TroupeError('UNAVAILABLE', message, { retryAfterMs: 1_000 });
  }

  #running(to: Address): Activation {
    const activation = this.#options.directory.get(to);
    if (activation?.status === 'parked')
      throw new TroupeError('PARKED', `${to} is parked: ${activation.reason ?? 'see the admin endpoint'}`);
    if (activation?.status !== 'running')
      throw new TroupeError('UNAVAILABLE', `${to} is being restarted`, { retryAfterMs: defaults.backoffFirstMs * 2 });
    return activation;
  }
}

/** @throws TroupeError `INVALID_MESSAGE` */
function checkAnswers({ messages }: ActorDefinition, type: string): void {
  if (Object.hasOwn(messages, type) && messages[type]?.reply === undefined)
    throw new TroupeError('INVALID_MESSAGE', `"${type}" has no answer; send it with tell`);
}

/** @throws TroupeError `INVALID_MESSAGE` */
function checkTiming({ priority, delayMs, delivery }: OutgoingMessage): void {
  if (priority !== undefined && !lanes.includes(priority))
    throw new TroupeError('INVALID_MESSAGE', `the priority is one of ${lanes.join(', ')}`);
  if (delayMs === undefined) return;
  if (!Number.isFinite(delayMs) || delayMs < 0 || delayMs > limits.delayMaxMs)
    throw new TroupeError('INVALID_MESSAGE', `the delay is 0 to ${limits.delayMaxMs} ms`);
  if (delivery === 'at-most-once')
    throw new TroupeError('INVALID_MESSAGE', 'a delayed message is durable: send it at-least-once');
}

/** @throws TroupeError `INVALID_MESSAGE` */
function boundedTimeoutMs(timeoutMs: number | undefined): number {
  const value = timeoutMs ?? defaults.askTimeoutMs;
  if (!Number.isFinite(value) || value > limits.askTimeoutMaxMs)
    throw new TroupeError('INVALID_MESSAGE', `the timeout is at most ${limits.askTimeoutMaxMs} ms`);
  if (value <= 0) throw new TroupeError('DEADLINE_EXCEEDED', 'the deadline had passed when the message came');
  return value;
}
