/**
 * Takes stored actors through the code of an app with all effects off: nothing is started, sent or kept. What a turn
 * wants done waits for its commit (`Stepper.finish`), and no turn here is ever committed.
 */

import type { AnyStateMachine } from 'xstate';
import { createProgram } from '../../runtime/activation/machine.ts';
import { asMachine } from '../../runtime/activation/machine-shape.ts';
import { type ReadRecord, readRecord, stateText, unfitRecord } from '../../runtime/activation/restoring.ts';
import type { LogicEvent, Program, Stepper } from '../../runtime/activation/stepper.ts';
import { type Address, nameOf, parentOf } from '../../runtime/address.ts';
import { systemClock } from '../../runtime/clock.ts';
import type { ActorDefinition } from '../../runtime/define-actor.ts';
import type { App } from '../../runtime/define-app.ts';
import { type Envelope, messageInfo } from '../../runtime/envelope.ts';
import { textOf } from '../../runtime/errors.ts';
import type { Timer } from '../../runtime/host/messages.ts';
import { checkMessage } from '../../runtime/host/validate.ts';
import { type ActorSpec, type ChildSpec, type SupervisorSpec, specsOf } from '../../supervisors/child-spec.ts';
import { type Running, stallsOf } from './stalls.ts';
import type { Break, Finding, Trial, TrialResult, TrialTurn } from './trial.ts';

/** Runs one trial; `onTurn` hears of each turn before it begins. */
export type Rehearse = (trial: Trial, onTurn: (turn: number) => void) => TrialResult;

const quiet = {
  onEvent() {},
  onEffect() {},
  onUnaddressed() {},
  onLog() {},
  onSaturated() {},
  within() {},
  newId: () => '',
};

/** Longest reason that is reported, in characters. */
const whyCharacters = 500;

/** @throws TroupeError when the tree of the app is wrong */
export function createRehearsal(app: App): Rehearse {
  const kinds = new Map(app.definitions.map((definition) => [definition.kind, definition]));
  const specOf = specFinder(specsOf(app));
  const programs = new Map<ActorDefinition, Program>();

  const programOf = (definition: ActorDefinition): Program => {
    let program = programs.get(definition);
    if (program === undefined) {
      program = createProgram(definition);
      programs.set(definition, program);
    }
    return program;
  };

  const isBelowActor = (address: Address): boolean => {
    const above = parentOf(address);
    return above !== undefined && (specOf(above) !== undefined || isBelowActor(above));
  };

  return (trial, onTurn) => {
    onTurn(0);
    const stored = trial.record === undefined ? undefined : readRecord(trial.record);
    const spec = specOf(trial.address as Address);
    const definition = spec?.definition ?? kinds.get(stored?.kind ?? trial.wanted?.kind ?? '');
    const notes = new Notes(trial.address, stored?.kind || (definition?.kind ?? ''));
    const nothing = { migrated: false, changed: false, messages: 0, timers: 0 };
    const state = stored === undefined ? '-' : storedState(stored.snapshot);
    if (spec === undefined && !isBelowActor(trial.address as Address)) {
      const why = 'the tree starts nothing at this address, and no actor above it that could';
      if (stored !== undefined) notes.add('orphaned', state, why);
      for (const turn of trial.turns)
        if ('envelope' in turn) notes.add('rejected', state, `NOT_FOUND: ${why}`, turn.envelope.type);
      return { ...nothing, messages: trial.turns.length, findings: notes.findings(), unplaced: false };
    }
    if (definition === undefined) {
      if (stored !== undefined) {
        const known = [...kinds.keys()].join(', ');
        const why = stored.fault ?? `the app defines no kind "${stored.kind}"; it defines: ${known}`;
        notes.add('unreadable', state, why);
      }
      return { ...nothing, findings: notes.findings(), unplaced: stored === undefined };
    }
    if (trial.mailOnly === true) {
      for (const turn of trial.turns) if ('envelope' in turn) accepts(definition, turn.envelope, '-', notes);
      return { ...nothing, messages: trial.turns.length, findings: notes.findings(), unplaced: false };
    }
    const program = programOf(definition);
    const stepper = program.stepper(quiet, systemClock, `${trial.address}#0`);
    const isUp =
      stored === undefined
        ? starts(stepper, () => (spec === undefined ? trial.wanted?.input : spec.input()), notes)
        : takesUp(stepper, program, definition, stored, notes, (kind) => kinds.has(kind));
    if (!isUp) return { ...nothing, findings: notes.findings(), unplaced: false };
    const counts = stepThrough(trial.turns, definition, stepper, notes, onTurn);
    const migrated = stored !== undefined && stored.version !== definition.version;
    const changed = stored !== undefined && !migrated && stored.shape !== program.shape;
    return { ...counts, migrated, changed, findings: notes.findings(), unplaced: false };
  };
}

/** Brings an actor of which nothing is stored to life; false where that fails. */
function starts(stepper: Stepper, input: () => unknown, notes: Notes): boolean {
  try {
    const { failure } = stepper.start(input(), true);
    if (failure === undefined) return true;
    throw failure.thrown;
  } catch (thrown) {
    notes.add('throws', '-', `it does not start: ${textOf(thrown)}`);
    return false;
  }
}

/** Restores an actor, and looks at what it left behind when it was stored; false where it does not fit. */
function takesUp(
  stepper: Stepper,
  program: Program,
  definition: ActorDefinition,
  stored: ReadRecord,
  notes: Notes,
  isKnown: (kind: string) => boolean,
): boolean {
  const unfit =
    definition.persist === 'snapshot'
      ? unfitRecord(stored, definition)
      : `the kind "${definition.kind}" no longer persists: what is stored would not be read`;
  try {
    if (unfit !== undefined) throw new Error(unfit);
    stepper.restore(stored.snapshot, stored.version);
  } catch (thrown) {
    notes.add('unreadable', storedState(stored.snapshot), textOf(thrown));
    return false;
  }
  const state = stateText(stepper.state() ?? '-');
  const machine = asMachine(definition.logic);
  for (const { event } of stored.timers) {
    const type = (event as LogicEvent).type;
    if (machine !== undefined && !handles(machine, type))
      notes.add('timer', state, `no state handles the event "${type}" of a timer`, type);
  }
  for (const { name, kind } of stored.ties?.children ?? [])
    if (!isKnown(kind))
      notes.add('child', state, `its child "${name}" is of the kind "${kind}", which the app does not define`);
  if (stored.version === definition.version && stored.shape === program.shape) return true;
  try {
    const kept = stepper.persisted();
    const again = program.stepper(quiet, systemClock, '/again#0');
    again.restore(kept);
    if (again.persisted() !== kept) throw new Error('"state" returns something else each time');
    if (machine !== undefined)
      for (const why of stallsOf(machine, stepper.state(), running(kept, stored.timers)))
        notes.add('stalls', state, why);
    return true;
  } catch (thrown) {
    notes.add('unreadable', state, `it would be taken up once, and not again: ${textOf(thrown)}`);
    return false;
  }
}

function stepThrough(
  turns: readonly TrialTurn[],
  definition: ActorDefinition,
  stepper: Stepper,
  notes: Notes,
  onTurn: (turn: number) => void,
): { readonly messages: number; readonly timers: number } {
  let messages = 0;
  let timers = 0;
  const gone = new Set<string>();
  for (const [index, turn] of turns.entries()) {
    onTurn(index + 1);
    const state = stateText(stepper.state() ?? '-');
    let event: LogicEvent;
    let message: string | undefined;
    if ('timer' in turn) {
      if (gone.has(turn.timer.id)) continue;
      timers += 1;
      event = turn.timer.event as LogicEvent;
    } else {
      const { envelope } = turn;
      messages += 1;
      const accepted = accepts(definition, envelope, state, notes);
      if (accepted === undefined) continue;
      event = { type: envelope.type, payload: accepted.payload, message: messageInfo(envelope) };
      message = envelope.id;
    }
    const { failure, timersCancelled, timersSet, done } = stepper.step(event, true, message);
    // The logic stays as it was; a node would try again, and make the message a dead letter in the end.
    if (failure !== undefined) notes.add('throws', state, textOf(failure.thrown), event.type);
    for (const id of timersCancelled) gone.add(id);
    for (const { id } of timersSet) gone.add(id);
    if (done) break;
    if (definition.persist !== 'snapshot') continue;
    try {
      stepper.persisted();
    } catch (thrown) {
      notes.add('throws', state, `its state cannot be stored: ${textOf(thrown)}`, event.type);
      break;
    }
  }
  return { messages, timers };
}

/** The payload of a message as the logic would see it; `undefined` where it would become a dead letter. */
function accepts(
  definition: ActorDefinition,
  { type, payload }: Envelope,
  state: string,
  notes: Notes,
): { readonly payload: unknown } | undefined {
  const checked = checkMessage(definition, type, payload);
  if ('payload' in checked) return checked;
  notes.add('rejected', state, `${checked.refused.reason}: ${checked.refused.message}`, type);
  return undefined;
}

/** What was found of one actor: the same break of several turns is one finding. */
class Notes {
  readonly #address: string;
  readonly #kind: string;
  readonly #found = new Map<string, Finding>();

  constructor(address: string, kind: string) {
    this.#address = address;
    this.#kind = kind;
  }

  add(sort: Break, state: string, why: string, type?: string): void {
    const key = `${sort} ${state} ${type ?? ''}`;
    const count = (this.#found.get(key)?.count ?? 0) + 1;
    const first = this.#found.get(key)?.why ?? why.split('\n')[0]?.slice(0, whyCharacters) ?? '';
    this.#found.set(key, {
      break: sort,
      address: this.#address,
      kind: this.#kind,
      state,
      why: first,
      count,
      ...(type === undefined ? {} : { type }),
    });
  }

  findings(): Finding[] {
    return [...this.#found.values()];
  }
}

/** What the tree starts at an address; `undefined` for what only actors spawn. */
function specFinder(top: readonly ChildSpec[]): (address: Address) => ActorSpec | undefined {
  const actors = new Map<string, ActorSpec>();
  const groups = new Map<string, SupervisorSpec>();
  const settle = (specs: readonly ChildSpec[]): void => {
    for (const spec of specs) {
      if (spec.role === 'actor') actors.set(spec.address, spec);
      if (spec.role !== 'supervisor') continue;
      groups.set(spec.address, spec);
      settle(spec.children);
    }
  };
  settle(top);
  return (address) => {
    const known = actors.get(address);
    if (known !== undefined) return known;
    try {
      return groups.get(parentOf(address) ?? '/')?.template?.(nameOf(address));
    } catch {
      return undefined;
    }
  };
}

/** The state that a stored snapshot names, readable or not. */
export function storedState(snapshot: string): string {
  try {
    const { value } = JSON.parse(snapshot) as { readonly value?: unknown };
    return value === undefined ? '-' : stateText(value);
  } catch {
    return '-';
  }
}

function running(kept: string, timers: readonly Timer[]): Running {
  const { children = {} } = JSON.parse(kept) as { readonly children?: object };
  return { children: new Set(Object.keys(children)), timers: new Set(timers.map(({ id }) => id)) };
}

/** Whether any state of a machine has a transition for this event. */
function handles(machine: AnyStateMachine, type: string): boolean {
  return machine.events.some((descriptor) => {
    const name = String(descriptor);
    return name === '*' || name === type || (name.endsWith('.*') && type.startsWith(name.slice(0, -1)));
  });
}
