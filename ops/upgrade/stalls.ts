import type { AnyStateMachine } from 'xstate';

type StateNode = AnyStateMachine['root'];

/** What is stored of an actor beside its state. */
export interface Running {
  /** Ids of the invoked and spawned actors. */
  readonly children: ReadonlySet<string>;
  /** Ids of the timers. */
  readonly timers: ReadonlySet<string>;
}

/**
 * What a restored machine would wait for in vain. A restore enters no state: what a state starts on entry runs only
 * where it was running when the state was stored.
 */
export function stallsOf(machine: AnyStateMachine, value: unknown, { children, timers }: Running): string[] {
  const found: string[] = [];
  for (const node of activeNodes(machine.root, value)) {
    const name = node.path.join('.') || 'the machine';
    if (node.type === 'final' && node.parent === machine.root)
      found.push(`the state "${name}" is final now, but nothing would end the actor`);
    for (const { id, src } of node.invoke)
      if (!children.has(id)) found.push(`the state "${name}" invokes "${String(src)}", which nothing would start`);
    for (const { eventType, delay, guard, target } of node.after) {
      // A timer that fired without leaving the state is rightly gone.
      const leaves = guard === undefined && target?.every((one) => one !== node && !isBelow(one, node)) === true;
      if (leaves && !timers.has(eventType))
        found.push(`the state "${name}" ends after ${String(delay)}, but nothing would set this timer`);
    }
  }
  return found;
}

function activeNodes(node: StateNode, value: unknown): StateNode[] {
  const below: readonly [string, unknown][] =
    typeof value === 'string' ? [[value, undefined]] : Object.entries((value ?? {}) as object);
  return [
    node,
    ...below.flatMap(([name, inner]) => (node.states[name] === undefined ? [] : activeNodes(node.states[name], inner))),
  ];
}

function isBelow(node: StateNode, above: StateNode): boolean {
  return node.parent !== undefined && (node.parent === above || isBelow(node.parent, above));
}
