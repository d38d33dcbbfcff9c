/** Threads that actors have to themselves: who gets one, and who makes room. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Quarantine } from '../../runtime/activation/quarantine.ts';
import type { Address } from '../../runtime/index.ts';
import { defaults } from '../../runtime/limits.ts';
import { createVirtualClock } from '../../runtime/testing/index.ts';

const a = '/work/a' as Address;
const b = '/work/b' as Address;
const own = { activation: 1, sent: false };

/** With one thread to give. */
function quarantine() {
  const clock = createVirtualClock();
  let isFree = true;
  const threads = {
    startExtra: async () => {
      if (!isFree) return undefined;
      isFree = false;
      return 3;
    },
    stop: async () => {
      isFree = true;
    },
  };
  return { clock, kept: new Quarantine(threads, clock) };
}

describe('the quarantine', () => {
  test('has what runs on and does no harm leave for what waits, after a while', async () => {
    const { clock, kept } = quarantine();
    kept.suspect(a, { by: 'invocation', id: 'i' });
    kept.suspect(b, { by: 'message', id: 'm' });
    assert.equal(await kept.threadFor(a), 3);
    const left: Address[] = [];
    kept.lasts(a, () => {
      left.push(a);
      kept.clear(a);
      kept.left(a, 3);
    });
    await assert.rejects(kept.threadFor(b), { reason: 'UNAVAILABLE' });
    assert.deepEqual(left, []);
    await clock.advance(defaults.quarantineMs);
    assert.deepEqual(left, [], 'nobody waits');
    await assert.rejects(kept.threadFor(b), { reason: 'UNAVAILABLE' });
    assert.deepEqual(left, [a]);
    assert.equal(await kept.threadFor(b), 3);
    assert.equal(await kept.threadFor(a), undefined, 'it is suspected no more');
  });

  test('condemns a life that hung of itself twice within a while, and forgets a hang after it', async () => {
    const { clock, kept } = quarantine();
    assert.equal(kept.blame(a, 1, own), false);
    await clock.advance(defaults.hangMemoryMs);
    assert.equal(kept.blame(a, 1, own), false);
    // Of this one it is not known that no message stands behind it.
    assert.equal(kept.blame(a, 1, undefined), false);
    await clock.advance(defaults.hangMemoryMs - 1);
    assert.equal(kept.blame(a, 1, own), true);
    kept.parked(a);
    assert.equal(kept.blame(a, 1, own), false, 'somebody has looked meanwhile');
  });
});
