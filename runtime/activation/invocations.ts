/**
 * What one life of the logic has invoked or spawned: XState calls them children. Each runs on behalf of what began it,
 * under an id that outlives restarts.
 *
 * Invariants:
 * 1. An invocation is open from the turn that begins it until one that is told of its end, or lets go of it. Until
 *    then it is stored as it last was under way.
 * 2. What is open when its life ends is open in the next one, which runs it again or, by its definition, is told that
 *    it was interrupted. What was struck out is left out of the state.
 * 3. Of those that do work outside, so many run at once as the definition allows; the others wait in order.
 */

import { createHash } from 'node:crypto';
import type { AnyActorRef } from 'xstate';
import type { ActorDefinition } from '../define-actor.ts';
import type { Origin } from '../host/causes.ts';
import type { OpenInvocation } from '../host/messages.ts';
import { addressed, type EffectsOfTurn, isEffect } from './effects-of-turn.ts';
import { InvocationSlots } from './invocation-slots.ts';
import type { LogicEvent, StepperHooks } from './stepper.ts';
import type { ChildStates } from './stored-children.ts';

type Children = Readonly<Record<string, AnyActorRef>>;

interface Open {
  readonly invocation: OpenInvocation;
  /** What is to be stored of it, since it is not under way any more. */
  ended?: object;
}

const none: readonly never[] = [];
const noStates: ChildStates = new Map();
/** A new row at most, without its names: it tells an address and the type of a message. */
const newRowBytes = 1_024;

export class Invocations {
  readonly #definition: ActorDefinition;
  readonly #hooks: StepperHooks;
  readonly #open = new Map<AnyActorRef, Open>();
  /** What was ever seen here: some stay in the state when they are over. */
  readonly #seen = new WeakSet<AnyActorRef>();
  readonly #untold = new Map<AnyActorRef, Open>();
  readonly #slots: InvocationSlots<AnyActorRef>;
  #bytes = 0;
  /** Ids of what was open when this life began, and is not in its state. */
  #gone: string[] = [];

  constructor(definition: ActorDefinition, hooks: StepperHooks) {
    this.#definition = definition;
    this.#hooks = hooks;
    this.#slots = new InvocationSlots(definition.concurrency, () => hooks.onSaturated());
  }

  /** How many are open. */
  get size(): number {
    return this.#open.size;
  }

  /** Whether so many wait that no further ones are to be begun. */
  get isSaturated(): boolean {
    return this.#slots.isSaturated;
  }

  /** What is stored of them beside the state, in bytes at most. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Those that have ended and of whose end the logic was not told, as they are to be stored. */
  get untold(): ChildStates {
    if (this.#untold.size === 0) return noStates;
    return new Map(Array.from(this.#untold.values(), ({ invocation, ended }) => [invocation.name, ended] as const));
  }

  /** On whose behalf a child runs. */
  originOf(child: AnyActorRef | undefined): Origin | undefined {
    const open = child === undefined ? undefined : this.#open.get(child);
    return open && { sent: open.invocation.sent, invocation: open.invocation.id };
  }

  /**
   * Takes up those that came with a turn, before any of them is started.
   *
   * @throws Error when a persistent actor could not bring one back, or the turn begins too many
   */
  begin(children: Children, turn: EffectsOfTurn, message: string | undefined): void {
    const begun = Object.values(children).filter((child) => child !== undefined && !this.#seen.has(child));
    if (begun.length === 0) return;
    const { origin } = turn;
    for (const child of begun) {
      if (this.#definition.persist === 'snapshot') checkSource(child);
      turn.begin();
    }
    turn.invoked = begun.map((child) => {
      // A message that is handled twice begins the same work twice.
      const cause = message ?? this.#hooks.newId();
      const id = idOf(cause, child.id);
      const invocation = { name: child.id, src: sourceOf(child) ?? '', id, sent: origin.sent, attempt: 1 };
      this.#adopt(child, { invocation }, message);
      return invocation;
    });
  }

  /** The ids of those that are over with a turn. `areOthers`: whether they may have changed with it. */
  conclude(children: Children, areOthers: boolean, event: LogicEvent | undefined): readonly string[] {
    const isEnd = event?.type.startsWith('xstate.') === true;
    if (this.#gone.length === 0 && !areOthers && !isEnd) return none;
    const concluded = this.#gone;
    this.#gone = [];
    for (const [child, { invocation }] of this.#open) {
      const { name } = invocation;
      if (children[name] === child && !isEndOf(name, event)) continue;
      this.#open.delete(child);
      this.#untold.delete(child);
      this.#slots.giveUp(child);
      this.#bytes -= bytesOf(invocation);
      concluded.push(invocation.id);
    }
    return concluded;
  }

  /** Takes up those of a restored state. `interrupted`: how those are stored that are not to run again. */
  restore(children: Children, invocations: readonly OpenInvocation[], interrupted: ChildStates): void {
    const known = new Map(invocations.map((invocation) => [invocation.name, invocation]));
    // Those without a row last: a snapshot does not keep the order of names that look like numbers.
    const names = new Set([...known.keys(), ...Object.keys(children)]);
    for (const child of Array.from(names, (name) => children[name]).filter((found) => found !== undefined)) {
      const name = child.id;
      const row = known.get(name);
      known.delete(name);
      // One that an older runtime stored has no row.
      const ended = interrupted.get(name);
      if (row === undefined && ended === undefined && child.getSnapshot().status !== 'active') this.#seen.add(child);
      else {
        const invocation = row ?? { name, src: '', id: this.#hooks.newId(), sent: false, attempt: 2 };
        this.#adopt(child, { invocation, ...(ended === undefined ? {} : { ended }) }, row?.message);
      }
    }
    this.#gone = Array.from(known.values(), ({ id }) => id);
  }

  /** Starts those of a restored state. */
  resume(): void {
    for (const child of [...this.#open.keys()]) child.start();
  }

  /** Lets go of all; answers with those that were open. */
  stop(): AnyActorRef[] {
    const open = [...this.#open.keys()];
    this.#slots.clear();
    this.#open.clear();
    this.#untold.clear();
    return open;
  }

  #adopt(child: AnyActorRef, open: Open, message: string | undefined): void {
    const { sent, id, attempt } = open.invocation;
    this.#seen.add(child);
    this.#open.set(child, open);
    if (open.ended !== undefined) this.#untold.set(child, open);
    this.#bytes += bytesOf(open.invocation);
    const origin: Origin = { sent, invocation: id, attempt };
    const start = child.start.bind(child);
    const run = (): void => this.#hooks.within(origin, start);
    child.start = () => {
      // It was let go before it could begin.
      if (!this.#open.has(child)) return;
      if (worksOutside(child) && child.getSnapshot().status === 'active') this.#slots.enter(child, run);
      else run();
    };
    let underWay = child.getSnapshot();
    const end = (): void => {
      this.#slots.leave(child);
      if (!this.#open.has(child)) return;
      open.ended ??= storedFormOf(child, underWay);
      this.#untold.set(child, open);
    };
    // Without an observer for errors XState would throw them at the whole thread.
    child.subscribe({
      next: (snapshot) => {
        if (snapshot.status === 'active') underWay = snapshot;
      },
      complete: end,
      error: end,
    });
    child.on('*', (event: LogicEvent) => {
      if (!isEffect(event)) return;
      const effect = addressed(event, message);
      if (effect === undefined) this.#hooks.onUnaddressed(event);
      else this.#hooks.onEffect(effect, origin);
    });
  }
}

function sourceOf(child: AnyActorRef): string | undefined {
  const { src } = child as { readonly src?: unknown };
  return typeof src === 'string' ? src : undefined;
}

/** Whether it is more than a statechart or a reducer, which only react. */
function worksOutside(child: AnyActorRef): boolean {
  const { logic } = child as unknown as { readonly logic: object };
  return 'start' in logic && !('root' in logic);
}

function checkSource(child: AnyActorRef): void {
  if (sourceOf(child) === undefined)
    throw new Error(
      `the spawned actor "${child.id}" has no named source: a stored state could not bring it back; name it in setup({ actors })`,
    );
}

function isEndOf(name: string, event: LogicEvent | undefined): boolean {
  return event?.type === `xstate.done.actor.${name}` || event?.type === `xstate.error.actor.${name}`;
}

const bytesOf = ({ name, src, bytes }: OpenInvocation): number => bytes ?? newRowBytes + 6 * (name.length + src.length);

/** A state of a child as XState would store it. */
function storedFormOf(child: AnyActorRef, snapshot: unknown): object {
  const { logic } = child as unknown as { readonly logic: { getPersistedSnapshot(state: unknown): object } };
  return logic.getPersistedSnapshot(snapshot);
}

/** Follows from what began it. */
function idOf(cause: string, name: string): string {
  return createHash('sha256').update(`${cause}\n${name}`).digest('hex').slice(0, 32);
}
