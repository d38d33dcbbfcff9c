/** Random histories of commits, beside the memory engine as the model. */

import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Lease, StoreOperation } from '../../../runtime/engines/engine.ts';
import { createMemoryEngine } from '../../../runtime/engines/memory.ts';
import { type Check, commit, dump, indexes, shards, tables, take } from './space.ts';

const key = fc.constantFrom('a', 'b', '/x/y', 'NULL', '"', '\\', '{,}', '\u{10000}', '\uFFFD', 'é', '%_');
const value = fc.oneof(
  fc.constantFrom('', 'NULL', '{"a":"\\u0000"}', '\\', '\t\n\r', '"'),
  fc.string({ unit: 'grapheme' }),
);
const operation: fc.Arbitrary<StoreOperation> = fc.oneof(
  fc.record({ op: fc.constant('put' as const), table: fc.constantFrom(...tables), key, value }),
  fc.record({ op: fc.constant('delete' as const), table: fc.constantFrom(...tables), key }),
  fc.record({ op: fc.constant('append' as const), list: key, value }),
  fc.record({ op: fc.constant('drop' as const), list: key, count: fc.nat(4) }),
  fc.record({
    op: fc.constant('rank' as const),
    index: fc.constantFrom(...indexes),
    member: key,
    // No engine tells -0 from 0.
    score: fc.oneof(fc.integer(), fc.double({ noNaN: true, noDefaultInfinity: true })).map((score) => score + 0),
  }),
  fc.record({ op: fc.constant('unrank' as const), index: fc.constantFrom(...indexes), member: key }),
);
const step = fc.record({
  operations: fc
    .array(operation, { maxLength: 30 })
    .filter((operations) =>
      operations.every((one) => !('value' in one) || (one.value.isWellFormed() && !one.value.includes('\0'))),
    ),
  seqShift: fc.oneof({ weight: 5, arbitrary: fc.constant(0) }, fc.constantFrom(-1, 1)),
});

export function historyContract(check: Check, runs: number): void {
  check('random histories leave what they leave on the memory engine', async ({ open }) => {
    const real = await open();
    const model = createMemoryEngine({ namespace: 'model', shards });
    await model.open();
    let round = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 8 }), async (history) => {
        round += 1;
        const shard = `h${round}`;
        const engines = [real, model] as const;
        const leases = await Promise.all(engines.map((engine) => take(engine, shard, 1)));
        let seq = 0;
        for (const { operations, seqShift } of history) {
          const results = await Promise.all(
            engines.map((engine, index) => commit(engine, leases[index] as Lease, seq + seqShift, operations)),
          );
          assert.equal(results[0], results[1]);
          if (results[0] === 'committed') seq += 1;
        }
        assert.deepEqual(await dump(real, shard), await dump(model, shard));
      }),
      { numRuns: runs },
    );
  });
}
