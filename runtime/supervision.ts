/**
 * What the runtime and the supervisors tell each other, as data. The runtime starts and stops activations and reports
 * how they ended; it never decides about a restart. A supervisor never sees a mailbox.
 */

import type { Address } from './address.ts';
import type { ActorDefinition } from './define-actor.ts';
import type { ErrorData } from './errors.ts';

/** An order to bring an actor to life. */
export interface StartRequest {
  readonly address: Address;
  readonly definition: ActorDefinition;
  readonly input?: unknown;
}

/** How one life of an actor ended. */
export interface ActivationExit {
  readonly address: Address;
  readonly incarnation: number;
  /**
   * `done`: the logic reached its final state. `failed`: it threw. `killed`: by the control door.
   * `thread-lost`: its thread died. `lease-lost`: its shard went to another owner.
   */
  readonly cause: 'done' | 'failed' | 'killed' | 'thread-lost' | 'lease-lost';
  /**
   * Whether the restart counts against the supervisor's budget. A failure that a message caused does not: no sender
   * can spend a supervisor's budget (G7).
   */
  readonly charged: boolean;
  readonly error?: ErrorData;
}

/** The supervisors' side of the runtime. */
export interface Activations {
  /**
   * Starts an actor; resolves with its incarnation when it can take messages. Rejects with a `TroupeError` when its
   * start failed; no exit is reported for a start that failed.
   */
  start(request: StartRequest): Promise<{ readonly incarnation: number }>;
  /** Stops an actor; durable mail stays. Resolves at the latest after `withinMs`. Reports no exit. */
  stop(address: Address, withinMs: number): Promise<void>;
  /** Calls back once for each life that ended without `stop`. */
  onExit(listener: (exit: ActivationExit) => void): void;
}

/** What the runtime asks of the tree. */
export interface SupervisionPort {
  /** Makes sure that the actor at an address is running, starting it where its supervisor is `onDemand`. */
  ensure(address: Address): Promise<'running' | 'absent' | 'restarting'>;
  /** Starts a child of an actor. A name in use is left alone. */
  spawn(
    parent: Address,
    child: { readonly name: string; readonly definition: ActorDefinition; readonly input?: unknown },
  ): Promise<void>;
  /** Stops a child of an actor. */
  stopChild(parent: Address, name: string): Promise<void>;
}
