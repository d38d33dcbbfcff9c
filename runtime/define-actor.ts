import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { AnyActorLogic, AnyStateMachine, SnapshotFrom, StateMachine, StateValue } from 'xstate';
import type { MessageInfo } from './envelope.ts';
import { TroupeError } from './errors.ts';
import { defaults, limits } from './limits.ts';

/** The schemas of one message type: of its payload and, where it answers, of its reply and of its stream's chunks. */
export interface MessageSpec {
  readonly payload: StandardSchemaV1;
  readonly reply?: StandardSchemaV1;
  readonly chunk?: StandardSchemaV1;
}

export type MessageSpecs = Readonly<Record<string, MessageSpec>>;

/** The events that the logic of an actor with these messages receives. */
export type EventsOf<M extends MessageSpecs> = {
  [K in keyof M & string]: {
    readonly type: K;
    readonly payload: StandardSchemaV1.InferOutput<M[K]['payload']>;
    readonly message: MessageInfo;
  };
}[keyof M & string];

/**
 * What is stored of a persistent actor's state: XState's own snapshot as JSON, to be read by `migrate`. Write
 * `StoredSnapshot<{ count: number }>` to say what the context of the older version was.
 */
export interface StoredSnapshot<Context = unknown> {
  readonly status: string;
  readonly context: Context;
  /** State value of a machine, such as `"idle"` or `{ "lamp": "on" }`; absent for a reducer. */
  readonly value?: unknown;
  /** Invoked and spawned actors by their ids: their source and their own snapshot. */
  readonly children?: Readonly<Record<string, unknown>>;
  /** What history states remember. */
  readonly historyValue?: unknown;
}

/** What `migrate` returns: the state for the present version. What it leaves out stays as it was stored. */
export interface MigratedSnapshot<L extends AnyActorLogic> extends Pick<StoredSnapshot, 'children' | 'historyValue'> {
  readonly context: ContextOf<L>;
  /** A state of the machine as it is now. */
  readonly value?: StateValueOf<L>;
}

type StateValueOf<L extends AnyActorLogic> =
  SnapshotFrom<L> extends { readonly value: infer Value extends StateValue } ? Value : never;

/** The context of an actor with this logic. */
export type ContextOf<L extends AnyActorLogic> = SnapshotFrom<L> extends { readonly context: infer C } ? C : unknown;

/** How the host treats what the logic invokes or spawns from one source. */
export interface InvocationOptions {
  /**
   * What happens to an invocation that was open when a life of its actor ended. `rerun` (default): the next life runs it
   * again, with the same input. `fail`: it is not run again; the logic gets its error event with a `TroupeError`
   * `ACTOR_FAILED` of outcome `unknown`, since it may have had effects; so does one that was only about to begin.
   */
  readonly onInterrupt?: 'rerun' | 'fail';
}

/** The names of the sources that a machine may invoke or spawn; any name where its type does not tell. */
type SourceOf<L extends AnyActorLogic> =
  L extends StateMachine<
    infer _Context,
    infer _Event,
    infer _Children,
    infer Actor,
    infer _Action,
    infer _Guard,
    infer _Delay,
    infer _Value,
    infer _Tag,
    infer _Input,
    infer _Output,
    infer _Emitted,
    infer _Meta,
    infer _Schema,
    infer _TransitionMeta
  >
    ? Actor['src']
    : never;

type InvocationsOf<L extends AnyActorLogic> = [SourceOf<L>] extends [never]
  ? Readonly<Record<string, never>>
  : { readonly [K in SourceOf<L>]?: InvocationOptions };

/** An actor definition: a plain value in a module, loadable on any thread, found by its `kind`. */
export interface ActorDefinition<M extends MessageSpecs = MessageSpecs, L extends AnyActorLogic = AnyActorLogic> {
  readonly kind: string;
  readonly messages: M;
  /** A statechart (`createMachine`) or a reducer (`fromTransition`), stepped as a pure function. Sources are named. */
  readonly logic: L;
  /**
   * `none` (default): the state lives in memory; durable messages are handled at least once.
   * `snapshot`: the state is committed with each turn; durable messages are applied once.
   */
  readonly persist: 'none' | 'snapshot';
  /** Snapshots carry it: one of an older version goes through `migrate`, one of a newer parks its actor. Default 1. */
  readonly version: number;
  readonly migrate?: (snapshot: StoredSnapshot, fromVersion: number) => unknown;
  readonly state?: StandardSchemaV1;
  /** By the name of the source. */
  readonly invocations: Readonly<Record<string, InvocationOptions>>;
  /** Invocations that run at once. */
  readonly concurrency: number;
  readonly mailbox: MailboxBounds;
  /** `Infinity`: never. */
  readonly passivateAfterMs: number;
}

export interface MailboxBounds {
  /** Waiting messages in memory; default 1,000. Beyond it senders hear `MAILBOX_FULL`. */
  readonly ephemeral: number;
  /** Waiting durable messages; default 10,000, soft by one batch per writer. Beyond it senders hear `MAILBOX_FULL`. */
  readonly durable: number;
}

export interface ActorOptions<M extends MessageSpecs, L extends AnyActorLogic> {
  readonly kind: string;
  readonly messages: M;
  readonly logic: L;
  readonly persist?: 'none' | 'snapshot';
  /** A whole number from 1 (the default). Raise it when a stored state needs `migrate` to fit the new logic. */
  readonly version?: number;
  /**
   * Brings the stored state of an older version to the present one, when its actor awakes. Pure and synchronous: it may
   * run again, on any thread, until a turn has committed its result; until then the older code still finds what it
   * stored. Where it throws, or what it returns does not fit, the actor is parked with its mail.
   */
  migrate?(snapshot: StoredSnapshot, fromVersion: number): MigratedSnapshot<NoInfer<L>>;
  /**
   * Schema of the context, checked when a stored state is restored (after `migrate`). The logic sees what the schema
   * returns, so what it returned it has to accept, and to return unchanged. A context that does not pass parks the actor.
   */
  readonly state?: StandardSchemaV1<unknown, ContextOf<NoInfer<L>>>;
  /**
   * What becomes of invocations, by the name of their source in `setup({ actors })`; only with `persist: 'snapshot'`.
   * Within an invocation, `invocation()` tells its id and which attempt it is.
   */
  readonly invocations?: InvocationsOf<NoInfer<L>>;
  /**
   * How many invocations of the actor run at once: promises, callbacks and observables that its logic invoked or spawned,
   * not its child statecharts. 1 to 10,000; default 1,000. Further ones wait in the order in which they began, until one
   * has ended or was let go. The actor goes on taking messages meanwhile; only while 1,000 wait it takes none, and these
   * wait in its mailbox. Turns are always handled one after another.
   */
  readonly concurrency?: number;
  readonly mailbox?: Partial<MailboxBounds>;
  /**
   * Idle milliseconds after which the actor is put to sleep; its next message or timer awakens it. Default 300,000 for
   * `snapshot`; `Infinity` (never) for `none`, which forgets its state with its life. An actor that has something
   * running, invoked, offloaded or spawned, stays awake.
   */
  readonly passivateAfterMs?: number;
}

/**
 * Defines a kind of actor.
 *
 * @throws TroupeError `INVALID_MESSAGE` when the definition cannot work: a bad kind, a message type that XState
 * reserves, or logic that holds live callbacks (invoke such logic from a machine instead).
 */
export function defineActor<const M extends MessageSpecs, L extends AnyActorLogic>(
  options: ActorOptions<M, L>,
): ActorDefinition<M, L> {
  const fault = definitionFault(options);
  if (fault !== undefined) throw new TroupeError('INVALID_MESSAGE', `actor "${String(options.kind)}": ${fault}`);
  return {
    kind: options.kind,
    messages: options.messages,
    logic: options.logic,
    persist: options.persist ?? 'none',
    version: options.version ?? 1,
    ...(options.migrate === undefined ? {} : { migrate: options.migrate }),
    ...(options.state === undefined ? {} : { state: options.state }),
    invocations: (options.invocations ?? {}) as Readonly<Record<string, InvocationOptions>>,
    concurrency: options.concurrency ?? defaults.concurrency,
    mailbox: {
      ephemeral: options.mailbox?.ephemeral ?? limits.ephemeralMailboxMessages,
      durable: options.mailbox?.durable ?? limits.durableMailboxMessages,
    },
    passivateAfterMs:
      options.passivateAfterMs ??
      (options.persist === 'snapshot' ? defaults.passivateAfterMs : Number.POSITIVE_INFINITY),
  };
}

const kindPattern = /^[a-z][a-z0-9-]{0,63}$/;

function definitionFault(options: ActorOptions<MessageSpecs, AnyActorLogic>): string | undefined {
  if (typeof options.kind !== 'string' || !kindPattern.test(options.kind))
    return 'the kind is 1 to 64 of a-z 0-9 -, and begins with a letter';
  for (const type of Object.keys(options.messages)) {
    const typeFault = messageTypeFault(type);
    if (typeFault !== undefined) return typeFault;
  }
  if (typeof options.logic?.transition !== 'function') return 'logic must be XState actor logic';
  if ('start' in options.logic && !('root' in options.logic))
    return 'this logic holds a live callback, promise or observable; invoke it from a machine by a named source';
  const version = options.version ?? 1;
  if (!Number.isSafeInteger(version) || version < 1) return 'version is a whole number from 1';
  const isStored = options.persist === 'snapshot';
  if (!isStored && (options.migrate !== undefined || options.state !== undefined))
    return 'migrate and state are about what is stored: they go with persist: "snapshot"';
  if (options.migrate !== undefined && typeof options.migrate !== 'function') return 'migrate is a function';
  if (options.state !== undefined && typeof options.state['~standard']?.validate !== 'function')
    return 'state is a Standard Schema, such as z.object({ … })';
  const invocationsFault = faultOfInvocations(options);
  if (invocationsFault !== undefined) return invocationsFault;
  const { concurrency = 1 } = options;
  if (!Number.isSafeInteger(concurrency) || concurrency < 1 || concurrency > limits.actorInvocations)
    return `concurrency is a whole number from 1 to ${limits.actorInvocations}`;
  if (!((options.passivateAfterMs ?? 1) > 0)) return 'passivateAfterMs is a number of milliseconds above 0';
  const { shardEphemeralMessages, shardParkedEnvelopes } = limits;
  const { ephemeral = 1, durable = 1 } = options.mailbox ?? {};
  for (const [bound, most] of [
    [ephemeral, shardEphemeralMessages],
    [durable, shardParkedEnvelopes],
  ] as const)
    if (!Number.isSafeInteger(bound) || bound < 1 || bound > most)
      return `mailbox bounds are whole numbers: ephemeral to ${shardEphemeralMessages}, durable to ${shardParkedEnvelopes}, which a whole shard may have`;
  return undefined;
}

function faultOfInvocations({ invocations, persist, logic }: ActorOptions<MessageSpecs, AnyActorLogic>) {
  if (invocations === undefined) return undefined;
  if (persist !== 'snapshot') return 'invocations are about what is stored: they go with persist: "snapshot"';
  const sources = 'root' in logic ? (logic as unknown as AnyStateMachine).implementations.actors : {};
  for (const [source, options] of Object.entries<InvocationOptions | undefined>(invocations)) {
    if (!Object.hasOwn(sources, source)) return `invocations name "${source}", which is no source of the logic`;
    const { onInterrupt = 'rerun' } = options ?? {};
    if (onInterrupt !== 'rerun' && onInterrupt !== 'fail')
      return `invocations: onInterrupt of "${source}" is "rerun" or "fail"`;
  }
  return undefined;
}

/** Why a message type cannot be used; XState would obey some of its own event types if an outsider sent them. */
export function messageTypeFault(type: string): string | undefined {
  if (type === '' || type.length > limits.messageTypeCharacters)
    return `a message type is 1 to ${limits.messageTypeCharacters} characters`;
  if (type.startsWith('xstate.') || type.startsWith('troupe.') || type === '*')
    return `the message type "${type}" is reserved`;
  return undefined;
}
