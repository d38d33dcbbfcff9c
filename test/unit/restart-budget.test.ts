import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { budgetLeft, freshBudget, spend } from '../../supervisors/restart-budget.ts';

describe('the restart budget', () => {
  it('allows as many restarts as its maximum, refuses the next, and allows it again when the window has slid', () => {
    let budget = freshBudget({ max: 2, withinMs: 1_000 });
    for (const atMs of [0, 400]) {
      const spent = spend(budget, atMs);
      assert.ok(spent);
      budget = spent;
    }
    assert.equal(budgetLeft(budget, 400), 0);
    assert.equal(spend(budget, 999), undefined);
    assert.ok(spend(budget, 1_000));
    assert.equal(budgetLeft(budget, 1_400), 2);
  });

  it('a maximum of zero allows none', () => {
    assert.equal(spend(freshBudget({ max: 0, withinMs: 1 }), 0), undefined);
  });

  it('no window of its length ever holds more than the maximum, and no more is remembered', () => {
    const gapsMs = fc.array(fc.nat(400), { maxLength: 100 });
    fc.assert(
      fc.property(gapsMs, fc.nat(6), fc.integer({ min: 1, max: 2_000 }), (gaps, max, withinMs) => {
        let budget = freshBudget({ max, withinMs });
        let atMs = 0;
        const granted: number[] = [];
        for (const gapMs of gaps) {
          atMs += gapMs;
          const spent = spend(budget, atMs);
          const inWindow = granted.filter((earlierMs) => atMs - earlierMs < withinMs).length;
          assert.equal(spent !== undefined, inWindow < max, 'granted exactly when the window has room');
          if (spent === undefined) continue;
          budget = spent;
          granted.push(atMs);
          assert.ok(budget.spentAtMs.length <= max);
        }
      }),
    );
  });
});
