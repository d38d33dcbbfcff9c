/** What the definition of an XState machine shows: its states, events and sources. */

import { createHash } from 'node:crypto';
import type { AnyActorLogic, AnyStateMachine } from 'xstate';
import type { ActorDefinition } from '../define-actor.ts';
import { limits } from '../limits.ts';

/** The logic as a machine; `undefined` for a reducer. */
export function asMachine(logic: AnyActorLogic): AnyStateMachine | undefined {
  return 'root' in logic ? (logic as unknown as AnyStateMachine) : undefined;
}

/** XState's own bound is infinite: a loop of `always` would hold the thread until the watchdog kills it. */
export function boundMicrosteps(machine: AnyStateMachine): void {
  const options = machine.options as { maxIterations?: number } | undefined;
  if (options !== undefined && !Number.isFinite(options.maxIterations))
    options.maxIterations = limits.machineMicrosteps;
  for (const child of Object.values(machine.implementations.actors)) {
    const nested = typeof child === 'object' && child !== null ? asMachine(child as AnyActorLogic) : undefined;
    if (nested !== undefined && nested.options?.maxIterations === Number.POSITIVE_INFINITY) boundMicrosteps(nested);
  }
}

/** Hash of the sorted message types, state paths, event types and source names. */
export function shapeOf(definition: ActorDefinition, machine: AnyStateMachine | undefined): string {
  const names = Object.keys(definition.messages).map((type) => `message ${type}`);
  if (machine !== undefined) {
    collectStates(machine.root, names);
    for (const type of machine.events) names.push(`event ${String(type)}`);
    for (const [sort, sources] of Object.entries(machine.implementations))
      for (const name of Object.keys(sources)) names.push(`${sort} ${name}`);
  }
  return createHash('sha256').update(names.sort().join('\n')).digest('hex').slice(0, 16);
}

function collectStates(node: AnyStateMachine['root'], names: string[]): void {
  names.push(`state ${node.path.join('.')}`);
  for (const child of Object.values(node.states)) collectStates(child, names);
}
