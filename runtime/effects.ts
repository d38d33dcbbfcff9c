/**
 * What the logic of an actor may ask of its host. Each effect is an ordinary emitted event, so that a machine stays
 * pure, runs in Stately's tools, and can be watched with `actor.on('troupe.reply', …)` in a bare `createActor` test.
 * The host carries effects out after the turn is committed.
 *
 * In a machine use the action creators (`reply`, `fail`, `chunk`, `tell`, `spawn`, `stop`) and the actors `ask` and `offload`; in a
 * reducer call `scope.emit(effect.reply(value))`.
 */

import type { StandardSchemaV1 } from '@standard-schema/spec';
import { type EventObject, emit, fromPromise, type MachineContext } from 'xstate';
import type { ActorDefinition, MessageSpecs } from './define-actor.ts';
import type { Delivery, Json } from './envelope.ts';
import type { ErrorReason } from './errors.ts';
import { hostPort } from './host/port.ts';
import type { DataOf, OffloadInput, Task, Tasks } from './offload/task.ts';
import type { ActorRef, PayloadOf, TypeOf } from './ref.ts';

/** Answers a message; without `to`, the one in hand. */
export interface ReplyEffect {
  readonly type: 'troupe.reply';
  readonly to?: string;
  readonly value: unknown;
}

/** Refuses a message with a typed error; without `to`, the one in hand. The actor itself goes on. */
export interface FailEffect {
  readonly type: 'troupe.fail';
  readonly to?: string;
  readonly reason: ErrorReason;
  readonly text: string;
  readonly retryAfterMs?: number;
}

/** Sends a piece of a streamed answer; without `to`, for the message in hand. */
export interface ChunkEffect {
  readonly type: 'troupe.chunk';
  readonly to?: string;
  readonly value: unknown;
}

/** Sends a message and waits for nothing. Default delivery: that of the actor, durable when it is persistent. */
export interface TellEffect {
  readonly type: 'troupe.tell';
  readonly address: string;
  readonly messageType: string;
  readonly payload: unknown;
  readonly delivery?: Delivery;
}

/** Starts a supervised child at `<own address>/<name>`; it stops with its parent. A name in use is left alone. */
export interface SpawnEffect {
  readonly type: 'troupe.spawn';
  readonly name: string;
  readonly kind: string;
  readonly input?: unknown;
  /** Number of the wish; the host gives it. */
  readonly gen?: number;
}

/**
 * Stops a child that `spawn` started. What a persistent one has stored stays: a child that is spawned under its name later
 * goes on from it, unless it had reached a final state.
 */
export interface StopEffect {
  readonly type: 'troupe.stop';
  readonly name: string;
  /** Number of the wish that ends; the host gives it. */
  readonly gen?: number;
}

/** A life as death watch names it: incarnations of ephemeral actors begin anew with each process. */
export interface FormerLife {
  readonly incarnation: number;
  readonly session: string;
}

/**
 * Watches the life at an address, an actor's or a supervisor's: its end comes as the event `troupe.terminated`, once.
 * See `death-watch.ts` for what exactly is promised.
 */
export interface WatchEffect {
  readonly type: 'troupe.watch';
  readonly address: string;
  /** The life that is meant, where the watch did not begin just now; the host gives it. */
  readonly former?: FormerLife;
}

/** Ends a watch. */
export interface UnwatchEffect {
  readonly type: 'troupe.unwatch';
  readonly address: string;
}

/**
 * Sets a durable timer: when it is due, the actor receives a message of its own. The same `id` set again replaces the
 * former; each timer fires at most once per setting, and never after a turn that ended it was committed. With
 * `persist: snapshot` it outlives restarts and sleep, and what came due meanwhile fires at the next start; otherwise it
 * lives and dies with the life. The event's `message.id` is the timer's own: nobody waits for an answer.
 *
 * The turn fails when the payload does not fit its message, when the time is more than a year away, or when the actor
 * has 1,000 timers already (those of `after` and delayed `raise` included).
 */
export interface ScheduleEffect {
  readonly type: 'troupe.schedule';
  readonly id: string;
  readonly delayMs?: number;
  readonly atMs?: number;
  readonly messageType: string;
  readonly payload: unknown;
}

/** Ends a timer that `schedule` set. One that is not set is no error. */
export interface UnscheduleEffect {
  readonly type: 'troupe.unschedule';
  readonly id: string;
}

/**
 * Sets the message in hand aside, unanswered, to be handled later. The turn is otherwise a turn like others: what it
 * changes and says counts. A turn with no message in hand fails, as does one beyond 1,000 stashed messages.
 *
 * What is set aside is kept as safely as what waits: a durable message stays in the durable mailbox until a turn that
 * does not stash it is committed. A new life of the actor (after a crash, or on another node) begins with an empty stash
 * and finds what was stashed at the head of its mailbox; ephemeral asks are refused with the life, as others in hand.
 * An actor with a stash does not go to sleep. An ask waits until its deadline; past it the message expires.
 */
export interface StashEffect {
  readonly type: 'troupe.stash';
}

/**
 * Brings all that was stashed before this turn back to the head of the mailbox, in the order in which it was stashed,
 * before anything that waits. A message that the same turn stashes stays stashed.
 */
export interface UnstashEffect {
  readonly type: 'troupe.unstash';
}

/** What `effect.schedule` takes: when, and which of the messages `M`. */
export type Schedule<M extends MessageSpecs = MessageSpecs> = {
  /** Names it among the timers of its actor; 1 to 128 characters. */
  readonly id: string;
} & (
  | {
      /** Milliseconds from now: 0 to a year. */
      readonly delayMs: number;
    }
  | {
      /** Milliseconds since the epoch, by the clock of the engine; at most a year ahead. A past time fires at once. */
      readonly atMs: number;
    }
) &
  {
    readonly [K in keyof M & string]: {
      readonly messageType: K;
      readonly payload: StandardSchemaV1.InferInput<M[K]['payload']>;
    };
  }[keyof M & string];

export type Effect =
  | ReplyEffect
  | FailEffect
  | ChunkEffect
  | TellEffect
  | SpawnEffect
  | StopEffect
  | WatchEffect
  | UnwatchEffect
  | ScheduleEffect
  | UnscheduleEffect
  | StashEffect
  | UnstashEffect;

/** Effects as values, for reducers and promise actors: `emit(effect.reply(value))`. */
export const effect = {
  reply: (value: unknown, to?: string): ReplyEffect => ({
    type: 'troupe.reply',
    value,
    ...(to === undefined ? {} : { to }),
  }),
  fail: (reason: ErrorReason, text: string, to?: string): FailEffect => ({
    type: 'troupe.fail',
    reason,
    text,
    ...(to === undefined ? {} : { to }),
  }),
  chunk: (value: unknown, to?: string): ChunkEffect => ({
    type: 'troupe.chunk',
    value,
    ...(to === undefined ? {} : { to }),
  }),
  tell: <D extends ActorDefinition, K extends TypeOf<D>>(
    target: ActorRef<D>,
    messageType: K,
    payload: PayloadOf<D, K>,
    delivery?: Delivery,
  ): TellEffect => ({
    type: 'troupe.tell',
    address: target.address,
    messageType,
    payload,
    ...(delivery === undefined ? {} : { delivery }),
  }),
  spawn: (name: string, kind: string, input?: unknown): SpawnEffect => ({ type: 'troupe.spawn', name, kind, input }),
  stop: (name: string): StopEffect => ({ type: 'troupe.stop', name }),
  watch: (address: string): WatchEffect => ({ type: 'troupe.watch', address }),
  unwatch: (address: string): UnwatchEffect => ({ type: 'troupe.unwatch', address }),
  /** Typed by the messages of the actor: `effect.schedule<typeof messages>({ id, delayMs, messageType, payload })`. */
  schedule: <M extends MessageSpecs = MessageSpecs>(schedule: Schedule<M>): ScheduleEffect => ({
    type: 'troupe.schedule',
    ...(schedule as Schedule),
  }),
  unschedule: (id: string): UnscheduleEffect => ({ type: 'troupe.unschedule', id }),
  stash: (): StashEffect => ({ type: 'troupe.stash' }),
  unstash: (): UnstashEffect => ({ type: 'troupe.unstash' }),
} as const;

interface Scope<C extends MachineContext, E extends EventObject> {
  readonly context: C;
  readonly event: E;
}

/** Action: carries out the effect that `describe` returns. The other creators are short forms of this one. */
export function perform<
  C extends MachineContext,
  X extends EventObject,
  P extends import('xstate').ParameterizedObject['params'] | undefined,
  E extends EventObject,
>(describe: (scope: Scope<C, X>) => Effect) {
  return emit<C, X, P, E, Effect>((scope) => describe(scope));
}

/** Input of the `ask` actor. */
export interface AskInput {
  readonly address: string;
  readonly messageType: string;
  readonly payload: unknown;
  /** Milliseconds; default 30,000. */
  readonly timeoutMs?: number;
}

/** Builds the input of the `ask` actor with the types of its target. */
export function askOf<D extends ActorDefinition, K extends TypeOf<D>>(
  target: ActorRef<D>,
  messageType: K,
  payload: PayloadOf<D, K>,
  timeoutMs?: number,
): AskInput {
  return { address: target.address, messageType, payload, ...(timeoutMs === undefined ? {} : { timeoutMs }) };
}

/** Actor to invoke: asks another actor. Its error event carries a `TroupeError`; stopping it cancels the ask. */
export const ask = fromPromise<Json, AskInput>(({ input, signal }) =>
  hostPort().ask(input.address, input.messageType, input.payload, {
    signal,
    ...(input.timeoutMs === undefined ? {} : { timeoutMs: input.timeoutMs }),
  }),
);

/** What an invocation may know of itself. */
export interface InvocationInfo {
  /** The same each time that it is run again: use it as the idempotency key of what it does outside. */
  readonly id: string;
  /** The first is 1. With a higher one it may have run before, wholly or in part. */
  readonly attempt: number;
}

/**
 * Tells the running invocation of a machine who it is; for code of `fromPromise`, `fromCallback` and the like, and what
 * they await.
 *
 * @throws Error outside of an invocation
 */
export function invocation(): InvocationInfo {
  return hostPort().invocation();
}

/** Builds the input of the `offload` actor with the types of an app's tasks. */
export function offloadOf<T extends Tasks, K extends keyof T & string>(
  _tasks: T,
  task: K,
  data: DataOf<T[K] & Task>,
  options: Pick<OffloadInput, 'transfer' | 'id' | 'timeoutMs'> = {},
): OffloadInput {
  return { task, data, ...options };
}

/**
 * Actor to invoke: runs a task of the app on a thread of its own, so that a long computation holds up no actor. Its
 * output is what the task returned. Its error event carries a `TroupeError`: `MAILBOX_FULL` with a delay when too many
 * wait, `DEADLINE_EXCEEDED`, `NOT_FOUND` for an unknown task, `ACTOR_FAILED` for a task that threw or whose thread died;
 * a `TroupeError` that a task throws arrives as it is. Stopping the actor ends the task. At least once: see
 * `OffloadInput.id`.
 */
export const offload = fromPromise<unknown, OffloadInput>(({ input, signal }) => hostPort().offload(input, { signal }));
