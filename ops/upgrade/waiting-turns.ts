/**
 * What waits for the actors of one shard: due timers, then mail in the order in which it would be handled, which is by
 * lane, and in each lane what is parked before what stands in transport jobs.
 *
 * A node may be moving mail meanwhile. Jobs are read before the records, parked mail after them, and the marks of what
 * was taken last: so no message is stepped on a state that holds it already, and none twice.
 */

import { readRecord } from '../../runtime/activation/restoring.ts';
import type { ChildRow } from '../../runtime/activation/ties.ts';
import { type Address, nameOf, parentOf } from '../../runtime/address.ts';
import type { EngineReading } from '../../runtime/engines/reading.ts';
import { type Envelope, laneOf, lanes } from '../../runtime/envelope.ts';
import { textOf } from '../../runtime/errors.ts';
import { limits } from '../../runtime/limits.ts';
import { decodeBatch } from '../../runtime/mailbox/batch.ts';
import { decodeParked, parkedPrefix } from '../../runtime/mailbox/parked-row.ts';
import { shardOf } from '../../runtime/mailbox/shards.ts';
import { decodeTaken, isTaken, type Taken } from '../../runtime/mailbox/taken.ts';
import { CommandFailed } from '../cli/failure.ts';
import { exitCodes } from '../exit-codes.ts';
import type { Trial, TrialTurn } from './trial.ts';

interface InJob {
  readonly writer: string;
  readonly n: number;
  readonly envelope: Envelope;
}

export class WaitingTurns {
  readonly #reading: EngineReading;
  readonly #shard: string;
  readonly #nowMs: number;
  readonly #inJobs: Map<string, InJob[]>;
  /** Addresses with parked mail. */
  readonly #parked: Set<string>;

  private constructor(
    reading: EngineReading,
    shard: string,
    nowMs: number,
    jobs: Map<string, InJob[]>,
    parked: string[],
  ) {
    this.#reading = reading;
    this.#shard = shard;
    this.#nowMs = nowMs;
    this.#inJobs = jobs;
    this.#parked = new Set(parked);
  }

  static async read(reading: EngineReading, shard: string): Promise<WaitingTurns> {
    const nowMs = await reading.nowMs();
    const parked = await reading.store.all(shard, 'park');
    return new WaitingTurns(reading, shard, nowMs, await readJobs(reading, shard), [...parked.keys()]);
  }

  /** Trials of stored records, as one page of them was read. */
  async ofRecords(page: readonly { readonly key: string; readonly value: string }[]): Promise<Trial[]> {
    const turns = await this.#turnsOf(page.map(({ key, value }) => ({ address: key, record: value })));
    return page.map(({ key, value }, index) => ({ address: key, record: value, turns: turns[index] ?? [] }));
  }

  /** Trials of the addresses that have mail and no record; called when all records were read. */
  async ofOthers(): Promise<Trial[]> {
    const others = [...new Set([...this.#inJobs.keys(), ...this.#parked])].map((address) => ({ address }));
    const turns = await this.#turnsOf(others);
    const trials = others.map(async ({ address }, index): Promise<Trial> => {
      const wanted = turns[index]?.length === 0 ? undefined : await this.#wantedAt(address as Address);
      return { address, turns: turns[index] ?? [], ...(wanted === undefined ? {} : { wanted }) };
    });
    return (await Promise.all(trials)).filter((trial) => trial.turns.length > 0);
  }

  /** What the actor above an address has spawned there. */
  async #wantedAt(address: Address): Promise<ChildRow | undefined> {
    const parent = parentOf(address);
    if (parent === undefined) return undefined;
    const text = await this.#reading.store.get(shardOf(parent, this.#reading.shards), 'actor', parent);
    const rows = text === undefined ? undefined : readRecord(text).ties?.children;
    return rows?.find(({ name }) => name === nameOf(address));
  }

  /** Mail whose time has not come, page by page: it is only checked, for nobody knows the state that it will meet. */
  async *delayed(pageRows: number): AsyncGenerator<Trial[]> {
    const { store } = this.#reading;
    for await (const rows of pages(this.#reading, this.#shard, 'delayed', pageRows)) {
      const byAddress = Map.groupBy(
        rows.flatMap(({ value }) => envelopeOf(value)),
        ({ to }) => to,
      );
      const trials = [...byAddress].map(async ([address, envelopes]): Promise<Trial> => {
        const record = await store.get(this.#shard, 'actor', address);
        const turns = envelopes.map((envelope) => ({ envelope }));
        return { address, turns, mailOnly: true, ...(record === undefined ? {} : { record }) };
      });
      yield await Promise.all(trials);
    }
  }

  async #turnsOf(actors: readonly { readonly address: string; readonly record?: string }[]): Promise<TrialTurn[][]> {
    const parked = new Map<string, Envelope[]>();
    for (const { address } of actors)
      if (this.#parked.delete(address)) parked.set(address, await this.#readParked(address as Address));
    const anyInJobs = actors.some(({ address }) => this.#inJobs.has(address));
    const taken = anyInJobs ? await readTaken(this.#reading, this.#shard) : new Map<string, Taken>();
    return actors.map(({ address, record }) => {
      const inJobs = (this.#inJobs.get(address) ?? []).filter(({ writer, n }) => !isTakenOf(taken, writer, n));
      this.#inJobs.delete(address);
      const mail = [...(parked.get(address) ?? []), ...inJobs.map(({ envelope }) => envelope)];
      const alive = mail.filter(({ deadlineMs }) => deadlineMs === undefined || deadlineMs >= this.#nowMs);
      const inLanes = lanes.flatMap((_, lane) => alive.filter((envelope) => laneOf(envelope) === lane));
      const timers = record === undefined ? [] : readRecord(record).timers;
      const due = timers.filter(({ dueMs }) => dueMs <= this.#nowMs).sort((a, b) => a.dueMs - b.dueMs);
      return [...due.map((timer) => ({ timer })), ...inLanes.map((envelope) => ({ envelope }))];
    });
  }

  async #readParked(address: Address): Promise<Envelope[]> {
    const found: Envelope[] = [];
    for (const lane of lanes.keys()) {
      const prefix = parkedPrefix(address, lane);
      for await (const rows of pages(this.#reading, this.#shard, 'parked', limits.parkedPageEnvelopes, prefix)) {
        const own = rows.filter(({ key }) => key.startsWith(prefix));
        found.push(...own.flatMap(({ value }) => envelopeOf(value)));
        if (own.length < rows.length) break;
      }
    }
    return found;
  }
}

/** Reads the transport jobs of a shard: `waiting` first, for jobs move only from there to `active`. */
async function readJobs({ transport }: EngineReading, shard: string): Promise<Map<string, InJob[]>> {
  const waiting = await transport.waiting(shard);
  const active = await transport.active(shard);
  const channels = new Map<string, Map<number, Envelope>>();
  for (const job of [...active, ...waiting]) {
    const batch = decodeBatch(job.data);
    if (batch === undefined) continue;
    const channel = channels.get(batch.writer) ?? new Map<number, Envelope>();
    channels.set(batch.writer, channel);
    // A repeat carries the same.
    for (const entry of batch.entries)
      if (Number.isSafeInteger(entry?.n) && isEnvelope(entry.envelope)) channel.set(entry.n, entry.envelope);
  }
  const mail = new Map<string, InJob[]>();
  for (const [writer, channel] of channels)
    for (const n of [...channel.keys()].sort((a, b) => a - b)) {
      const envelope = channel.get(n) as Envelope;
      const found = mail.get(envelope.to) ?? [];
      mail.set(envelope.to, found);
      found.push({ writer, n, envelope });
    }
  return mail;
}

/** What was taken on each channel of a shard. */
async function readTaken({ store }: EngineReading, shard: string): Promise<ReadonlyMap<string, Taken>> {
  const rows = await store.all(shard, 'in');
  try {
    return new Map([...rows].map(([writer, text]) => [writer, decodeTaken(text)]));
  } catch (error) {
    const why = `what ${shard} has taken is damaged: ${textOf(error)}`;
    throw new CommandFailed(exitCodes.unknown, why, 'no node takes this shard either: bring it back from a backup');
  }
}

function isTakenOf(taken: ReadonlyMap<string, Taken>, writer: string, n: number): boolean {
  const marks = taken.get(writer);
  return marks !== undefined && isTaken(marks, n);
}

/** The rows of a table behind a key, page by page. */
export async function* pages(
  { store }: EngineReading,
  shard: string,
  table: 'actor' | 'parked' | 'delayed',
  pageRows: number,
  behind = '',
): AsyncGenerator<{ readonly key: string; readonly value: string }[]> {
  let after = behind;
  for (;;) {
    const rows = await store.page(shard, table, after, pageRows);
    const last = rows.at(-1);
    if (last === undefined) return;
    yield rows;
    if (rows.length < pageRows) return;
    after = last.key;
  }
}

/** A damaged row holds no message that could be stepped. */
function envelopeOf(row: string): Envelope[] {
  try {
    const { envelope } = decodeParked(row);
    return isEnvelope(envelope) ? [envelope] : [];
  } catch {
    return [];
  }
}

function isEnvelope(envelope: Partial<Envelope> | undefined): envelope is Envelope {
  return typeof envelope?.to === 'string' && typeof envelope.type === 'string' && typeof envelope.id === 'string';
}
