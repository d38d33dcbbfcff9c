/**
 * How anyone sends a message into the system: the edges, the actors on their threads, the tests. Everything below is
 * data in, data or a `TroupeError` out.
 */

import type { Delivery, Json, Priority } from './envelope.ts';
import type { ErrorData } from './errors.ts';
import type { Hold } from './mailbox/parked-row.ts';

/** A message as its sender writes it. */
export interface OutgoingMessage {
  readonly to: string;
  readonly type: string;
  /** JSON; default `{}`. */
  readonly payload?: Json;
  /** Default: `at-least-once` for a tell to a persistent actor, else `at-most-once`. */
  readonly delivery?: Delivery;
  readonly headers?: Readonly<Record<string, string>>;
  /** Among the messages that wait for an actor the more urgent go first; default `normal`. */
  readonly priority?: Priority;
  /**
   * Milliseconds until the message may be handled, at most 365 days; makes a tell durable. It keeps no order with
   * others. Asks have none.
   */
  readonly delayMs?: number;
  /**
   * 1 to 255 printable characters. Of the messages with one key to one address (and, where the header `tenant` is set,
   * of one tenant) within 24 hours, one is handled; each that has the same type and payload gets its answer, any other is
   * refused with `INVALID_MESSAGE`. Makes the message durable.
   */
  readonly idempotencyKey?: string;
}

/** What an ask needs of an `AbortSignal`; one that stands for a single call can be had for less. */
export interface CancelSignal {
  readonly aborted: boolean;
  addEventListener(type: 'abort', listener: () => void, options?: { readonly once: true }): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}

export interface AskOptions {
  /** Milliseconds; default 30,000, at most 24 h. */
  readonly timeoutMs?: number;
  /** Aborting cancels the ask and tells the actor. */
  readonly signal?: CancelSignal;
  /** Called for each chunk of a streamed answer, in order. */
  readonly onChunk?: (chunk: Json) => void;
}

/** What is known of a message whose result is kept. */
export interface TaskView {
  readonly taskId: string;
  readonly status: 'waiting' | 'done' | 'failed';
  /** Of one that is done. */
  readonly value?: Json;
  /** Of one that failed. */
  readonly error?: ErrorData;
  /** When it was completed, and until when it is kept: engine time, milliseconds. */
  readonly atMs?: number;
  readonly expiresAtMs?: number;
}

/** One sender: a gateway connection, an incarnation of an ephemeral actor. Order (G2) is kept per sender. */
export interface Messaging {
  /**
   * Sends a message that nobody answers. Resolves when it is accepted: in the mailbox for `at-most-once`, acknowledged
   * by the engine for `at-least-once`. Calls made one after another without awaiting keep their order.
   */
  tell(message: OutgoingMessage): Promise<{ readonly messageId: string }>;
  /** Sends a message and waits for its one answer. */
  ask(message: OutgoingMessage, options?: AskOptions): Promise<Json>;
  /**
   * Sends a durable message whose answer is kept for 24 hours, whoever waits. Resolves when it is accepted. Without a
   * timeout it has no deadline.
   */
  submit(message: OutgoingMessage, options?: { readonly timeoutMs?: number }): Promise<{ readonly taskId: string }>;
  /** @throws TroupeError `NOT_FOUND` when there is no such task, or its result is no longer kept */
  result(taskId: string): Promise<TaskView>;
}

/** What inspection shows of one actor. */
export interface ActorView {
  readonly address: string;
  readonly kind: string;
  readonly status: 'starting' | 'running' | 'paused' | 'parked' | 'stopping';
  readonly incarnation: number;
  readonly persist: 'none' | 'snapshot';
  /** Slot of its host thread, from 1. */
  readonly thread: number;
  /** The statechart's state value; `null` for a reducer. */
  readonly state: Json;
  /** The context with secrets masked and long texts cut; absent in lists. */
  readonly context?: Json;
  readonly mailbox: MailboxView;
  /** Why it is parked, paused, or waits before it tries a message again. */
  readonly reason?: string;
}

export interface MailboxView {
  /** Messages handed to the thread and not finished. */
  readonly inHand: number;
  /** Messages that wait in memory. */
  readonly waiting: number;
  /** Durable messages that are not handled yet: in hand, in memory or parked in the store; an estimate. */
  readonly durableWaiting: number;
  readonly ephemeralCapacity: number;
  readonly durableCapacity: number;
}

/** An address whose durable mail is parked in the store, or that is held. */
export interface ParkedView {
  readonly address: string;
  /** Durable messages that wait; an estimate. */
  readonly waiting: number;
  readonly hold?: Hold;
}

export interface DeadLetterView {
  readonly id: string;
  readonly shard: string;
  readonly address: string;
  readonly type: string;
  readonly reason: string;
  readonly errors: readonly { readonly atMs: number; readonly message: string }[];
  readonly atMs: number;
  readonly attempts: number;
}

/** One dead letter with what its message carried: secrets masked, long texts cut. */
export interface DeadLetterDetail extends DeadLetterView {
  readonly payload: Json;
  readonly delivery: Delivery;
  readonly from?: string;
  readonly headers?: Json;
  readonly deadlineMs?: number;
}

/** Which dead letters are meant; what is absent excludes none. */
export interface DeadLetterFilter {
  /** Pattern of the address: `*` for any characters of a segment, `**` for any segments. */
  readonly address?: string;
  readonly reason?: string;
  readonly type?: string;
  /** Written before, and at or after, these times; milliseconds since the epoch. */
  readonly beforeMs?: number;
  readonly afterMs?: number;
}

/** At most `limits.deadLettersPerAction`; by filter the first of them by id. */
export type DeadLetterSelection =
  | { readonly ids: readonly string[] }
  | { readonly filter: DeadLetterFilter; readonly limit: number };

export interface DeadLetterOutcome {
  /** Letters that were found. */
  readonly matched: number;
  /** Letters that were changed: none in a dry run. */
  readonly changed: number;
  /** Ids of those that were changed; in a dry run of those that would be. */
  readonly ids: readonly string[];
  /** What was named and stays as it is. */
  readonly skipped: readonly { readonly id: string; readonly why: 'NOT_FOUND' | 'LOST' | 'WORK_FAILED' }[];
  readonly dryRun: boolean;
}

/** What may be done with dead letters. */
export interface DeadLetterActions {
  /** @throws TroupeError `NOT_FOUND` */
  show(id: string): Promise<DeadLetterDetail>;
  /**
   * Sends the messages once more, under their ids and with new attempts; the letters are gone in the same commit. Keeps
   * no order. A replay that is repeated finds no letter. `LOST` and `WORK_FAILED` letters have no message to send.
   *
   * @throws TroupeError `NOT_FOUND` when none of the named ids is there, `INVALID_MESSAGE` when none can be sent,
   * `UNAVAILABLE` when a shard is not held or was lost meanwhile; repeating it is safe
   */
  replay(selection: DeadLetterSelection, options?: { readonly dryRun?: boolean }): Promise<DeadLetterOutcome>;
  /** Removes the letters. @throws TroupeError `NOT_FOUND`, `UNAVAILABLE` as `replay` does */
  discard(selection: DeadLetterSelection, options?: { readonly dryRun?: boolean }): Promise<DeadLetterOutcome>;
}

/** How a life of a thread ended. */
export interface ThreadExitView {
  /** As in `HostExit`. */
  readonly cause: string;
  /** Milliseconds since the epoch. */
  readonly atMs: number;
  readonly error?: string;
  /** Whose code it was running, where that is known. */
  readonly actor?: string;
}

export interface ThreadView {
  readonly slot: number;
  readonly incarnation: number;
  readonly status: 'starting' | 'running' | 'gone';
  readonly actors: number;
  /** How late the thread's event loop answers, in milliseconds. */
  readonly lagMs: number;
  /** The worst of this life's last minute, about. */
  readonly worstLagMs: number;
  readonly heapUsedBytes: number;
  /** The heap at which the thread ends; 0 before it is known. */
  readonly heapLimitBytes: number;
  /** Whether the heap is nearly full: 80 % of its limit. */
  readonly heapHigh: boolean;
  /** Whether it is kept for messages that are suspected of ending threads. */
  readonly quarantine: boolean;
  /** Lives that ended without being stopped. */
  readonly exits: number;
  /** The last of them. */
  readonly lastExit?: ThreadExitView;
}

export interface ShardView {
  readonly shard: string;
  readonly held: boolean;
  readonly epoch: number;
  /** Commit number. */
  readonly seq: number;
  /** Envelopes in memory. */
  readonly inHand: number;
  readonly outbox: number;
  /** Messages whose time has not come. */
  readonly delayed: number;
  /** Durable messages of all its actors that are parked; an estimate after a take-over. */
  readonly parked: number;
  /** Idempotency keys and results that are kept. */
  readonly kept: number;
}

/** Reading the running system; nothing is computed while nobody asks. */
export interface Inspection {
  /** State, thread and mailbox of the actors that are awake; of all when `addresses` is absent. Without contexts. */
  actors(addresses?: readonly string[]): Promise<ActorView[]>;
  /** One actor with its context. @throws TroupeError `NOT_FOUND` */
  actor(address: string): Promise<ActorView>;
  threads(): ThreadView[];
  shards(): ShardView[];
  /** Addresses with parked mail, or held. */
  parked(): ParkedView[];
  /** Dead letters by ascending id. */
  deadLetters(page: {
    readonly after?: string;
    readonly limit: number;
    readonly filter?: DeadLetterFilter;
  }): Promise<{ readonly items: DeadLetterView[]; readonly nextCursor?: string }>;
  /** Running totals, for metrics; names are snake_case and end in `_total` or name a gauge. */
  counters(): Readonly<Record<string, number>>;
}

/** The one door for faults; closed unless the node was started with `--allow-faults`. */
export interface FaultControl {
  /** The activation fails as if its logic had thrown outside a message. */
  crashActor(address: string): Promise<void>;
  /** The thread of the actor enters an endless loop. */
  hangActor(address: string): Promise<void>;
  /** Ends the host thread at once. */
  killThread(slot: number): Promise<void>;
}
