/** What waits for the actors of a shard: their mail, in the order in which they would handle it, and their due timers. */

import { readRecord } from '../../runtime/activation/restoring.ts';
import type { EngineReading } from '../../runtime/engines/reading.ts';
import type { Envelope } from '../../runtime/envelope.ts';
import { decodeBatch } from '../../runtime/mailbox/batch.ts';
import { decodeTaken, isTaken, type Taken } from '../../runtime/mailbox/taken.ts';
import type { TrialTurn } from './trial.ts';

interface Waiting {
  readonly writer: string;
  readonly n: number;
  readonly envelope: Envelope;
}

/** Waiting mail by address. */
export type WaitingMail = ReadonlyMap<string, readonly Waiting[]>;

/** Reads the transport jobs of a shard: `waiting` first, for jobs move only from there to `active`. */
export async function readWaitingMail(reading: EngineReading, shard: string): Promise<WaitingMail> {
  const waiting = await reading.transport.waiting(shard);
  const active = await reading.transport.active(shard);
  const channels = new Map<string, Map<number, Envelope>>();
  for (const job of [...active, ...waiting]) {
    const batch = decodeBatch(job.data);
    if (batch === undefined) continue;
    const channel = channels.get(batch.writer) ?? new Map<number, Envelope>();
    channels.set(batch.writer, channel);
    // A repeat carries the same.
    for (const { n, envelope } of batch.entries) channel.set(n, envelope);
  }
  const mail = new Map<string, Waiting[]>();
  for (const [writer, channel] of channels)
    for (const n of [...channel.keys()].sort((a, b) => a - b)) {
      const envelope = channel.get(n) as Envelope;
      const found = mail.get(envelope.to);
      if (found === undefined) mail.set(envelope.to, [{ writer, n, envelope }]);
      else found.push({ writer, n, envelope });
    }
  return mail;
}

/** What was taken on each channel of a shard. */
export async function readTaken(reading: EngineReading, shard: string): Promise<ReadonlyMap<string, Taken>> {
  const rows = await reading.store.all(shard, 'in');
  return new Map([...rows].map(([writer, text]) => [writer, decodeTaken(text)]));
}

/** The turns of one actor: due timers by their time, then mail that was not taken and has not expired. */
export function turnsOf(
  record: string | undefined,
  mail: readonly Waiting[],
  taken: ReadonlyMap<string, Taken>,
  nowMs: number,
): TrialTurn[] {
  const timers = record === undefined ? [] : readRecord(record).timers;
  const due = timers.filter((timer) => timer.dueMs <= nowMs).sort((a, b) => a.dueMs - b.dueMs);
  const left = mail.filter(({ writer, n, envelope }) => {
    const marks = taken.get(writer);
    if (marks !== undefined && isTaken(marks, n)) return false;
    return envelope.deadlineMs === undefined || envelope.deadlineMs >= nowMs;
  });
  return [...due.map((timer) => ({ timer })), ...left.map(({ envelope }) => ({ envelope }))];
}
