import { createHash } from 'node:crypto';
import type { Random } from '../../runtime/random.ts';

/** Draws numbers in [0, 1). */
export type Chance = () => number;

/** A new seed, for a run that was given none. */
export function drawSeed(random: Random): number {
  return Math.floor(random.next() * 2 ** 32);
}

/**
 * The chance of one purpose of a run. Each purpose has its own, so that one more fault does not reshuffle the load.
 * (sfc32, from the PractRand collection.)
 */
export function chanceOf(seed: number, purpose: string): Chance {
  const digest = createHash('sha256').update(`${seed} ${purpose}`).digest();
  let [a, b, c, counter] = [0, 4, 8, 12].map((offset) => digest.readInt32LE(offset)) as [
    number,
    number,
    number,
    number,
  ];
  return () => {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return (sum >>> 0) / 2 ** 32;
  };
}

/** One of several; `undefined` of none. */
export function pickOne<Item>(items: readonly Item[], chance: Chance): Item | undefined {
  return items[Math.floor(chance() * items.length)];
}
