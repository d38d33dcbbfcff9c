import { createHash } from 'node:crypto';
import type { Clock } from '../clock.ts';
import type { Random } from '../random.ts';

/** Chance that is the same for the same seed, with what tests draw beside `Random`. */
export interface SeededRandom extends Random {
  /** A whole number from `min` to `max`, both included. */
  whole(min: number, max: number): number;
  /** True with this probability. */
  chance(probability: number): boolean;
  /** One of several. @throws RangeError of none */
  pick<Item>(items: readonly Item[]): Item;
}

export interface SeededRandomOptions {
  /** What the chance is for: each purpose has numbers of its own, so that one more draw here moves nothing there. */
  readonly purpose?: string;
  /** Where the time in the ids comes from; default: it stands still. */
  readonly clock?: Clock;
}

/** A source of chance and ids that a seed decides (xoshiro128**, Blackman and Vigna). */
export function createSeededRandom(seed: number, options: SeededRandomOptions = {}): SeededRandom {
  const { purpose = '', clock } = options;
  const digest = createHash('sha256').update(`${seed} ${purpose}`).digest();
  let [a, b, c, d] = [0, 4, 8, 12].map((offset) => digest.readInt32LE(offset)) as [number, number, number, number];
  let ids = 0;

  const word = (): number => {
    const scrambled = Math.imul(rotated(Math.imul(b, 5), 7), 9);
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = rotated(d, 11);
    return scrambled >>> 0;
  };
  const hex = (): string => {
    const drawn = word();
    return `${hexOf[drawn >>> 24]}${hexOf[(drawn >>> 16) & 255]}${hexOf[(drawn >>> 8) & 255]}${hexOf[drawn & 255]}`;
  };
  const next = (): number => word() / 2 ** 32;

  return {
    next,
    id() {
      const time = Math.floor(clock?.now() ?? 0)
        .toString(16)
        .padStart(12, '0');
      // A counter behind the time keeps ids of one millisecond in the order drawn.
      ids = (ids + 1) % 0x1000;
      const tail = `${hex()}${hex()}`;
      const variant = (8 + (word() & 3)).toString(16);
      return `${time.slice(0, 8)}-${time.slice(8)}-7${ids.toString(16).padStart(3, '0')}-${variant}${tail.slice(0, 3)}-${tail.slice(3, 15)}`;
    },
    nonce: () => `${hex()}${hex()}${hex()}${hex()}`,
    whole: (min, max) => min + Math.floor(next() * (max - min + 1)),
    chance: (probability) => next() < probability,
    pick<Item>(items: readonly Item[]): Item {
      if (items.length === 0) throw new RangeError('there is nothing to pick from');
      return items[Math.floor(next() * items.length)] as Item;
    },
  };
}

/** Each byte as two digits: drawing an id was a hundredth of a whole simulation. */
const hexOf = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

const rotated = (value: number, by: number): number => (value << by) | (value >>> (32 - by));
