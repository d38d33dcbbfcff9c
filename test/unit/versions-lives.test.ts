/** An actor through random lives under older and newer code, orderly and killed, against a model of three lines. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createMemorySpace } from '../../runtime/engines/index.ts';
import { TroupeError } from '../../runtime/index.ts';
import { startWorld } from '../support/world.ts';

const life = fc.record({
  version: fc.constantFrom(1, 2),
  /** How far to count; 0 only reads. */
  steps: fc.array(fc.integer({ min: -1, max: 1 }), { maxLength: 3 }),
  killed: fc.boolean(),
});

test('counts each message once and is migrated once, whatever code it lives under', async (t) => {
  const seen = { migrated: 0, parked: 0 };
  const lives = fc.array(life, { minLength: 2, maxLength: 5 });
  const property = fc.asyncProperty(lives, async (drawn) => {
    const space = createMemorySpace();
    let stored = { count: 0, version: 0 };
    let succeeds: number | undefined;
    for (const { version, steps, killed } of drawn) {
      const app = version === 1 ? 'tally' : 'tally-next';
      const world = await startWorld(t, { app, space, ...(succeeds === undefined ? {} : { succeeds }) });
      for (const by of steps) {
        const message = { to: '/tallies/a', type: by === 0 ? 'read' : 'add', payload: by === 0 ? {} : { by } };
        const answer = await world.messaging.ask(message, { timeoutMs: 5_000 }).catch((error: unknown) => error);
        if (stored.version > version) {
          assert.ok(answer instanceof TroupeError && answer.reason === 'PARKED', String(answer));
          seen.parked += 1;
          continue;
        }
        const isMigrated = stored.version === 1 && version === 2;
        if (isMigrated) seen.migrated += 1;
        stored = { count: stored.count + (isMigrated ? 1 : 0) + by, version };
        assert.equal(answer, stored.count);
      }
      succeeds = killed ? world.runtime.nodeEpoch : undefined;
      if (killed) world.abandon();
      else await world.close();
    }
  });
  await fc.assert(property, { numRuns: 80 });
  assert.ok(seen.migrated > 0 && seen.parked > 0, JSON.stringify(seen));
});
