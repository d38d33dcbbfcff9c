/**
 * What a trial is: the stored state of one actor and the turns that wait for it, to be taken through the new code with
 * all effects off, and what would break. These cross the border to the thread that runs the code.
 */

import type { ChildRow } from '../../runtime/activation/ties.ts';
import type { Envelope } from '../../runtime/envelope.ts';
import type { Timer } from '../../runtime/host/messages.ts';

export type TrialTurn = { readonly timer: Timer } | { readonly envelope: Envelope };

export interface Trial {
  readonly address: string;
  /** The stored record as text; absent where mail waits for an actor of which nothing is stored. */
  readonly record?: string;
  /** What its parent wants there, where that is an actor that spawned it. */
  readonly wanted?: ChildRow;
  /** Due timers, then waiting mail, in the order in which they would be handled. */
  readonly turns: readonly TrialTurn[];
  /** Only whether the messages are still taken: they will be handled later, in a state that nobody knows. */
  readonly mailOnly?: true;
}

/**
 * How it would break.
 *
 * | | |
 * |---|---|
 * | `unreadable` | the snapshot does not fit: its actor would be parked |
 * | `rejected` | a waiting message would become a dead letter |
 * | `throws` | a turn, or a first start, fails |
 * | `timer` | no state handles the event of a stored timer |
 * | `child` | a spawned child is of a kind that is gone |
 * | `hangs`, `crashes` | the code does not come back; it ends its thread |
 * | `stalls` | a warning: the state starts on entry what a restore does not start |
 * | `orphaned` | a warning: nobody would awake the actor |
 */
export type Break =
  | 'unreadable'
  | 'rejected'
  | 'throws'
  | 'timer'
  | 'child'
  | 'hangs'
  | 'crashes'
  | 'stalls'
  | 'orphaned';

export const warnings: ReadonlySet<Break> = new Set(['stalls', 'orphaned']);

export interface Finding {
  readonly break: Break;
  readonly address: string;
  /** Kind of the actor; empty where it is not known. */
  readonly kind: string;
  /** State of the machine as JSON text or a bare name; `-` where there is none. */
  readonly state: string;
  readonly why: string;
  /** Type of the message or event. */
  readonly type?: string;
  /** How many turns of this actor it stands for. */
  readonly count: number;
}

export interface TrialResult {
  readonly findings: readonly Finding[];
  readonly migrated: boolean;
  /** The logic is not the one that wrote the snapshot, by its shape. */
  readonly changed: boolean;
  readonly messages: number;
  readonly timers: number;
  /** Nobody in the new tree, and nothing stored, says what lives at this address. */
  readonly unplaced: boolean;
}

/** Where the thread stands, in shared memory, so that a hang can be charged: trial, turn (0 restores), progress. */
export const position = { trial: 0, turn: 1, progress: 2, fields: 3 } as const;
/** `position.trial` while none is in hand. */
export const noTrial = -1;

/** What the thread is started with. */
export interface ThreadStart {
  readonly app: string | undefined;
  /** Settings of the default application. */
  readonly application: unknown;
  readonly position: Int32Array;
}

export type FromThread =
  | { readonly from: 'ready' }
  | { readonly from: 'unusable'; readonly text: string }
  | { readonly from: 'tried'; readonly results: readonly TrialResult[] };
