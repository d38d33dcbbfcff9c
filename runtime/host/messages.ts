/**
 * Everything that crosses the border between the main thread and a host thread: two tagged unions, each with one
 * `switch` at its far end. Messages travel in arrays, one post for all that gathered in a tick.
 *
 * Invariants:
 * 1. `activation` numbers are unique in the process and never reused; a message for an unknown one is dropped.
 * 2. Turns of an activation are fed in order and stepped in order. After a turn failed the host steps no more of that
 *    activation: its later turns were not started.
 * 3. Turns that must be committed (`commit: true`: every turn of a persistent actor, durable mail of an ephemeral one)
 *    come back as step records and their outputs wait in the record. The outputs of other turns leave at once.
 * 4. What a committed turn wants done on the thread itself (start or stop an invoked actor, send to it) waits for
 *    `committed` with its number.
 */

import type { MessagePort } from 'node:worker_threads';
import type { Termination } from '../death-watch.ts';
import type { Effect } from '../effects.ts';
import type { Envelope, Json } from '../envelope.ts';
import type { ErrorData } from '../errors.ts';
import type { Attempted } from '../mailbox/mail.ts';
import type { OutgoingMessage } from '../messaging.ts';
import type { Behalf, Cause } from './causes.ts';

/** A timer that the logic set: `after`, a delayed raise, or `schedule`. The same id set again replaces the former. */
export interface TimerSet {
  readonly id: string;
  readonly delayMs: number;
  readonly event: Json;
  /** Engine time, milliseconds, where the logic gave a time and no delay. */
  readonly dueMs?: number;
}

/** A timer that is set already, and the JSON bytes of its event. */
export interface SetTimer {
  readonly id: string;
  readonly bytes: number;
}

/** A timer as it is stored and fired. `gen` is the number of the turn that set it, 0 when that was in an earlier life. */
export interface Timer {
  readonly id: string;
  readonly gen: number;
  readonly dueMs: number;
  readonly event: Json;
  /** Its turns that failed. */
  readonly errors?: readonly Attempted[];
}

/** Something that the logic invoked or spawned, and of whose end no committed turn has been told. */
export interface OpenInvocation {
  /** Its id among those of the logic. */
  readonly name: string;
  /** The name of its source. */
  readonly src: string;
  /** The same in each of its attempts; no other has it. */
  readonly id: string;
  readonly sent: boolean;
  /** The first is 1. */
  readonly attempt: number;
  /** It failed too often: the logic goes on without it. */
  readonly struck?: true;
  /** The life before had no time to begin it. */
  readonly unbegun?: true;
  /** Of one that is stored: bytes of its row beside the state, and the message that it goes back to. */
  readonly bytes?: number;
  readonly message?: string;
}

/** A turn as the owner feeds it. */
export type TurnInput =
  | { readonly turn: 'message'; readonly envelope: Envelope; readonly commit: boolean }
  | { readonly turn: 'timer'; readonly timer: Timer };

/** What one turn did, in the order in which the logic said it. No timer id is both set and cancelled. */
export interface StepRecord {
  /** Counts the committed turns of this activation, from 1. */
  readonly number: number;
  readonly cause: Cause;
  readonly effects: readonly Effect[];
  readonly timersSet: readonly TimerSet[];
  readonly timersCancelled: readonly string[];
  /** The message did not fit its schema and never reached the logic; or it expired in the stash; it becomes a dead letter. */
  readonly rejected?: ErrorData;
  /** The message is set aside: it is handled, and taken, by a later turn. */
  readonly stashed?: true;
  /** Invocations that the turn began, and the ids of those that are over with it. */
  readonly invoked?: readonly OpenInvocation[];
  readonly concluded?: readonly string[];
}

/** Why an activation ended or a turn failed. */
export interface TurnFailure {
  readonly cause: Cause;
  readonly error: ErrorData;
}

export type ToHost =
  /** Brings an activation to life; answered by `started` or `startFailed`. */
  | {
      readonly to: 'start';
      readonly activation: number;
      readonly address: string;
      readonly kind: string;
      readonly incarnation: number;
      readonly input: unknown;
      /** The stored snapshot of a persistent actor, as JSON text. */
      readonly snapshot: string | undefined;
      /** Version of the definition that wrote the snapshot; the present one where it is left out. */
      readonly version?: number | undefined;
      /** The timers that are stored with the snapshot. */
      readonly timers?: readonly SetTimer[] | undefined;
      /** The invocations that are open in it. */
      readonly invocations?: readonly OpenInvocation[] | undefined;
    }
  | { readonly to: 'deliver'; readonly activation: number; readonly inputs: readonly TurnInput[] }
  /** Turns up to `number` are committed: do what they want done on the thread. */
  | { readonly to: 'committed'; readonly activation: number; readonly number: number }
  /** Ends an activation that has been idle for so long and has nothing but its state; answered by `passivated`. */
  | { readonly to: 'passivate'; readonly activation: number; readonly idleMs: number }
  /** Ends an activation; its invoked actors are stopped. Answered by `stopped`. */
  | { readonly to: 'stop'; readonly activation: number }
  /** The caller of this message cancelled; reaches the logic as the event `troupe.cancelled`. */
  | { readonly to: 'cancel'; readonly activation: number; readonly message: string }
  /** A life that the actor watches is over; reaches the logic as the event `troupe.terminated`. */
  | { readonly to: 'terminated'; readonly activation: number; readonly termination: Termination }
  /** Answers an `ask` or `tell` that left the thread. */
  | {
      readonly to: 'settled';
      readonly request: number;
      readonly result: { readonly value: Json } | { readonly error: ErrorData };
    }
  | {
      readonly to: 'inspect';
      readonly request: number;
      readonly activations: readonly number[];
      readonly context: boolean;
    }
  /** Answered by `pong`; the watchdog of the main thread counts the time. */
  | { readonly to: 'ping'; readonly sentMs: number }
  /** The fault door. */
  | { readonly to: 'fault'; readonly activation: number; readonly fault: 'crash' | 'hang' };

export interface InspectedActivation {
  readonly activation: number;
  /** State value of a machine, `null` for a reducer. */
  readonly state: Json;
  /** Secrets masked, texts cut. */
  readonly context?: Json;
  readonly waiting: number;
}

export type FromHost =
  | { readonly from: 'ready' }
  /** `shapeChanged`: the stored snapshot came from logic of another shape. `shape` is the hash of this one. */
  | { readonly from: 'started'; readonly activation: number; readonly shape: string }
  /** `restore: true`: the stored snapshot does not fit the logic; the actor is to be parked, not restarted. */
  | { readonly from: 'startFailed'; readonly activation: number; readonly error: ErrorData; readonly restore: boolean }
  /**
   * Turns to commit, as one unit: `snapshot` (persistent actors only) is the state after the last of them.
   * `done`: the logic reached its final state with the last turn.
   */
  | {
      readonly from: 'steps';
      readonly activation: number;
      readonly steps: readonly StepRecord[];
      readonly snapshot: string | undefined;
      readonly done: boolean;
      /** Something that it invoked or spawned lives. */
      readonly open: boolean;
      /** So much of that waits that the actor is to be fed no messages. */
      readonly saturated?: true;
    }
  /** Outputs of turns that need no commit. */
  | {
      readonly from: 'output';
      readonly activation: number;
      readonly effects: readonly Effect[];
      /** The message in hand; where there was none, the cause. */
      readonly by: string | Cause;
    }
  /** So many ephemeral messages left the mailbox of an ephemeral actor (for its bound). */
  | { readonly from: 'handled'; readonly activation: number; readonly count: number }
  /** A turn threw; the activation is over. */
  | { readonly from: 'failed'; readonly activation: number; readonly failure: TurnFailure }
  /** An ephemeral actor reached its final state. */
  | { readonly from: 'done'; readonly activation: number }
  | { readonly from: 'stopped'; readonly activation: number }
  /** `asleep`: the activation is over; else it stays. */
  | { readonly from: 'passivated'; readonly activation: number; readonly asleep: boolean }
  /** An actor, or what it invoked, sends a message; answered by `settled` where `request` is given. */
  | {
      readonly from: 'send';
      readonly activation: number | undefined;
      readonly request: number | undefined;
      readonly kind: 'ask' | 'tell';
      readonly message: OutgoingMessage;
      readonly timeoutMs: number | undefined;
    }
  /**
   * An actor offloads a task. Data and result pass over `port`, which crosses beside the text; `settled` answers only
   * where the task itself cannot.
   */
  | {
      readonly from: 'offload';
      readonly activation: number | undefined;
      readonly request: number;
      readonly task: string;
      readonly id: string;
      readonly timeoutMs: number;
      readonly port: MessagePort;
    }
  /** The signal of an ask or a task that left the thread was aborted. */
  | { readonly from: 'cancelSend'; readonly request: number }
  | { readonly from: 'inspected'; readonly request: number; readonly activations: readonly InspectedActivation[] }
  | { readonly from: 'pong'; readonly sentMs: number; readonly heapUsedBytes: number; readonly heapLimitBytes: number }
  | {
      readonly from: 'log';
      readonly level: 'debug' | 'info' | 'warn' | 'error';
      readonly fields: object;
      readonly message: string;
    };

/** What a host thread is started with. */
export interface HostData {
  readonly slot: number;
  readonly incarnation: number;
  /** URL of the app module. */
  readonly app: string;
}

/** One host, behind which a thread or, in tests, the same process stands. */
export interface Host {
  readonly slot: number;
  readonly incarnation: number;
  post(message: ToHost): void;
  /** Ends the host at once; resolves after its end. `cause` is what its exit will say. */
  terminate(cause?: 'killed' | 'hung'): Promise<void>;
}

export interface HostEvents {
  onMessages(messages: readonly FromHost[]): void;
  /** The host is gone for good; called once, after its thread's `exit` and after all that it said. */
  onExit(exit: {
    readonly cause: 'died' | 'hung' | 'killed' | 'out-of-memory';
    readonly error?: ErrorData;
    /**
     * The fed turn that was being stepped: which one, from 0, of those that were fed to the activation with
     * `commit: true` (or as timers) and that no message of the host has reported.
     */
    readonly inHand?: { readonly activation: number; readonly turn: number };
    /** On whose behalf it was running code that no fed turn stands for, where that could be found out. */
    readonly behalf?: Behalf;
    /** Whose code it was running, in a turn or beside one; absent where that is not known. */
    readonly activation?: number;
  }): void;
}
