import type { Timer } from '../host/messages.ts';

/**
 * What a shard stores of a persistent actor: a line of JSON, then the snapshot as the thread wrote it, so that the
 * owner never parses nor escapes it.
 */
export interface ActorRecord {
  readonly kind: string;
  /** Version of the definition that wrote the snapshot. */
  readonly version: number;
  /** Shape hash of the logic that wrote the snapshot. */
  readonly shape: string;
  readonly incarnation: number;
  readonly timers: readonly Timer[];
  readonly snapshot: string;
}

export function encodeActorRecord({ snapshot, ...head }: ActorRecord): string {
  return `${JSON.stringify(head)}\n${snapshot}`;
}

export function decodeActorRecord(text: string): ActorRecord {
  const cut = text.indexOf('\n');
  return { ...(JSON.parse(text.slice(0, cut)) as Omit<ActorRecord, 'snapshot'>), snapshot: text.slice(cut + 1) };
}
