/**
 * The one file that knows how XState steps (`machine-shape` knows how its definitions look): a `Stepper` that runs its
 * transitions in an actor scope of ours. A newer XState slips in behind the same interface.
 *
 * 1. A turn that threw, or after which the logic is in error, leaves the state as it was before.
 * 2. Nothing outside happens in a turn that waits for its commit: started and stopped children, events to them and
 *    custom actions are kept in the turn, for `finish`.
 * 3. A turn's `timersSet` and `timersCancelled` share no id, so their order means nothing.
 * 4. An event of a child that the logic has let go (`done`, `error`, a synced snapshot) is not for its successor of the
 *    same name: `current` tells.
 */

import { type AnyActorLogic, type AnyActorRef, type AnyActorScope, createActor, fromTransition } from 'xstate';
import type { Clock } from '../clock.ts';
import type { ActorDefinition } from '../define-actor.ts';
import type { Effect } from '../effects.ts';
import type { Json } from '../envelope.ts';
import type { Origin } from '../host/causes.ts';
import type { OpenInvocation, SetTimer, Timer } from '../host/messages.ts';
import { selfOf } from './actor-self.ts';
import {
  addressed,
  EffectsOfTurn,
  eventOfTimer,
  isEffect,
  scheduleTimerId,
  timerOfSchedule,
} from './effects-of-turn.ts';
import { Invocations } from './invocations.ts';
import { asMachine, boundMicrosteps, shapeOf } from './machine-shape.ts';
import { checkRestored, fitSnapshot } from './restoring.ts';
import { SetTimers } from './set-timers.ts';
import type { Child, LogicEvent, Mark, Program, Stepper, StepperHooks, Turn } from './stepper.ts';
import { takenUp, withChildStates } from './stored-children.ts';
import { recordText } from './turn-size.ts';

type AnyActorSystem = AnyActorScope['system'];

export function createProgram(definition: ActorDefinition): Program {
  const machine = asMachine(definition.logic);
  if (machine !== undefined) boundMicrosteps(machine);
  return {
    shape: shapeOf(definition, machine),
    handlesCancelled: machine?.events.includes('troupe.cancelled') ?? false,
    stepper: (hooks, clock, session) => new LogicStepper(definition, hooks, clock, session),
  };
}

/** What the adapter knows of a snapshot; XState types it for each logic. */
interface AnySnapshot {
  readonly status: 'active' | 'done' | 'error' | 'stopped';
  readonly error?: unknown;
  readonly context: unknown;
  readonly value?: Json;
  readonly children?: Readonly<Record<string, AnyActorRef>>;
}

/** An action as XState hands it to its executor. */
interface Action {
  readonly type: string;
  readonly info: unknown;
  readonly params: unknown;
  readonly exec: ((info: unknown, params: unknown) => void) | undefined;
}

/** Members of a system that XState does not declare. */
interface InnerSystem {
  _relay(source: AnyActorRef | undefined, target: AnyActorRef, event: LogicEvent): void;
  _sendInspectionEvent(): void;
}

/** Stands in for an actor system until the first child needs a real one: most actors never have a child. */
const quietSystem = {
  _sendInspectionEvent() {},
  _relay: (_source: unknown, target: { _send(event: LogicEvent): void }, event: LogicEvent) => target._send(event),
  get: () => undefined,
  getAll: () => ({}),
  inspect: () => ({ unsubscribe() {} }),
} as unknown as AnyActorSystem;

const rootLogic = fromTransition(() => undefined, undefined);

const noInvocations: Pick<Invocations, 'bytes' | 'untold'> = { bytes: 0, untold: new Map() };
/** Of turns of which nobody says what brought them about. */
const unsent: Origin = { sent: false };

class LogicStepper implements Stepper {
  readonly #logic: AnyActorLogic;
  readonly #definition: ActorDefinition;
  readonly #hooks: StepperHooks;
  readonly #clock: Clock;
  readonly #scope: AnyActorScope;
  readonly #self: AnyActorRef;
  #snapshot: AnySnapshot = { status: 'active', context: undefined };
  #turn = new EffectsOfTurn(unsent);
  #waits = false;
  #message: string | undefined = undefined;
  #deferred: (() => void)[] = [];
  /** Most actors never have a child. */
  #invocations: Invocations | undefined = undefined;
  #stopped = false;
  #raised = 0;
  readonly #timers: SetTimers;
  /** How many messages are set aside, as of the last turn. */
  #stashed = 0;

  constructor(definition: ActorDefinition, hooks: StepperHooks, clock: Clock, session: string) {
    this.#logic = definition.logic;
    this.#definition = definition;
    this.#hooks = hooks;
    this.#clock = clock;
    this.#timers = new SetTimers(definition.persist === 'snapshot');
    this.#self = selfOf(this, session, () => this.#system());
    this.#scope = {
      self: this.#self,
      id: session,
      sessionId: session,
      logger: (...values: unknown[]) => hooks.onLog(values.map(textOfLogged).join(' ')),
      defer: (task: () => void) => {
        this.#deferred.push(task);
      },
      emit: (event: LogicEvent) => this.#emit(event),
      system: quietSystem,
      stopChild: (child: AnyActorRef) => stopActor(child),
      actionExecutor: (action: unknown) => this.#execute(action as Action),
    };
  }

  start(input: unknown, waits: boolean): Turn {
    const turn = this.#begin(waits, undefined, unsent);
    try {
      this.#end(turn, this.#logic.getInitialSnapshot(this.#scope, input) as AnySnapshot, undefined);
    } catch (thrown) {
      this.#fail(turn, thrown);
    }
    return turn;
  }

  step(event: LogicEvent, waits: boolean, message: string | undefined, origin = unsent): Turn {
    const turn = this.#begin(waits, message, origin);
    try {
      this.#transition(turn, event);
    } catch (thrown) {
      this.#fail(turn, thrown);
    }
    return turn;
  }

  perform(effect: Effect, origin = unsent): Turn {
    const turn = this.#begin(true, undefined, origin);
    try {
      this.#say(effect);
      this.#keep(turn);
    } catch (thrown) {
      this.#fail(turn, thrown);
    }
    return turn;
  }

  fire(timer: Timer, waits: boolean, origin = unsent): Turn {
    this.#timers.drop(timer.id);
    const turn = this.#begin(waits, undefined, origin);
    try {
      this.#transition(turn, eventOfTimer(timer, this.#definition));
    } catch (thrown) {
      this.#fail(turn, thrown);
    }
    return turn;
  }

  restore(
    text: string,
    version = this.#definition.version,
    timers: readonly SetTimer[] = [],
    invocations: readonly OpenInvocation[] = [],
  ): void {
    const fit = fitSnapshot(this.#definition, asMachine(this.#logic), text, version);
    const { state: stored, interrupted } = takenUp(fit, invocations, this.#definition);
    const restored = (this.#logic.restoreSnapshot?.(stored as never, this.#scope) ?? stored) as AnySnapshot;
    checkRestored(stored, restored);
    this.#snapshot = restored;
    this.#timers.restore(timers);
    const { children = {} } = restored;
    if (invocations.length > 0 || hasAny(children)) this.#withInvocations().restore(children, invocations, interrupted);
  }

  resume(): void {
    this.#invocations?.resume();
  }

  finish(turn: Turn): void {
    const { actions, deferred, origin } = turn as EffectsOfTurn;
    if (this.#stopped) return;
    this.#hooks.within({ sent: origin.sent }, () => {
      this.#deferred = [...deferred];
      for (const action of actions) action();
      this.#drain();
    });
  }

  current(event: LogicEvent, source: Child | undefined): boolean {
    if (source === undefined || !event.type.startsWith('xstate.')) return true;
    return this.#snapshot.children?.[(source as AnyActorRef).id] === source;
  }

  hasChildren(): boolean {
    return (this.#invocations?.size ?? 0) > 0;
  }

  get isSaturated(): boolean {
    return this.#invocations?.isSaturated === true;
  }

  mark(): Mark {
    const { bytes, untold } = this.#invocations ?? noInvocations;
    return { snapshot: this.#snapshot, rowBytes: this.#timers.bytes + bytes, untold };
  }

  persisted({ snapshot, rowBytes, untold } = this.mark()): string {
    const state = this.#logic.getPersistedSnapshot(snapshot as never);
    return recordText(withChildStates(state, untold), rowBytes);
  }

  state(): Json {
    return this.#snapshot.value ?? null;
  }

  context(): unknown {
    return this.#snapshot.context;
  }

  stop(): void {
    this.#stopped = true;
    for (const child of this.#invocations?.stop() ?? []) stopActor(child);
  }

  /** What a child, or the logic itself, sends to the logic. */
  receive(source: AnyActorRef | undefined, event: LogicEvent): void {
    if (!this.#stopped) this.#hooks.onEvent(event, source, this.#invocations?.originOf(source));
  }

  live(): AnySnapshot {
    return this.#snapshot;
  }

  #withInvocations(): Invocations {
    this.#invocations ??= new Invocations(this.#definition, this.#hooks);
    return this.#invocations;
  }

  #transition(turn: EffectsOfTurn, event: LogicEvent): void {
    this.#end(turn, this.#logic.transition(this.#snapshot, event, this.#scope) as AnySnapshot, event);
  }

  #begin(waits: boolean, message: string | undefined, origin: Origin): EffectsOfTurn {
    const turn = new EffectsOfTurn(origin);
    this.#turn = turn;
    this.#waits = waits;
    this.#message = message;
    return turn;
  }

  #end(turn: EffectsOfTurn, next: AnySnapshot, event: LogicEvent | undefined) {
    if (turn.refusal !== undefined) return this.#fail(turn, turn.refusal.thrown);
    if (next.status === 'error') return this.#fail(turn, next.error);
    const { children } = next;
    if (children !== undefined && (this.#invocations !== undefined || hasAny(children))) {
      const invocations = this.#withInvocations();
      const areOthers = children !== this.#snapshot.children;
      if (areOthers) invocations.begin(children, turn, this.#message);
      turn.concluded = invocations.conclude(children, areOthers, event);
    }
    this.#snapshot = next;
    turn.done = next.status === 'done';
    this.#keep(turn);
    if (this.#deferred.length === 0) return;
    if (this.#waits) {
      turn.deferred = this.#deferred;
      this.#deferred = [];
    } else this.#hooks.within({ sent: turn.origin.sent }, () => this.#drain());
  }

  #fail(turn: EffectsOfTurn, thrown: unknown): void {
    turn.fail(thrown);
    this.#deferred = [];
  }

  #keep({ timersSet, timersCancelled, stashed, unstashed }: Turn): void {
    if (unstashed) this.#stashed = 0;
    if (stashed) this.#stashed += 1;
    this.#timers.apply(timersSet, timersCancelled);
  }

  #drain(): void {
    const tasks = this.#deferred;
    // Tasks may defer further ones.
    for (let index = 0; index < tasks.length; index += 1) (tasks[index] as () => void)();
    this.#deferred = [];
  }

  #execute(action: Action) {
    switch (action.type) {
      case 'xstate.emit':
        this.#emit((action.params as { readonly event: LogicEvent }).event);
        return;
      case 'xstate.raise':
        this.#raise(action.params as { readonly event: Json; readonly id?: string; readonly delay?: number });
        return;
      case 'xstate.cancel':
        this.#turn.cancelTimer((action.params as { readonly sendId: string }).sendId);
        return;
      case 'xstate.sendTo':
        if (typeof (action.params as { readonly delay?: unknown }).delay === 'number')
          throw new Error('a delayed sendTo would be lost with its thread: use raise with a delay, then sendTo');
    }
    const { exec, info, params } = action;
    if (exec === undefined) return;
    if (!this.#waits) return exec(info, params);
    this.#turn.addAction(() => exec(info, params));
  }

  #emit(event: LogicEvent) {
    if (!isEffect(event)) return;
    const effect = addressed(event, this.#message);
    if (effect === undefined) this.#hooks.onUnaddressed(event);
    else this.#say(effect);
  }

  #say(effect: Effect): void {
    if (effect.type === 'troupe.schedule')
      this.#turn.setTimer(timerOfSchedule(effect, this.#definition, this.#clock), this.#timers);
    else if (effect.type === 'troupe.unschedule') this.#turn.cancelTimer(scheduleTimerId(effect.id));
    else if (effect.type === 'troupe.stash') this.#turn.stash(this.#message, this.#stashed);
    else if (effect.type === 'troupe.unstash') this.#turn.unstashed = true;
    else this.#turn.add(effect);
  }

  #raise(raised: { readonly event: Json; readonly id?: string; readonly delay?: number }): void {
    if (typeof raised.delay !== 'number') return;
    this.#raised += 1;
    const id = raised.id ?? `raise.${this.#self.sessionId}.${this.#raised}`;
    const timer = { id, delayMs: raised.delay > 0 ? raised.delay : 0, event: raised.event };
    this.#turn.setTimer(timer, this.#timers);
  }

  #system(): AnyActorSystem {
    if (this.#scope.system !== quietSystem) return this.#scope.system;
    const clock = this.#clock;
    const root = createActor(rootLogic, {
      logger: this.#scope.logger,
      clock: {
        setTimeout: (task: () => void, delayMs: number) => clock.after(delayMs, task),
        clearTimeout: (cancel: () => void) => cancel(),
      },
    });
    const inner = root.system as unknown as InnerSystem;
    const relay = inner._relay;
    inner._relay = (source, target, event) =>
      target === this.#self ? this.receive(source, event) : relay(source, target, event);
    this.#scope.system = root.system;
    return root.system;
  }
}

function hasAny(record: object): boolean {
  for (const _ in record) return true;
  return false;
}

/** XState lets only a parent stop a child, and this is how its parents do it. */
function stopActor(actor: AnyActorRef): void {
  (actor as unknown as { _stop(): void })._stop();
}

function textOfLogged(value: unknown): string {
  if (typeof value === 'string') return value;
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return String(value);
  }
}
