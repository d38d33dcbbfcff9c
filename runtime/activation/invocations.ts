/**
 * What one life of the logic has invoked or spawned: XState calls them children. Each runs on behalf of what began it,
 * under an id that outlives restarts.
 *
 * Invariants:
 * 1. An invocation is open from the turn that begins it until one that is told of its end, or lets go of it.
 * 2. What is open when its life ends is open in the next one; what was struck out is left out of the state.
 */

import { createHash } from 'node:crypto';
import type { AnyActorRef } from 'xstate';
import type { ActorDefinition, StoredSnapshot } from '../define-actor.ts';
import type { OpenInvocation } from '../host/messages.ts';
import { addressed, type EffectsOfTurn, isEffect } from './effects-of-turn.ts';
import type { LogicEvent, Origin, StepperHooks } from './stepper.ts';

type Children = Readonly<Record<string, AnyActorRef>>;

const none: readonly never[] = [];
/** A new row at most, without the name: it tells an address and the type of a message. */
const newRowBytes = 1_024;

export class Invocations {
  readonly #definition: ActorDefinition;
  readonly #hooks: StepperHooks;
  readonly #open = new Map<AnyActorRef, OpenInvocation>();
  /** What was ever seen here: some stay in the state when they are over. */
  readonly #seen = new WeakSet<AnyActorRef>();
  #bytes = 0;
  /** Ids of what was open when this life began, and is not in its state. */
  #gone: string[] = [];

  constructor(definition: ActorDefinition, hooks: StepperHooks) {
    this.#definition = definition;
    this.#hooks = hooks;
  }

  /** How many are open. */
  get size(): number {
    return this.#open.size;
  }

  /** What is stored of them beside the state, in bytes at most. */
  get bytes(): number {
    return this.#bytes;
  }

  /** On whose behalf a child runs. */
  originOf(child: AnyActorRef | undefined): Origin | undefined {
    const invocation = child === undefined ? undefined : this.#open.get(child);
    return invocation && { sent: invocation.sent, invocation: invocation.id };
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
      const cause = message ?? origin.invocation ?? this.#hooks.newId();
      const invocation = { name: child.id, id: idOf(cause, child.id), sent: origin.sent, attempt: 1 };
      this.#adopt(child, invocation, message);
      return invocation;
    });
  }

  /** The ids of those that are over with a turn. */
  conclude(children: Children, event: LogicEvent | undefined): readonly string[] {
    if (this.#open.size + this.#gone.length === 0) return none;
    const concluded = this.#gone;
    this.#gone = [];
    for (const [child, invocation] of this.#open) {
      const { name } = invocation;
      if (children[name] === child && !isEndOf(name, event)) continue;
      this.#open.delete(child);
      this.#bytes -= bytesOf(invocation);
      concluded.push(invocation.id);
    }
    return concluded;
  }

  /** A stored state without what was struck out. */
  kept(stored: StoredSnapshot, invocations: readonly OpenInvocation[]): StoredSnapshot {
    const struck = invocations.filter((invocation) => invocation.struck);
    if (struck.length === 0 || stored.children === undefined) return stored;
    const children = { ...stored.children };
    for (const { name } of struck) delete children[name];
    return { ...stored, children };
  }

  /** Takes up those of a restored state. */
  restore(children: Children, invocations: readonly OpenInvocation[]): void {
    const known = new Map(invocations.map((invocation) => [invocation.name, invocation]));
    for (const child of Object.values(children)) {
      this.#seen.add(child);
      if (child.getSnapshot().status !== 'active') continue;
      const name = child.id;
      // One that an older runtime stored has no row.
      this.#adopt(child, known.get(name) ?? { name, id: this.#hooks.newId(), sent: false, attempt: 2 }, undefined);
      known.delete(name);
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
    this.#open.clear();
    return open;
  }

  #adopt(child: AnyActorRef, invocation: OpenInvocation, message: string | undefined): void {
    this.#seen.add(child);
    this.#open.set(child, invocation);
    this.#bytes += bytesOf(invocation);
    const origin: Origin = { sent: invocation.sent, invocation: invocation.id };
    const start = child.start.bind(child);
    child.start = () => this.#hooks.within(origin, start);
    // Without an observer for errors XState would throw them at the whole thread.
    child.subscribe({ error: () => undefined });
    child.on('*', (event: LogicEvent) => {
      if (!isEffect(event)) return;
      const effect = addressed(event, message);
      if (effect === undefined) this.#hooks.onUnaddressed(event);
      else this.#hooks.onEffect(effect, origin);
    });
  }
}

function checkSource(child: AnyActorRef): void {
  if (typeof (child as { src?: unknown }).src !== 'string')
    throw new Error(
      `the spawned actor "${child.id}" has no named source: a stored state could not bring it back; name it in setup({ actors })`,
    );
}

function isEndOf(name: string, event: LogicEvent | undefined): boolean {
  return event?.type === `xstate.done.actor.${name}` || event?.type === `xstate.error.actor.${name}`;
}

const bytesOf = ({ name, bytes }: OpenInvocation): number => bytes ?? newRowBytes + 6 * name.length;

/** Follows from what began it. */
function idOf(cause: string, name: string): string {
  return createHash('sha256').update(`${cause}\n${name}`).digest('hex').slice(0, 32);
}
