/** Kills of a node on each engine, at random in each moment, and of the engine with it. */

import { describe, it } from 'node:test';
import { beds, killAndCompare, type Moment } from '../support/kill.ts';

const slow = { timeout: 240_000 };
const moments: readonly Moment[] = ['accepting', 'handling', 'accepting', 'handling'];

for (const { name, make, skip } of beds)
  describe(`kill -9 of a node on ${name}, again and again`, { ...slow, skip }, () => {
    for (const [index, moment] of moments.entries())
      it(`loses, repeats and reorders nothing that was acknowledged, kill point ${index + 1}, ${moment}`, slow, (t) =>
        killAndCompare(t, make, moment, false),
      );
    it('nor when the engine is killed with it', slow, (t) => killAndCompare(t, make, 'handling', true));
  });
