/** What one turn says: its effects, its timers, and what is left to be done on the thread. */

import type { Clock } from '../clock.ts';
import type { ActorDefinition } from '../define-actor.ts';
import type { Effect, ScheduleEffect } from '../effects.ts';
import type { Json } from '../envelope.ts';
import type { Origin } from '../host/causes.ts';
import type { OpenInvocation, TimerSet } from '../host/messages.ts';
import { checkMessage } from '../host/validate.ts';
import { limits } from '../limits.ts';
import type { SetTimers } from './set-timers.ts';
import type { LogicEvent, Turn } from './stepper.ts';
import { TurnSize } from './turn-size.ts';

const noEffects: Effect[] = [];
const noTimers: TimerSet[] = [];
const noIds: string[] = [];
const noTasks: (() => void)[] = [];
const noInvocations: readonly OpenInvocation[] = [];

/** A turn under way. Most turns say nothing of most sorts, and so share the empty lists. */
export class EffectsOfTurn implements Turn {
  /** What it hands on to what it begins. */
  readonly origin: Origin;
  effects = noEffects;
  timersSet = noTimers;
  timersCancelled = noIds;
  /** Actions, then what they and the transition deferred: the order in which XState itself runs them. */
  actions = noTasks;
  deferred = noTasks;
  stashed = false;
  unstashed = false;
  done = false;
  failure: { readonly thrown: unknown } | undefined = undefined;
  /** Why it is refused, whatever the logic makes of the error: it said too much, or what is no JSON. */
  refusal: { readonly thrown: unknown } | undefined = undefined;
  invoked = noInvocations;
  concluded: readonly string[] = noIds;
  #size: TurnSize | undefined = undefined;

  constructor(origin: Origin) {
    this.origin = origin;
  }

  get bytes(): number {
    return this.#size?.bytes ?? 0;
  }

  get unfinished(): boolean {
    return this.actions.length > 0 || this.deferred.length > 0;
  }

  /** @throws Error when the turn says too much, or what is no JSON */
  add(effect: Effect): void {
    this.#weigh(effect);
    if (this.effects === noEffects) this.effects = [effect];
    else this.effects.push(effect);
  }

  addAction(action: () => void): void {
    if (this.actions === noTasks) this.actions = [action];
    else this.actions.push(action);
  }

  /** A child begins. @throws Error when the turn says too much */
  begin(): void {
    this.#weigh(undefined);
  }

  /**
   * Sets a timer, in place of its namesake. `known`: those of the turns before.
   *
   * @throws Error when they are too many, or the turn says too much
   */
  setTimer(timer: TimerSet, known: SetTimers): void {
    this.#weigh(known.isStored ? timer : undefined);
    this.timersCancelled = without(this.timersCancelled, timer.id);
    this.timersSet = [...this.timersSet.filter((other) => other.id !== timer.id), timer];
    if (known.size + this.timersSet.length <= limits.actorTimers) return;
    const ids = new Set(known.ids());
    for (const id of this.timersCancelled) ids.delete(id);
    for (const { id } of this.timersSet) ids.add(id);
    if (ids.size > limits.actorTimers)
      throw new RangeError(
        `an actor has at most ${limits.actorTimers} timers at once: cancel some, or reuse their ids`,
      );
  }

  cancelTimer(id: string): void {
    if (this.timersSet.length > 0) this.timersSet = this.timersSet.filter((timer) => timer.id !== id);
    this.timersCancelled = [...without(this.timersCancelled, id), id];
  }

  /** Sets the message in hand aside, beside `held` others. @throws Error without a message, or when they are too many */
  stash(message: string | undefined, held: number): void {
    if (message === undefined) throw new Error('stash: no message is in hand in this turn');
    if (held >= limits.stashedMessages)
      throw new RangeError(`stash: an actor sets at most ${limits.stashedMessages} messages aside`);
    this.stashed = true;
  }

  /** Takes account of what the turn says; `undefined` takes no place in its commit. */
  #weigh(said: object | undefined): void {
    // Logic that catches the error and goes on gets no further.
    if (this.refusal !== undefined) throw this.refusal.thrown;
    this.#size ??= new TurnSize();
    try {
      if (said === undefined) this.#size.count();
      else this.#size.add(said, () => [...this.effects, ...this.timersSet]);
    } catch (thrown) {
      this.refusal = { thrown };
      throw thrown;
    }
  }

  /** The turn is discarded whole. */
  fail(thrown: unknown): void {
    this.failure = { thrown };
    this.stashed = false;
    this.unstashed = false;
    this.effects = noEffects;
    this.timersSet = noTimers;
    this.timersCancelled = noIds;
    this.actions = noTasks;
    this.invoked = noInvocations;
    this.concluded = noIds;
  }
}

const effectTypes: ReadonlySet<string> = new Set([
  'troupe.reply',
  'troupe.fail',
  'troupe.chunk',
  'troupe.tell',
  'troupe.spawn',
  'troupe.stop',
  'troupe.watch',
  'troupe.unwatch',
  'troupe.schedule',
  'troupe.unschedule',
  'troupe.stash',
  'troupe.unstash',
] satisfies Effect['type'][]);

export function isEffect(event: unknown): event is Effect {
  return effectTypes.has((event as Effect).type);
}

/** An answer with its message filled in; the logic's own object is never changed, it may be a constant. */
export function addressed(effect: Effect, message: string | undefined): Effect | undefined {
  if (effect.type !== 'troupe.reply' && effect.type !== 'troupe.chunk' && effect.type !== 'troupe.fail') return effect;
  if (effect.to !== undefined) return effect;
  return message === undefined ? undefined : { ...effect, to: message };
}

/** Timers of `schedule` have a namespace of their own beside those of `after` and `raise`. */
const schedulePrefix = 'troupe.schedule:';

export const scheduleTimerId = (id: string): string => `${schedulePrefix}${id}`;

/** The timer that a `schedule` sets. @throws Error when it cannot be one: a bug of the logic, whose turn fails */
export function timerOfSchedule(schedule: ScheduleEffect, definition: ActorDefinition, clock: Clock): TimerSet {
  const { id, delayMs, atMs, messageType, payload } = schedule;
  if (typeof id !== 'string' || id === '' || id.length > limits.timerIdCharacters)
    throw new Error(`schedule: the id is 1 to ${limits.timerIdCharacters} characters`);
  const refuse = (what: string): Error => new Error(`schedule "${id}": ${what}`);
  if ((delayMs === undefined) === (atMs === undefined)) throw refuse('give either delayMs or atMs');
  const afterMs = delayMs ?? Math.max(0, (atMs as number) - clock.now());
  if (!(afterMs >= 0 && afterMs <= limits.delayMaxMs))
    throw refuse(`its time is 0 to ${limits.delayMaxMs} milliseconds from now`);
  const text = JSON.stringify(payload) as string | undefined;
  if (text === undefined) throw refuse('the payload is no JSON');
  if (Buffer.byteLength(text) > limits.payloadBytes)
    throw refuse(`the payload is larger than ${limits.payloadBytes} bytes`);
  // A copy: the logic may keep and change its own. What is due is checked again, by the code of that day.
  const stored = JSON.parse(text) as Json;
  const checked = checkMessage(definition, messageType, stored);
  if ('refused' in checked) throw refuse(checked.refused.message);
  return {
    id: scheduleTimerId(id),
    delayMs: afterMs,
    event: { type: messageType, payload: stored },
    ...(atMs === undefined ? {} : { dueMs: atMs }),
  };
}

/**
 * The event that a due timer is for the logic. One of `schedule` looks as the message would, with its timer's id for
 * the message's. @throws Error when the present schema refuses what was scheduled
 */
export function eventOfTimer(
  timer: { readonly id: string; readonly event: Json },
  definition: ActorDefinition,
): LogicEvent {
  if (!timer.id.startsWith(schedulePrefix)) return timer.event as unknown as LogicEvent;
  const { type, payload } = timer.event as { readonly type: string; readonly payload: Json };
  const checked = checkMessage(definition, type, payload);
  if ('refused' in checked)
    throw new Error(`schedule "${timer.id.slice(schedulePrefix.length)}": ${checked.refused.message}`);
  return { type, payload: checked.payload, message: { id: timer.id, headers: {}, attempt: 1 } };
}

function without(ids: string[], id: string): string[] {
  return ids.includes(id) ? ids.filter((known) => known !== id) : ids;
}
