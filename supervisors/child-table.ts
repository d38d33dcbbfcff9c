/** The table of a supervisor's children, as it begins. */

import type { AutoShutdown } from '../runtime/define-app.ts';
import type { ChildLife, ChildTable } from './child-life.ts';
import type { ChildSpec } from './child-spec.ts';
import type { RestartBudget } from './restart-budget.ts';
import type { Strategy } from './strategy.ts';

export interface TableOptions {
  readonly strategy: Strategy;
  readonly autoShutdown: AutoShutdown;
  readonly onDemand: boolean;
  readonly budget: RestartBudget;
  readonly specs: readonly ChildSpec[];
  /** Whether a child is held by order from the beginning. */
  readonly isHeld: (spec: ChildSpec) => boolean;
}

export function createTable({ strategy, autoShutdown, onDemand, budget, specs, isHeld }: TableOptions): ChildTable {
  const table: ChildTable = {
    strategy,
    autoShutdown,
    onDemand,
    isOver: false,
    children: new Map(),
    order: [],
    budget,
    beginning: true,
    tickets: 0,
    due: new Set(),
    starting: new Set(),
    stopping: new Set(),
    leaving: new Set(),
    restarts: [],
    threadDeaths: [],
  };
  for (const spec of specs) {
    const life = newLife(spec);
    if (isHeld(spec)) Object.assign(life, { held: true, wanted: false, status: 'down' });
    table.children.set(spec.id, life);
    table.order.push(life);
  }
  return table;
}

export function newLife(spec: ChildSpec): ChildLife {
  return {
    spec,
    status: 'waiting',
    wanted: true,
    leaving: false,
    held: false,
    ticket: 0,
    delayTicket: 0,
    incarnation: 0,
    lives: 0,
    naps: 0,
    upAtMs: 0,
    chargedInARow: 0,
    unchargedInARow: 0,
  };
}
