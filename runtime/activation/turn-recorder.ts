/**
 * Turns what the thread says of its turns into what their commit holds and what follows it. It keeps what is stored of
 * the actor, so that nothing is written twice.
 */

import type { Address } from '../address.ts';
import type { ActorDefinition } from '../define-actor.ts';
import type { StoreOperation } from '../engines/engine.ts';
import type { StepRecord, Timer } from '../host/messages.ts';
import { type ActorRecord, forgetOperations, storeOperations, wakefulOperation } from '../mailbox/actor-record.ts';
import type { Mail } from '../mailbox/mail.ts';
import type { Shard } from '../mailbox/shard.ts';
import { letterOfRejected } from './attempts.ts';
import type { DurableTimers } from './durable-timers.ts';
import type { Hand } from './hand.ts';
import type { InvocationRows } from './invocation-rows.ts';
import type { Outputs } from './outputs.ts';

export interface TurnRecorderOptions {
  readonly address: Address;
  readonly definition: ActorDefinition;
  readonly incarnation: number;
  readonly shard: Shard;
  readonly stored: ActorRecord | undefined;
  readonly hand: Hand;
  readonly timers: DurableTimers;
  readonly invocations: InvocationRows;
  readonly outputs: Outputs;
  /** Whether this life goes on, so that a timer may be armed. */
  readonly isRunning: () => boolean;
  readonly count: (name: string, by?: number) => void;
}

/** Turns of one actor, as the thread reports them. */
export interface Turns {
  readonly steps: readonly StepRecord[];
  /** The state after the last of them; `undefined` for an ephemeral actor. */
  readonly snapshot: string | undefined;
  readonly done: boolean;
  /** Something that it invoked or spawned lives after the last of them. */
  readonly open: boolean;
  /** So much of that waits that the actor takes no messages. */
  readonly saturated?: true;
}

/** What is to be committed, and what follows. */
export interface TurnUnit {
  readonly operations: StoreOperation[];
  /** What it takes. */
  readonly mails: Mail[];
  /** What it sets aside, to be taken by a later one. */
  readonly stashed: Mail[];
  readonly after: (() => void)[];
}

export class TurnRecorder {
  readonly #options: TurnRecorderOptions;
  #shape = '';
  /** What is stored, or on its way there, as the version of the code that wrote it. */
  #last: Pick<ActorRecord, 'version' | 'shape' | 'snapshot'> | undefined;
  #open: boolean;
  /** Whether the next owner of the shard awakens it, as stored; `undefined` where a former life wrote it. */
  #wakeful: boolean | undefined;

  constructor(options: TurnRecorderOptions) {
    this.#options = options;
    this.#last = options.stored;
    this.#open = options.invocations.some();
    this.#wakeful = options.stored === undefined ? false : undefined;
  }

  /** The logic has this shape. */
  shaped(shape: string): void {
    this.#shape = shape;
  }

  record({ steps, snapshot, done, open }: Turns): TurnUnit {
    const { address, definition, outputs } = this.#options;
    const unit: TurnUnit = { operations: [], mails: [], stashed: [], after: [] };
    let rowsChanged = false;
    for (const step of steps) rowsChanged = this.#step(step, unit) || rowsChanged;
    this.#open = open;
    rowsChanged = outputs.takeTiesChanged() || rowsChanged;
    const isStored = snapshot === this.#last?.snapshot && this.#last?.version === definition.version;
    if (done && definition.persist === 'snapshot') {
      // What still changes of its rows must not bring its record back.
      this.#last = undefined;
      unit.operations.push(...forgetOperations(address));
    } else if (snapshot !== undefined && (rowsChanged || !isStored)) {
      this.#last = { version: definition.version, shape: this.#shape, snapshot };
      unit.operations.push(...this.#store(this.#last));
    }
    return unit;
  }

  /** A child that it had spawned has ended for good by itself: what is to be committed, if it was wanted still. */
  childEnded(name: string, gen: number): StoreOperation[] {
    return this.#options.outputs.childEnded(name, gen) ? this.again() : [];
  }

  /** What stores the actor as its last turn left it, with rows that have changed since. */
  again(): StoreOperation[] {
    return this.#last === undefined ? [] : this.#store(this.#last);
  }

  /** Answers whether rows beside the snapshot have changed. */
  #step(step: StepRecord, { operations, mails, stashed, after }: TurnUnit): boolean {
    const { hand, timers, invocations, outputs, shard, isRunning } = this.#options;
    const { cause } = step;
    const mail = cause.by === 'message' ? hand.takeMail(cause.message) : undefined;
    if (mail !== undefined && step.stashed) hand.stash(mail);
    if (mail !== undefined) (step.stashed ? stashed : mails).push(mail);
    // Its lease was lost meanwhile: the next owner's run counts, not this one.
    else if (cause.by === 'message') return false;
    if (cause.by === 'timer') {
      hand.dropTimer(cause.timer, cause.gen);
      timers.fired(cause.timer, cause.gen);
    }
    outputs.told(cause);
    const areInvocationsChanged = invocations.step(step, mail);
    if (step.rejected !== undefined && mail !== undefined) {
      const { rejected } = step;
      if (mail.place !== undefined) {
        const letter = shard.writing(letterOfRejected(mail, rejected, shard.now()));
        operations.push(...letter.operations);
        after.push(letter.committed);
      }
      after.push(() => outputs.refuse(mail.envelope.id, rejected));
    }
    for (const id of step.timersCancelled) timers.drop(id);
    for (const set of step.timersSet) {
      if (set.delayMs === null || !Number.isFinite(set.delayMs)) continue;
      const dueMs = set.dueMs ?? shard.now() + set.delayMs;
      const timer: Timer = { id: set.id, gen: step.number, dueMs, event: set.event };
      timers.set(timer);
      after.push(() => {
        if (isRunning()) timers.arm(timer);
      });
    }
    for (const effect of step.effects) outputs.record(effect, operations, after);
    return areInvocationsChanged || touchesTimers(step);
  }

  #store({ version, shape, snapshot }: Pick<ActorRecord, 'version' | 'shape' | 'snapshot'>): StoreOperation[] {
    const { address, definition, incarnation, timers, invocations, outputs } = this.#options;
    const ties = outputs.tiesRow();
    const open = invocations.list();
    const record = {
      kind: definition.kind,
      version,
      shape,
      incarnation,
      timers: timers.list(),
      snapshot,
      ...(ties === undefined ? {} : { ties }),
      ...(open.length === 0 ? {} : { invocations: open }),
    };
    const operations = storeOperations(address, record, timers.firstDueMs());
    const wakeful = this.#open || (ties?.children.length ?? 0) > 0;
    if (wakeful === this.#wakeful) return operations;
    this.#wakeful = wakeful;
    return [...operations, wakefulOperation(address, wakeful)];
  }
}

/** Ids of what these turns begin, once they are committed. */
export function begunIn({ steps }: Turns): string[] {
  return steps.flatMap(({ invoked = [] }) => invoked.map(({ id }) => id));
}

function touchesTimers(step: StepRecord): boolean {
  return step.cause.by === 'timer' || step.timersSet.length > 0 || step.timersCancelled.length > 0;
}
