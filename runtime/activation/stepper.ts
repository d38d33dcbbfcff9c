/** Logic taken through its turns as a pure function: what the cell sees of it, whichever library does the stepping. */

import type { Clock } from '../clock.ts';
import type { Effect } from '../effects.ts';
import type { Json } from '../envelope.ts';
import type { Origin } from '../host/causes.ts';
import type { OpenInvocation, SetTimer, Timer, TimerSet } from '../host/messages.ts';
import type { ChildStates } from './stored-children.ts';

/** An event on its way to the logic. */
export interface LogicEvent {
  readonly type: string;
  readonly [key: string]: unknown;
}

/** An actor that the logic invoked or spawned; only the stepper looks into it. */
export type Child = object;

/** What the stepper tells the cell between turns. */
export interface StepperHooks {
  /** A child finished, failed or sent an event; to be stepped as a turn of its own. `origin`: the child's. */
  onEvent(event: LogicEvent, source: Child | undefined, origin: Origin | undefined): void;
  /** A child asked for an effect. An answer without `to` is for the message in whose turn the child was started. */
  onEffect(effect: Effect, origin: Origin): void;
  /** An answer that names no message, given when none was in hand. It is dropped. */
  onUnaddressed(effect: Effect): void;
  onLog(text: string): void;
  /** Runs what starts children, or wakes them, on behalf of what began it. */
  within(origin: Origin, task: () => void): void;
  newId(): string;
  /** So many invocations wait that no further messages are to be stepped, until fewer do. */
  onSaturated(): void;
}

/** What one turn did. The arrays are only to be read. */
export interface Turn {
  readonly effects: readonly Effect[];
  readonly timersSet: readonly TimerSet[];
  readonly timersCancelled: readonly string[];
  /** The message in hand is set aside; what was set aside before this turn comes back. */
  readonly stashed: boolean;
  readonly unstashed: boolean;
  /** Whether `finish` has something to do for it. */
  readonly unfinished: boolean;
  /** The logic reached its final state. */
  readonly done: boolean;
  readonly failure: { readonly thrown: unknown } | undefined;
  /** Not less than the JSON bytes of its effects, and of its timers where they are stored. */
  readonly bytes: number;
  /** Invocations that it began, and the ids of those that are over with it. */
  readonly invoked: readonly OpenInvocation[];
  readonly concluded: readonly string[];
}

/** The state after a turn, for `persisted`; only the stepper looks into it. */
export interface Mark {
  readonly snapshot: object;
  /** Of timers and invocations, as they are stored beside it. */
  readonly rowBytes: number;
  readonly untold: ChildStates;
}

export interface Stepper {
  /** The first turn. */
  start(input: unknown, waits: boolean): Turn;
  /**
   * Takes up a stored state instead of `start`; one that an older `version` wrote is migrated first. `timers`: those that
   * are set. `invocations`: those that are open.
   * @throws Error when it does not fit the logic.
   */
  restore(text: string, version?: number, timers?: readonly SetTimer[], invocations?: readonly OpenInvocation[]): void;
  /** Starts the children of a restored state. */
  resume(): void;
  /** One turn. `waits`: its work on the thread is left to `finish`. `message`: the one in hand. */
  step(event: LogicEvent, waits: boolean, message: string | undefined, origin?: Origin): Turn;
  /** The turn of an effect that a child asked for; the state stays as it is. */
  perform(effect: Effect, origin?: Origin): Turn;
  /** The turn of a timer that is due, and so is not set any more. */
  fire(timer: Timer, waits: boolean, origin?: Origin): Turn;
  /** Does on the thread what a turn that waited wants done there. @throws what a custom action throws */
  finish(turn: Turn): void;
  /** Whether an event of this child still concerns the logic. */
  current(event: LogicEvent, source: Child | undefined): boolean;
  /** Whether something that it invoked or spawned lives. */
  hasChildren(): boolean;
  /** Whether so much of that waits that no further messages are to be stepped. */
  readonly isSaturated: boolean;
  /** The state as it is now. */
  mark(): Mark;
  /** The state as JSON text: now, or at a mark. @throws Error when it is no JSON, or with its rows too large to be stored */
  persisted(mark?: Mark): string;
  /** The state value of a machine, `null` for a reducer. */
  state(): Json;
  /** The live context; only to be read. */
  context(): unknown;
  /** Stops all children. No event of theirs comes any more. */
  stop(): void;
}

/** A definition made ready for stepping, once for each thread. */
export interface Program {
  /** Hash of the sorted state paths, event types and source names. */
  readonly shape: string;
  /** Whether the logic names the event `troupe.cancelled`. */
  readonly handlesCancelled: boolean;
  stepper(hooks: StepperHooks, clock: Clock, session: string): Stepper;
}
