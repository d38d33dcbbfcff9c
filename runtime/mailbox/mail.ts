import type { Envelope } from '../envelope.ts';

/** Where durable mail stands in the store until its fate is committed. */
export type Place = ChannelPlace | RowPlace;

/** In a transport job, as it came. */
export interface ChannelPlace {
  readonly at: 'channel';
  readonly writer: string;
  readonly n: number;
  readonly prev: number;
  /** Lease epoch under which it was taken in. */
  readonly epoch: number;
  /** Transport jobs that carry it, repeats included. */
  readonly jobs: string[];
}

/** In a row of its actor: it was parked, and is taken already. */
export interface RowPlace {
  readonly at: 'row';
  readonly lane: number;
  /** Position in its lane. */
  readonly seq: number;
  readonly epoch: number;
}

export interface Attempted {
  readonly atMs: number;
  readonly message: string;
}

/** An envelope in its receiver's hands. */
export interface Mail {
  /** Its `attempt` rises in place with each failed attempt. */
  envelope: Envelope;
  /** Absent for ephemeral mail, which is stored nowhere. Parking moves it from its channel to a row. */
  place?: Place;
  readonly errors: Attempted[];
}

export const ephemeralMail = (envelope: Envelope): Mail => ({ envelope, errors: [] });
