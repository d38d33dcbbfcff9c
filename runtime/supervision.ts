/**
 * What the runtime and the supervisors tell each other, as data. The runtime starts and stops activations and reports
 * how they ended; it never decides about a restart. A supervisor never sees a mailbox.
 */

import type { Address } from './address.ts';
import type { ActorDefinition } from './define-actor.ts';
import type { ErrorData } from './errors.ts';
import type { Behalf } from './host/causes.ts';

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
   * `thread-lost`: its thread died. `lease-lost`: its shard went to another owner. `released`: it was parked for a
   * snapshot that could not be read, and is to be tried again. `passivated`: it was idle and was put to sleep; it is to
   * be started again when `ensure` asks for it. `moved`: it had a quarantine thread, and is to live among others again.
   */
  readonly cause: 'done' | 'failed' | 'killed' | 'thread-lost' | 'lease-lost' | 'released' | 'passivated' | 'moved';
  /**
   * Whether the restart counts against the supervisor's budget. A failure that a message caused does not: no sender
   * can spend a supervisor's budget (G7).
   */
  readonly charged: boolean;
  readonly error?: ErrorData;
  /**
   * With `thread-lost`: names the one death that ended several actors, such as `1@7` (slot, incarnation of the
   * thread). A supervisor charges its budget once for all exits that carry the same name.
   */
  readonly threadDeath?: string;
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
  /**
   * Holds an address, awake or not: its durable mail is parked in the store, its timers wait, ephemeral mail is refused
   * with `PARKED`; what it invoked goes on. Lasts until `resume`, over restarts of the node too. Resolves when that is
   * committed.
   */
  pause(address: Address, reason: string): Promise<void>;
  /** Lets a held address go on, whatever held it. Resolves when that is committed. */
  resume(address: Address): Promise<void>;
  /** With what reason an address is paused, as far as its shard is held here. */
  pauseOf(address: Address): string | undefined;
  /** Calls back once for each life that ended without `stop`. */
  onExit(listener: (exit: ActivationExit) => void): void;
}

/** An actor's wish for a child. */
export interface SpawnOrder {
  readonly name: string;
  readonly definition: ActorDefinition;
  readonly input?: unknown;
  /** Number of the wish, rising for each parent: a wish that is repeated, or comes late, is told by it. */
  readonly gen?: number;
  /** The life of the parent that wishes; a wish of a former one is refused. */
  readonly incarnation?: number;
}

/** What the runtime asks of the tree. */
export interface SupervisionPort {
  /**
   * Makes sure that the actor at an address is running, starting it where its supervisor is `onDemand`. `held`: an
   * operator has stopped it, or what it stands in, and nothing starts it before an operator does.
   */
  ensure(address: Address): Promise<'running' | 'absent' | 'restarting' | 'held'>;
  /** What is known of an actor that is `held`; `undefined` when it is not. A tree without operators has none. */
  held?(address: Address): HeldActor | undefined;
  /**
   * What lives at an address or would, awake or not; `undefined` where that cannot be known before. Looks, and starts
   * nothing. Without it only the definitions of actors that have lived are known.
   */
  specified?(address: Address): ActorDefinition | undefined;
  /** Starts a child of an actor. A name in use is left alone. */
  spawn(parent: Address, child: SpawnOrder): Promise<void>;
  /** Stops a child of an actor; with a generation, none that was wished for after it. */
  stopChild(parent: Address, name: string, gen?: number): Promise<void>;
  /** Whether an actor has children of its own; it is not passivated then, as they would end with it. */
  hasSpawned(owner: Address): boolean;
  /** What death watch lives on; without it nobody can be watched. */
  readonly lives?: Lives;
}

/** An actor that an operator keeps from running. */
export interface HeldActor {
  /** Absent where nobody could know it: below an actor that is held itself. */
  readonly definition: ActorDefinition | undefined;
  /** Who is held and why, and how it is let go. */
  readonly reason: string;
}

/** Beginning or end of one life of an actor, or of a supervisor, as the tree sees it. */
export interface LifeNews {
  readonly type: 'started' | 'ended';
  readonly address: string;
  readonly role: 'actor' | 'supervisor' | 'thread';
  readonly incarnation: number;
  /** Of an end. */
  readonly cause?: TerminationCause;
  /** Of a spawned child that has ended for good by itself: the number of its parent's wish. */
  readonly gen?: number;
}

/**
 * Why a watched life is over: how it ended (see `ActivationExit`); `stopped`: by its supervisor or an operator;
 * `gave-up`, `shutdown`: a supervisor's own end; `absent`: there was none when the watch began, or none came; `unseen`:
 * it ended while the watcher itself was down.
 */
export type TerminationCause =
  | ActivationExit['cause']
  | HostExit['cause']
  | 'stopped'
  | 'gave-up'
  | 'shutdown'
  | 'absent'
  | 'unseen';

/** Who is at an address now; `coming`: it is between two lives. */
export type Presence =
  | { readonly state: 'running'; readonly incarnation: number }
  | { readonly state: 'coming' | 'absent' };

/** Who lives, and who does no longer. */
export interface Lives {
  /** Names this tree among all that ever were: incarnations of ephemeral actors begin anew with each. */
  readonly session: string;
  /** Looks, and starts nothing. */
  presence(address: Address): Presence;
  /** Calls back at each beginning and end of a life; ends come once, before the next beginning. */
  onLife(listener: (news: LifeNews) => void): void;
}

/** How one life of a host thread ended. */
export interface HostExit {
  readonly slot: number;
  readonly incarnation: number;
  /** `died`: by itself. `hung`: the watchdog killed it. `killed`: by the control door. `out-of-memory`: by its heap limit. */
  readonly cause: 'died' | 'hung' | 'killed' | 'out-of-memory';
  /**
   * Whether the restart counts against the budget of `/system/threads`; default: only `died` does, since a hang or
   * an exhausted heap is the work of a message and a kill is an operator's wish (G7).
   */
  readonly charged?: boolean;
  readonly error?: ErrorData;
  /** The actor whose code the thread was running when it died, where that is known. */
  readonly actor?: string;
  /** On whose behalf it hung in code that no fed turn stands for, where that could be found out. */
  readonly behalf?: Behalf;
  /** What the thread was stepping when it died: an activation, and which of its turns that are not yet recorded. */
  readonly inHand?: { readonly activation: number; readonly turn: number };
}

/** What those hear whose host is gone. */
export function errorOfHost({ slot, cause, error }: HostExit): ErrorData {
  const how = cause === 'hung' ? 'hung and was ended' : `was lost (${cause})`;
  const ran = cause === 'hung' && error !== undefined ? `: ${error.message}` : '';
  return { reason: 'ACTOR_FAILED', message: `the host thread ${slot} ${how}${ran}`, outcome: 'unknown' };
}

/** The host threads, as the supervisor at `/system/threads` sees them: numbered slots, from 1. */
export interface HostSlots {
  /** Starts a thread; resolves when it can take actors. Its predecessor has exited by then. */
  start(slot: number): Promise<{ readonly incarnation: number }>;
  /** Stops a thread; resolves at the latest after `withinMs`. Reports no exit. */
  stop(slot: number, withinMs: number): Promise<void>;
  /** Calls back once for each life that ended without `stop`. */
  onExit(listener: (exit: HostExit) => void): void;
}
