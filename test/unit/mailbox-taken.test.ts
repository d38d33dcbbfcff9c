import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { decodeTaken, encodeTaken, isTaken, lastKnown, nothingTaken, take } from '../../runtime/mailbox/taken.ts';

/** A channel: rising numbers, with jumps, each with its predecessor; and an order in which they are taken. */
const channel = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 60 }).chain((gaps) => {
  let n = 0;
  const entries = gaps.map((gap) => {
    const prev = n;
    n += gap;
    return { n, prev };
  });
  return fc.shuffledSubarray(entries, { minLength: 0 }).map((order) => ({ entries, order }));
});

describe('marks of what was taken', () => {
  test('know exactly the numbers that were taken, in whatever order', () => {
    fc.assert(
      fc.property(channel, ({ entries, order }) => {
        let taken = nothingTaken;
        const model = new Set<number>();
        for (const { n, prev } of order) {
          taken = decodeTaken(encodeTaken(take(taken, n, prev)));
          model.add(n);
          for (const entry of entries) assert.equal(isTaken(taken, entry.n), model.has(entry.n));
        }
      }),
    );
  });

  test('are as long as the number of gaps, not of messages', () => {
    fc.assert(
      fc.property(channel, ({ entries, order }) => {
        const taken = order.reduce((marks, { n, prev }) => take(marks, n, prev), nothingTaken);
        const done = new Set(order.map(({ n }) => n));
        const runs = entries.filter(({ n, prev }) => done.has(n) && prev !== 0 && !done.has(prev)).length;
        assert.ok(taken.length <= runs + 1, `${taken.length} runs for ${runs} gaps`);
        if (order.length === entries.length) assert.deepEqual(taken, [[0, entries.at(-1)?.n]]);
      }),
    );
  });

  test('a settled gap takes what was lost, and nothing of what is in hand before it', () => {
    const places = fc.array(fc.constantFrom('taken', 'in hand'), { maxLength: 30 });
    fc.assert(
      fc.property(
        places,
        fc.integer({ min: 1, max: 5 }),
        fc.array(fc.nat(), { maxLength: 30 }),
        (before, lost, later) => {
          const last = before.length;
          let taken = before.reduce(
            (marks, place, at) => (place === 'taken' ? take(marks, at + 1, at) : marks),
            nothingTaken,
          );
          const inHand = before.flatMap((place, at) => (place === 'in hand' ? [at + 1] : []));
          taken = take(taken, last + lost, lastKnown(taken, last + lost, inHand));
          for (const n of inHand) assert.ok(!isTaken(taken, n), `${n} is in hand`);
          for (let n = 1; n <= last + lost; n++) assert.equal(isTaken(taken, n), !inHand.includes(n));
          assert.ok(!isTaken(taken, last + lost + 1));
          // What is in hand is taken in any order afterwards, and nothing is left open.
          const order = inHand.toSorted((left, right) => (later[left] ?? 0) - (later[right] ?? 0));
          for (const n of order) taken = take(taken, n, n - 1);
          assert.deepEqual(taken, [[0, last + lost]]);
        },
      ),
    );
  });
});
