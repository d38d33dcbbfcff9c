import type { Address } from '../address.ts';
import type { StoreOperation } from '../engines/engine.ts';
import type { Envelope } from '../envelope.ts';
import { lanes } from '../envelope.ts';
import type { Attempted, Mail } from './mail.ts';

/**
 * How parked mail is stored: a row of the table `parked` for each envelope, whose key puts the rows of an address in the
 * order in which they return, and a row of the table `park` for each address that has parked mail or is held.
 */

export const holdReasons = ['paused', 'unreadable', 'hung', 'backoff'] as const;

/** Why an address is held, and until when. */
export interface Hold {
  /**
   * `paused`: by an operator; until it is resumed. `unreadable`: the stored snapshot does not fit the code, and `hung`: its
   * lives end their threads of themselves; both are tried again by each node that takes the shard. `backoff`: after a
   * failed attempt; until its time.
   */
  readonly why: (typeof holdReasons)[number];
  /** For people. */
  readonly text: string;
  /** Engine time, milliseconds; absent: until somebody releases it. */
  readonly untilMs?: number;
}

/** What the table `park` says of an address. */
export interface ParkRow {
  /** The last position used in each lane. */
  readonly tails: readonly number[];
  /** The highest position of each lane that was handled when this was written: to estimate what is left. */
  readonly handled: readonly number[];
  readonly hold?: Hold;
}

/** Positions begin here, so that there is room before the first. */
export const firstPosition = 1_000_000_000_000_000;

/** Everything of one lane of an address begins so; no address holds a space. */
export const parkedPrefix = (address: Address, lane: number): string => `${address} ${lane}`;

/** `seq` has 16 digits, so that keys sort as numbers do. */
export const parkedKey = (address: Address, lane: number, seq: number): string =>
  `${parkedPrefix(address, lane)}${seq}`;

export function positionOf(key: string): number {
  return Number(key.slice(-String(firstPosition).length));
}

/** The address and lane that a key belongs to. */
export function ownerOf(key: string): { readonly address: Address; readonly lane: number } {
  const cut = key.indexOf(' ');
  return { address: key.slice(0, cut) as Address, lane: Number(key[cut + 1]) };
}

export function parkedOperation(lane: number, seq: number, { envelope, errors }: Mail) {
  return {
    op: 'put',
    table: 'parked',
    key: parkedKey(envelope.to, lane, seq),
    value: JSON.stringify({ envelope, errors }),
  } satisfies StoreOperation;
}

export function decodeParked(value: string): { readonly envelope: Envelope; readonly errors: Attempted[] } {
  return JSON.parse(value) as { envelope: Envelope; errors: Attempted[] };
}

export const emptyTails = (): number[] => lanes.map(() => firstPosition);

/** Positions that a damaged row is taken to have used: more than any address has. */
const damagedPositions = 1_000_000_000_000;

/** How many rows there may be left of an address, as stored. Of a damaged one nothing is known. */
export function rowsLeft({ tails, handled }: ParkRow): number {
  const left = tails.reduce((sum, tail, lane) => sum + tail - (handled[lane] as number), 0);
  return left < damagedPositions ? left : 0;
}

/** Reads a row of the table `park`. A damaged one holds its address, so that nothing is guessed and nothing is lost. */
export function parkRowOf(text: string): ParkRow {
  try {
    const row = JSON.parse(text) as Partial<ParkRow> | null;
    const isRow = (list: unknown): list is number[] =>
      Array.isArray(list) && list.length === lanes.length && list.every(Number.isSafeInteger);
    if (isRow(row?.tails) && isRow(row?.handled)) return row as ParkRow;
  } catch {
    // Told below, as any other damage.
  }
  const advice = 'what is stored about its parked mail is damaged; resume it to read the mail that is there';
  return {
    tails: emptyTails().map((tail) => tail + damagedPositions),
    handled: emptyTails(),
    hold: { why: 'paused', text: advice },
  };
}
