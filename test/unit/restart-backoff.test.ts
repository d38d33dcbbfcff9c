import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { restartDelayMs, restartsInARow } from '../../supervisors/backoff.ts';

const draws = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

describe('the delay before a restart', () => {
  it('is drawn below a ceiling of 100 ms that doubles to 30 s', () => {
    const ceilings = Array.from({ length: 11 }, (_, inARow) => restartDelayMs(inARow, true, 0.999_999_9) + 1);
    assert.deepEqual(ceilings, [100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000]);
  });

  it('never exceeds 200 ms the first time, 30 s charged and 1 s uncharged, however often', () => {
    fc.assert(
      fc.property(fc.nat(1_000_000), draws, (inARow, draw) => {
        assert.ok(restartDelayMs(0, true, draw) <= 200 && restartDelayMs(0, false, draw) <= 200);
        assert.ok(restartDelayMs(inARow, true, draw) <= 30_000);
        assert.ok(restartDelayMs(inARow, false, draw) <= 1_000);
        assert.ok(restartDelayMs(inARow, true, draw) >= 0);
      }),
    );
  });

  it('begins anew after a life as long as the quiet window', () => {
    assert.equal(restartsInARow(7, 59_999, 60_000), 7);
    assert.equal(restartsInARow(7, 60_000, 60_000), 0);
  });
});
