/** What an engine is to who only looks at it. Nothing can be changed through it. */

import { TroupeError, textOf } from '../errors.ts';
import type { MailboxTransport, ShardStore } from './engine.ts';

export interface EngineReading {
  /** For people. */
  readonly description: string;
  /** Shards of the namespace, as they were fixed at its creation. */
  readonly shards: number;
  readonly store: Pick<ShardStore, 'get' | 'all' | 'page' | 'lists' | 'head' | 'length'>;
  readonly transport: Pick<MailboxTransport, 'waiting' | 'active'>;
  /** The engine's own time. */
  nowMs(): Promise<number>;
  close(): Promise<void>;
}

/** What a reading rejects with where the namespace holds nothing. */
export function nothingStored(namespace: string, place: string): TroupeError {
  return new TroupeError(
    'NOT_FOUND',
    `Nothing is stored under the namespace "${namespace}" at ${place}. Name another with --namespace.`,
  );
}

/** An error while an engine is opened for reading, as `UNAVAILABLE` where it is not told better. */
export function unreadable(place: string, error: unknown): TroupeError {
  if (error instanceof TroupeError) return error;
  return new TroupeError('UNAVAILABLE', `${place} cannot be read: ${textOf(error)}`, { cause: error });
}
