import type { Envelope } from '../envelope.ts';
import { limits } from '../limits.ts';

/** An envelope with its number on the channel, and the number before it there. */
export interface Numbered {
  readonly n: number;
  readonly prev: number;
  readonly envelope: Envelope;
}

/** What one BullMQ job carries. */
export interface Batch {
  readonly writer: string;
  readonly entries: readonly Numbered[];
}

/** The writer name of a node epoch: everything that has no outbox sends through it. */
export const nodeWriter = (epoch: number): string => `node:${epoch}`;

/** The epoch of a node writer; `undefined` for the outbox of a shard. */
export function epochOfWriter(writer: string): number | undefined {
  return writer.startsWith('node:') ? Number(writer.slice('node:'.length)) : undefined;
}

/** How many of the first items go into one batch: at most 256, at most 1 MB, at least one. */
export function batchLength(sizesBytes: readonly number[]): number {
  let bytes = 0;
  let count = 0;
  for (const size of sizesBytes) {
    if (count === limits.batchEnvelopes || (count > 0 && bytes + size > limits.batchBytes)) break;
    bytes += size;
    count++;
  }
  return count;
}

/** Builds the text of a job from entries that are JSON already. */
export function encodeBatch(writer: string, entries: readonly string[]): string {
  return `{"writer":${JSON.stringify(writer)},"entries":[${entries.join(',')}]}`;
}

/** `envelopeText` is the envelope as JSON. */
export function encodeEntry(n: number, prev: number, envelopeText: string): string {
  return `{"n":${n},"prev":${prev},"envelope":${envelopeText}}`;
}

/** Reads the text of a job; `undefined` when Troupe did not write it. */
export function decodeBatch(data: string): Batch | undefined {
  try {
    const batch = JSON.parse(data) as Partial<Batch> | null;
    return typeof batch?.writer === 'string' && Array.isArray(batch.entries) ? (batch as Batch) : undefined;
  } catch {
    return undefined;
  }
}
