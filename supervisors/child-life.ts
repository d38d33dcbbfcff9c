/** What a supervisor knows of its children, and what it may be told to do about them: data only. */

import type { AutoShutdown } from '../runtime/define-app.ts';
import type { ErrorData } from '../runtime/errors.ts';
import type { ChildSpec } from './child-spec.ts';
import type { RestartBudget } from './restart-budget.ts';
import type { ExitCause, Strategy } from './strategy.ts';

/** How a child's life ended, addressed to its supervisor. */
export interface ChildExit {
  readonly id: string;
  readonly incarnation: number;
  readonly cause: ExitCause;
  readonly charged: boolean;
  readonly error?: ErrorData;
  readonly threadDeath?: string;
}

export interface ChildLife {
  readonly spec: ChildSpec;
  /**
   * `waiting`: to be started, when its delay is over or its turn has come. `asleep`: it was idle, and is started again
   * when somebody asks for it.
   */
  status: 'down' | 'asleep' | 'waiting' | 'starting' | 'running' | 'stopping';
  /** Whether it is to be up; false also on its way out. */
  wanted: boolean;
  /** Up or starting, and to be stopped when its turn comes. */
  leaving: boolean;
  /** Stopped by order, until it is revived by order: no restart of its group brings it back. */
  held: boolean;
  /** The start or stop under way. */
  ticket: number;
  /** The restart delay under way; 0 when none is. */
  delayTicket: number;
  incarnation: number;
  /** Lives so far. */
  lives: number;
  /** How often it fell asleep; what followed is no restart. */
  naps: number;
  upAtMs: number;
  chargedInARow: number;
  unchargedInARow: number;
  /** An exit that overtook the news of its start. */
  early?: ChildExit;
  lastExit?: { readonly atMs: number; readonly cause: ExitCause; readonly error?: ErrorData };
}

export interface Restart {
  /** Milliseconds since the epoch. */
  readonly atMs: number;
  readonly child: string;
  readonly cause: ExitCause;
  readonly charged: boolean;
  readonly delayMs: number;
}

export interface ChildTable {
  readonly strategy: Strategy;
  readonly children: Map<string, ChildLife>;
  /** The same in start order, where there is one; empty where the strategy is `dynamic`. */
  readonly order: ChildLife[];
  budget: RestartBudget;
  /** True until every child has been up once. */
  beginning: boolean;
  /** Why the supervisor cannot go on. */
  fault?: ErrorData;
  readonly autoShutdown: AutoShutdown;
  /** Children that sleep are forgotten: any message brings one of that name back. */
  readonly onDemand: boolean;
  /** Its significant children have ended: it is to shut down. */
  isOver: boolean;
  /** Children whose start is due and waits for one of the starts under way to end, where they start in no order. */
  readonly due: Set<string>;
  readonly starting: Set<string>;
  /** Whose own lives say the same of them; kept so that nobody has to look through all. */
  readonly stopping: Set<string>;
  readonly leaving: Set<string>;
  tickets: number;
  /** The last restarts, newest last, bounded. */
  readonly restarts: Restart[];
  /** The last thread deaths that were charged, bounded. */
  readonly threadDeaths: string[];
}

/** What the machine is to do. */
export type Step =
  | { readonly do: 'start' | 'stop'; readonly spec: ChildSpec; readonly ticket: number }
  | { readonly do: 'delay'; readonly ids: readonly string[]; readonly ticket: number; readonly delayMs: number }
  | { readonly do: 'answer'; readonly id: string; readonly incarnation?: number; readonly error?: ErrorData }
  | { readonly do: 'report'; readonly news: ChildNews };

/** What the world may know of a child. */
export interface ChildNews {
  readonly type: 'started' | 'exited' | 'passivated' | 'restarting' | 'stopped';
  readonly spec: ChildSpec;
  readonly incarnation: number;
  readonly cause?: ExitCause;
  readonly delayMs?: number;
  readonly error?: ErrorData;
}

/** The moment of an event, and one draw of chance. */
export interface Moment {
  readonly nowMs: number;
  readonly monotonicMs: number;
  readonly draw: number;
}
