import { randomBytes } from 'node:crypto';
import { uuidv7 } from 'uuidv7';

/** A source of chance and of ids. Only this file draws from the process's, so that tests and simulation can stand in. */
export interface Random {
  /** Uniform in [0, 1). */
  next(): number;
  /** A new UUIDv7, RFC 9562. */
  id(): string;
  /** An unguessable token of 128 bits, hexadecimal. */
  nonce(): string;
}

export const systemRandom: Random = {
  next: () => Math.random(),
  id: () => uuidv7(),
  nonce: () => randomBytes(16).toString('hex'),
};
