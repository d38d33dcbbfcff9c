import type { StoreOperation } from '../engines/engine.ts';
import type { Envelope } from '../envelope.ts';
import type { DeadLetterView } from '../messaging.ts';

/** Why a durable message ended unhandled. */
export type DeadLetterReason =
  | 'ATTEMPTS_SPENT'
  | 'EXPIRED'
  | 'NOT_FOUND'
  | 'UNKNOWN_TYPE'
  | 'INVALID_MESSAGE'
  | 'LOST'
  | 'STALE_WRITER';

/** A durable message that was taken without being handled, with its whole history. Stored under its envelope's id. */
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
  ];
}

export function deadLetterView(shard: string, text: string): DeadLetterView {
  const letter = JSON.parse(text) as DeadLetter;
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
