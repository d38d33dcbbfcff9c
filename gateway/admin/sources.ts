/**
 * What the admin edges read, what they may do with dead letters and with parts of the tree, and the one door for
 * faults. The node that wires everything fills it in; nothing here is computed while nobody asks.
 */

import type { Json } from '../../runtime/envelope.ts';
import type { DeadLetterActions, FaultControl, Inspection } from '../../runtime/messaging.ts';
import type { SubtreeActions } from '../../supervisors/index.ts';

/** One node of the supervision tree, as the supervisors describe it. */
export interface TreeSource {
  readonly address: string;
  readonly role: 'supervisor' | 'actor' | 'thread' | 'system';
  readonly kind: string;
  readonly status: string;
  readonly strategy?: string;
  readonly restarts: number;
  readonly incarnation: number;
  /** Why it failed, is parked or unavailable. */
  readonly error?: string | { readonly message: string };
  readonly children: readonly TreeSource[];
}

export interface ReadinessCheck {
  readonly name: string;
  readonly ok: boolean;
  /** What was found; where it is not ok, what to do. */
  readonly detail?: string;
}

export interface Readiness {
  readonly ready: boolean;
  readonly checks: readonly ReadinessCheck[];
}

/** What the node says about itself: engine, durability, addresses, version, … */
export type Overview = Readonly<Record<string, Json>> & {
  /** What is weak about the engine's durability, for people; empty when nothing is. */
  readonly warnings: readonly string[];
};

/** One configuration value, its secret masked. */
export interface ConfigEntry {
  readonly key: string;
  readonly value: Json;
  /** Where it comes from: flag, environment, file or default. */
  readonly origin: string;
}

export interface AdminSources {
  /** The whole tree, from its root. */
  tree(): TreeSource;
  readonly inspection: Inspection;
  readonly deadLetters: DeadLetterActions;
  readonly subtrees: SubtreeActions;
  /** Absent unless the node was started with `--allow-faults`. */
  readonly faults?: FaultControl;
  readiness(): Promise<Readiness>;
  overview(): Overview;
  config(): readonly ConfigEntry[];
}
