/**
 * How much one turn says. All of it is one commit, and no engine takes a commit of any size: beyond the bound the turn
 * fails, as if its logic had thrown.
 */

import { limits } from '../limits.ts';

export class TurnSize {
  #number = 0;
  /** Not less than the bytes; from the moment at which that no longer tells, the bytes. */
  #bytes = 0;
  #isExact = false;

  /** Not less than the JSON bytes of what was said. */
  get bytes(): number {
    return this.#bytes;
  }

  get number(): number {
    return this.#number;
  }

  /** One thing more, that takes no place in the commit by itself. @throws RangeError when it is one too many */
  count(): void {
    this.#number += 1;
    if (this.#number > limits.turnEffects) throw beyond();
  }

  /**
   * One thing more; `before`: all that was weighed already.
   *
   * @throws RangeError when it is too much, Error when it is no JSON
   */
  add(said: object, before: () => readonly object[]): void {
    this.count();
    if (!this.#isExact) {
      this.#bytes += atMostJsonBytes(said, limits.turnBytes);
      if (this.#bytes <= limits.turnBytes) return;
      this.#isExact = true;
      this.#bytes = before().reduce((sum, other) => sum + jsonBytes(other), 0);
    }
    this.#bytes += jsonBytes(said);
    if (this.#bytes > limits.turnBytes) throw beyond();
  }
}

function beyond(): RangeError {
  return new RangeError(
    `one turn may have ${limits.turnEffects} effects (tells, answers, chunks, timers, asks, children …), of ` +
      `${limits.turnBytes} bytes as JSON together: split the work over several turns`,
  );
}

/**
 * A stored state as JSON text; `more`: the bytes of what is stored with it.
 *
 * @throws Error when it is none, or too large
 */
export function recordText(state: unknown, more: number): string {
  const text = JSON.stringify(state);
  // Most are far from the bound: no character takes more than three bytes.
  if (3 * text.length + more > limits.actorBytes && Buffer.byteLength(text) + more > limits.actorBytes)
    throw new RangeError(
      `the state of an actor, with its timers, may take ${limits.actorBytes} bytes as JSON: keep large data elsewhere, ` +
        'and a reference to it here',
    );
  return text;
}

/** The bytes of a value as JSON. @throws Error when it is none */
export function jsonBytes(value: unknown): number {
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    throw new Error(`an effect holds a value that is no JSON: ${why}`, { cause: thrown });
  }
  return text === undefined ? 0 : Buffer.byteLength(text);
}

/** The longest number of JSON, such as -1.2345678901234567e-300, and a comma. */
const numberBytes = 25;

/**
 * Not less than the bytes of a value as JSON, found in a fraction of the time that writing it takes; infinite where only
 * writing it would tell, or where it is surely more than `most`.
 */
export function atMostJsonBytes(value: unknown, most: number, depth = 0): number {
  if (typeof value === 'string') return textBytes(value);
  if (typeof value !== 'object' || value === null) return typeof value === 'bigint' ? unknowable : numberBytes;
  if (depth > limits.payloadDepth || (value as { toJSON?: unknown }).toJSON !== undefined) return unknowable;
  let bytes = numberBytes;
  if (Array.isArray(value)) {
    for (const item of value) {
      bytes += atMostJsonBytes(item, most - bytes, depth + 1);
      if (bytes > most) return unknowable;
    }
    return bytes;
  }
  // Inherited names, which JSON leaves out, do no harm here.
  for (const key in value) {
    bytes += textBytes(key) + atMostJsonBytes((value as Record<string, unknown>)[key], most - bytes, depth + 1);
    if (bytes > most) return unknowable;
  }
  return bytes;
}

const unknowable = Number.POSITIVE_INFINITY;

/** Each unit of UTF-16 may be written as \uXXXX; then the quotes and what separates it. */
function textBytes(text: string): number {
  return 6 * text.length + 4;
}
