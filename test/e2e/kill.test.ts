/** One kill of a node on each engine; `kill.long.test.ts` has more moments, and the engine killed with the node. */

import { describe, it } from 'node:test';
import { beds, killAndCompare } from '../support/kill.ts';

const slow = { timeout: 240_000 };

for (const { name, make, skip } of beds)
  describe(`kill -9 of a node on ${name}`, { ...slow, skip }, () => {
    it('loses, repeats and reorders nothing that was acknowledged', slow, (t) =>
      killAndCompare(t, make, 'handling', false),
    );
  });
