/**
 * Whether what is stored of an actor fits the code that is to take it up, and how an older version of it is brought to
 * the present one. Everything here is pure; whoever calls parks the actor when it does not fit.
 *
 * 1. Nothing is guessed: a state that the machine would have to complete, or whose name is gone, is refused.
 * 2. Nothing is written: the migrated state is stored with the first turn that commits.
 */

import { isDeepStrictEqual } from 'node:util';
import type { AnyStateMachine } from 'xstate';
import type { ActorDefinition, StoredSnapshot } from '../define-actor.ts';
import type { Json } from '../envelope.ts';
import { textOf } from '../errors.ts';
import type { Timer } from '../host/messages.ts';
import { type ActorRecord, decodeActorRecord } from '../mailbox/actor-record.ts';
import type { TiesRow } from './ties.ts';

/** Faults of a context that a reason names. */
const mostIssues = 5;

/** A record as it was read; with `fault` where it is none, and then nothing else of it counts. */
export type ReadRecord = ActorRecord & { readonly fault?: string };

/** Reads a stored record, whatever stands there. */
export function readRecord(text: string): ReadRecord {
  try {
    const record = decodeActorRecord(text);
    if (isRecord(record)) return record;
  } catch {
    // Told below.
  }
  return {
    kind: '',
    version: 0,
    shape: '',
    incarnation: 0,
    timers: [],
    snapshot: '',
    fault: 'the stored record is damaged: it is not what Troupe writes',
  };
}

/** Why a stored record cannot be taken up by this definition, as far as can be told without its logic. */
export function unfitRecord(stored: ReadRecord, definition: ActorDefinition): string | undefined {
  if (stored.fault !== undefined) return stored.fault;
  if (stored.kind !== definition.kind)
    return `the snapshot is of kind "${stored.kind}", the definition of kind "${definition.kind}"`;
  if (stored.version > definition.version)
    return (
      `the snapshot is of version ${stored.version}, newer than the definition's version ${definition.version}: ` +
      'run the newer code again'
    );
  if (stored.version < definition.version && definition.migrate === undefined)
    return (
      `the snapshot is of version ${stored.version}, the definition of version ${definition.version} and has no ` +
      '"migrate"'
    );
  return undefined;
}

/**
 * The stored snapshot as the logic is to restore it: parsed, migrated where it is older, its context checked.
 *
 * @throws Error saying why it does not fit
 */
export function fitSnapshot(
  definition: ActorDefinition,
  machine: AnyStateMachine | undefined,
  text: string,
  version: number,
): StoredSnapshot {
  const stored = parsed(text);
  const present = version === definition.version ? stored : migrated(definition, stored, version);
  if ('value' in present !== (machine !== undefined))
    throw new Error('the stored snapshot is of another sort of logic');
  if (present.status !== 'active') throw new Error(`the stored snapshot is "${String(present.status)}", not active`);
  if (machine !== undefined) {
    const fault = stateFault(machine.root, present.value);
    if (fault !== undefined) throw new Error(fault);
  }
  if (definition.state === undefined) return present;
  return { ...present, context: checkedContext(definition.state, present.context) };
}

/** Refuses what XState made of a snapshot where it left something out or filled something in. */
export function checkRestored(
  stored: StoredSnapshot,
  restored: {
    readonly status: string;
    readonly error?: unknown;
    readonly value?: unknown;
    readonly children?: Readonly<
      Record<string, { getSnapshot(): { readonly status: string; readonly error?: unknown } }>
    >;
  },
): void {
  if (restored.status === 'error') throw restored.error ?? new Error('the stored snapshot is in error');
  if (!isDeepStrictEqual(restored.value, stored.value))
    throw new Error(
      `the state ${stateText(stored.value)} is incomplete in this machine, which has ${stateText(restored.value)}: ` +
        'raise "version" and say in "migrate" which state it is now',
    );
  for (const [name, kept] of Object.entries(stored.children ?? {})) {
    const child = restored.children?.[name];
    if (child === undefined) throw new Error(`the source of the invoked actor "${name}" is no longer provided`);
    const snapshot = child.getSnapshot();
    if (snapshot?.status === 'error' && statusOf(kept) !== 'error')
      throw new Error(`the invoked actor "${name}" cannot be restored: ${textOf(snapshot.error)}`);
  }
}

/** A state value for people: `idle`, or `{"lamp":"on"}`. */
export function stateText(value: unknown): string {
  return typeof value === 'string' ? `"${value}"` : (JSON.stringify(value) ?? 'none');
}

function parsed(text: string): StoredSnapshot {
  let stored: unknown;
  try {
    stored = JSON.parse(text);
  } catch {
    throw new Error('the stored snapshot is damaged: it is no JSON');
  }
  return asSnapshot(stored, 'the stored snapshot is damaged: it is not what Troupe writes');
}

function migrated(definition: ActorDefinition, stored: StoredSnapshot, version: number): StoredSnapshot {
  if (definition.migrate === undefined || version > definition.version)
    throw new Error(`no migration leads from version ${version} to version ${definition.version}`);
  const where = `"migrate" from version ${version} to ${definition.version}`;
  let changes: unknown;
  try {
    changes = definition.migrate(stored, version);
  } catch (thrown) {
    throw new Error(`${where} threw: ${textOf(thrown)}`, { cause: thrown });
  }
  if (changes instanceof Promise) {
    changes.catch(() => {});
    throw new Error(`${where} returned a promise: it has to be synchronous`);
  }
  const advice = `${where} has to return { context } and, for a machine, { value, context }`;
  const named = asSnapshot(changes, advice);
  let text: string;
  try {
    // As it will be read once it is stored.
    text = JSON.stringify({ ...stored, ...named });
  } catch (thrown) {
    throw new Error(`${where} returned what is no JSON: ${textOf(thrown)}`, { cause: thrown });
  }
  return asSnapshot(JSON.parse(text), advice);
}

function asSnapshot(value: unknown, otherwise: string): StoredSnapshot {
  const isSnapshot = typeof value === 'object' && value !== null && !Array.isArray(value) && 'context' in value;
  if (!isSnapshot) throw new Error(otherwise);
  const { children } = value as StoredSnapshot;
  if (children !== undefined && !isPlain(children)) throw new Error(otherwise);
  for (const child of Object.values(children ?? {})) if (!isPlain(child)) throw new Error(otherwise);
  return value as StoredSnapshot;
}

function checkedContext(schema: NonNullable<ActorDefinition['state']>, context: unknown): unknown {
  const result = schema['~standard'].validate(context);
  if (result instanceof Promise) {
    result.catch(() => {});
    throw new Error('the "state" schema is asynchronous; an actor needs a synchronous one');
  }
  if (result.issues === undefined) return result.value;
  const told = result.issues.slice(0, mostIssues).map((issue) => {
    const path = (issue.path ?? []).map((part) => String(typeof part === 'object' ? part.key : part)).join('.');
    return path === '' ? issue.message : `${path}: ${issue.message}`;
  });
  throw new Error(`the stored context does not fit the "state" schema: ${told.join('; ')}`);
}

type StateNode = AnyStateMachine['root'];

/** The first name in a stored state value that the machine does not have. */
function stateFault(node: StateNode, value: unknown): string | undefined {
  const entries: [string, unknown][] =
    typeof value === 'string' ? [[value, undefined]] : isPlain(value) ? Object.entries(value) : [];
  if (typeof value !== 'string' && value !== undefined && !isPlain(value)) return 'the stored state is damaged';
  for (const [name, below] of entries) {
    if (!Object.hasOwn(node.states, name))
      return `the state "${[...node.path, name].join('.')}" does not exist in this machine`;
    const fault = stateFault(node.states[name] as StateNode, below);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function isRecord(record: ActorRecord): boolean {
  const { kind, version, shape, incarnation, timers, ties, invocations, snapshot } = record;
  return (
    typeof kind === 'string' &&
    Number.isSafeInteger(version) &&
    typeof shape === 'string' &&
    Number.isSafeInteger(incarnation) &&
    Array.isArray(timers) &&
    timers.every(isTimer) &&
    (ties === undefined || areTies(ties)) &&
    (invocations === undefined || (Array.isArray(invocations) && invocations.every(isInvocation))) &&
    typeof snapshot === 'string'
  );
}

function isTimer(timer: Partial<Timer> | null): boolean {
  if (!isPlain(timer)) return false;
  const { id, dueMs, event } = timer as Partial<Timer>;
  return (
    typeof id === 'string' &&
    Number.isFinite(dueMs) &&
    isPlain(event) &&
    typeof (event as { readonly type?: Json }).type === 'string'
  );
}

function isInvocation(row: unknown): boolean {
  return (
    isPlain(row) &&
    typeof row.name === 'string' &&
    typeof row.id === 'string' &&
    Number.isSafeInteger(row.attempt) &&
    Array.isArray(row.errors)
  );
}

function areTies(ties: unknown): boolean {
  const { lastGen, children, watches } = (isPlain(ties) ? ties : {}) as Partial<TiesRow>;
  return (
    Number.isSafeInteger(lastGen) &&
    Array.isArray(children) &&
    children.every(
      (row: unknown) =>
        isPlain(row) && typeof row.name === 'string' && typeof row.kind === 'string' && Number.isSafeInteger(row.gen),
    ) &&
    Array.isArray(watches) &&
    watches.every(
      (row: unknown) =>
        isPlain(row) &&
        typeof row.address === 'string' &&
        typeof row.session === 'string' &&
        Number.isSafeInteger(row.incarnation),
    )
  );
}

function isPlain(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const statusOf = (kept: unknown): unknown =>
  (kept as { readonly snapshot?: { readonly status?: unknown } }).snapshot?.status;
