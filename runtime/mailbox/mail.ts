import type { Envelope } from '../envelope.ts';

/** An envelope in its receiver's hands. */
export interface Mail {
  /** Its `attempt` rises in place with each failed attempt. */
  envelope: Envelope;
  /** Where it came from; absent for ephemeral mail, which has no number and needs no mark. */
  readonly channel?: {
    readonly writer: string;
    readonly n: number;
    readonly prev: number;
    /** Lease epoch under which it was taken in. */
    readonly epoch: number;
    /** Transport jobs that carry it, repeats included. */
    readonly jobs: string[];
  };
  readonly errors: { readonly atMs: number; readonly message: string }[];
}

export const ephemeralMail = (envelope: Envelope): Mail => ({ envelope, errors: [] });
