import { randomBytes, randomFillSync } from 'node:crypto';
import { V7Generator } from 'uuidv7';

/** A source of chance and of ids. Only this file draws from the process's, so that tests and simulation can stand in. */
export interface Random {
  /** Uniform in [0, 1). */
  next(): number;
  /** A new UUIDv7, RFC 9562. */
  id(): string;
  /** An unguessable token of 128 bits, hexadecimal. */
  nonce(): string;
}

/** Random words are drawn by the page: one draw an id was a sixth of the cost of a message between two actors. */
const words = new Uint32Array(1_024);
let nextWord = words.length;

const ids = new V7Generator({
  nextUint32() {
    if (nextWord === words.length) {
      randomFillSync(words);
      nextWord = 0;
    }
    const word = words[nextWord] as number;
    nextWord += 1;
    return word;
  },
});

export const systemRandom: Random = {
  next: () => Math.random(),
  id: () => ids.generate().toString(),
  nonce: () => randomBytes(16).toString('hex'),
};
