import type { Address } from '../address.ts';
import type { ShardStore, StoreOperation } from '../engines/engine.ts';
import type { Envelope } from '../envelope.ts';
import type { ErrorData, ErrorReason } from '../errors.ts';
import { limits } from '../limits.ts';
import type { DeadLetterDetail, DeadLetterView } from '../messaging.ts';
import { redact } from '../redact.ts';
import { resultOperations } from './results.ts';

/**
 * Why a durable message can end unhandled. `WORK_FAILED` alone is about one that was handled, durable or not: what its
 * turn left behind failed at each of its attempts, and was given up.
 */
export const deadLetterReasons = [
  'ATTEMPTS_SPENT',
  'EXPIRED',
  'NOT_FOUND',
  'UNKNOWN_TYPE',
  'INVALID_MESSAGE',
  'LOST',
  'STALE_WRITER',
  'MAILBOX_FULL',
  'WORK_FAILED',
] as const;

export type DeadLetterReason = (typeof deadLetterReasons)[number];

/**
 * A durable message that was taken without being handled, with its whole history. Stored under its envelope's id, which
 * for `WORK_FAILED` is that of the work.
 */
export interface DeadLetter {
  readonly envelope: Envelope;
  readonly reason: DeadLetterReason;
  readonly errors: readonly { readonly atMs: number; readonly message: string }[];
  readonly atMs: number;
}

export function deadLetterOperations(letter: DeadLetter): StoreOperation[] {
  return [
    { op: 'put', table: 'dead', key: letter.envelope.id, value: JSON.stringify(letter) },
    { op: 'rank', index: 'dead', member: letter.envelope.id, score: letter.atMs },
    // What is a copy of a handled message must not take the place of its result.
    ...(letter.reason === 'STALE_WRITER'
      ? []
      : resultOperations(letter.envelope.id, { error: errorOfLetter(letter) }, letter.atMs)),
  ];
}

/** Letters of these reasons have no message that could be sent once more: it is unknown, or was handled. */
export const finalReasons = ['LOST', 'WORK_FAILED'] as const satisfies DeadLetterReason[];

export type FinalReason = (typeof finalReasons)[number];

/** Why a letter cannot be replayed. */
export function finalReasonOf({ reason }: Pick<DeadLetter, 'reason'>): FinalReason | undefined {
  return finalReasons.find((final) => final === reason);
}

/** What whoever waits for the answer of a dead letter hears. */
export function errorOfLetter({ reason, errors }: Pick<DeadLetter, 'reason' | 'errors'>): ErrorData {
  const message = errors.at(-1)?.message ?? letterTexts[reason] ?? `the message ended as a dead letter (${reason})`;
  // What expired between two attempts was started.
  const started = maybeHandled.has(reason) || (reason === 'EXPIRED' && errors.length > 0);
  return { reason: letterErrors[reason], message, outcome: started ? 'unknown' : 'not_started' };
}

const maybeHandled: ReadonlySet<DeadLetterReason> = new Set(['ATTEMPTS_SPENT', 'WORK_FAILED', 'STALE_WRITER']);

const letterErrors: Readonly<Record<DeadLetterReason, ErrorReason>> = {
  ATTEMPTS_SPENT: 'ACTOR_FAILED',
  EXPIRED: 'DEADLINE_EXCEEDED',
  NOT_FOUND: 'NOT_FOUND',
  UNKNOWN_TYPE: 'UNKNOWN_TYPE',
  INVALID_MESSAGE: 'INVALID_MESSAGE',
  LOST: 'UNAVAILABLE',
  STALE_WRITER: 'UNAVAILABLE',
  MAILBOX_FULL: 'MAILBOX_FULL',
  WORK_FAILED: 'ACTOR_FAILED',
};

const letterTexts: Partial<Record<DeadLetterReason, string>> = {
  EXPIRED: 'the message was not handled in time',
  NOT_FOUND: 'nobody has the address of the message',
  MAILBOX_FULL: 'the mailbox is full',
  STALE_WRITER:
    'it came late from a node that is gone: it may be a copy of a message that was handled; look before you replay it',
};

export function discardOperations(id: string): StoreOperation[] {
  return [
    { op: 'delete', table: 'dead', key: id },
    { op: 'unrank', index: 'dead', member: id },
  ];
}

/** The envelope of a letter as it goes out again: a first attempt of the same id, without a deadline that is past. */
export function replayedEnvelope({ envelope }: DeadLetter, nowMs: number): Envelope {
  const { deadlineMs, ...rest } = envelope;
  const keepsDeadline = deadlineMs !== undefined && deadlineMs > nowMs;
  return { ...rest, ...(keepsDeadline ? { deadlineMs } : {}), attempt: 1 };
}

/** The letter that stands for what an engine lost: everything of a channel up to a number. */
export function lostLetter(shard: string, writer: string, upTo: number, atMs: number): DeadLetter {
  return {
    envelope: {
      id: `lost-${shard}-${writer}-${upTo}`,
      to: '/system/mailboxes' as Address,
      type: 'troupe.lost',
      payload: { writer, upTo },
      delivery: 'at-least-once',
      attempt: 1,
    },
    reason: 'LOST',
    errors: [{ atMs, message: 'the storage engine lost messages of this channel up to this number' }],
    atMs,
  };
}

/** What removes the oldest letters of a shard beyond its bound, and which; `more` when another round is needed. */
export async function discardOldestLetters(
  store: ShardStore,
  shard: string,
): Promise<{ readonly operations: StoreOperation[]; readonly ids: string[]; readonly more: boolean }> {
  const excess = (await store.rankedCount(shard, 'dead')) - limits.deadLettersPerShard;
  if (excess <= 0) return { operations: [], ids: [], more: false };
  const count = Math.min(excess, limits.batchEnvelopes);
  const oldest = await store.ranked(shard, 'dead', Number.MAX_SAFE_INTEGER, count);
  return {
    operations: oldest.flatMap(({ member }) => discardOperations(member)),
    ids: oldest.map(({ member }) => member),
    more: excess > oldest.length,
  };
}

export function decodeDeadLetter(text: string): DeadLetter {
  return JSON.parse(text) as DeadLetter;
}

export function deadLetterView(shard: string, letter: DeadLetter): DeadLetterView {
  return {
    id: letter.envelope.id,
    shard,
    address: letter.envelope.to,
    type: letter.envelope.type,
    reason: letter.reason,
    errors: letter.errors,
    atMs: letter.atMs,
    attempts: letter.envelope.attempt,
  };
}

/** A letter with what its message carried, cut and masked for people. */
export function deadLetterDetail(shard: string, letter: DeadLetter): DeadLetterDetail {
  const { payload, delivery, from, headers, deadlineMs } = letter.envelope;
  return {
    ...deadLetterView(shard, letter),
    payload: redact(payload),
    delivery,
    ...(from === undefined ? {} : { from }),
    ...(headers === undefined ? {} : { headers: redact(headers) }),
    ...(deadlineMs === undefined ? {} : { deadlineMs }),
  };
}
