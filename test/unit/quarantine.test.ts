/** Threads that actors have to themselves: who gets one, and who makes room. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Quarantine } from '../../runtime/activation/quarantine.ts';
import type { Address } from '../../runtime/index.ts';
import { defaults } from '../../runtime/limits.ts';
import { createVirtualClock } from '../../runtime/testing/index.ts';

const a = '/tasks/a' as Address;
const b = '/tasks/b' as Address;

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
    const leave = (): void => {
      left.push(a);
      kept.clear(a);
      kept.left(a, 3);
    };
    kept.lasts(a, { isIdle: () => false, leave });
    await assert.rejects(kept.threadFor(b), { reason: 'UNAVAILABLE' });
    assert.deepEqual(left, []);
    await clock.advance(defaults.quarantineMs);
    assert.deepEqual(left, [], 'nobody waits');
    await assert.rejects(kept.threadFor(b), { reason: 'UNAVAILABLE' });
    assert.deepEqual(left, [a]);
    assert.equal(await kept.threadFor(b), 3);
    assert.equal(await kept.threadFor(a), undefined, 'it is suspected no more');
  });

  test('a life that ends its thread of itself twice within a while was tried; not where a message may stand behind it', async () => {
    const { clock, kept } = quarantine();
    const blame = (hadMail = false): boolean => kept.blame(a, 1, 'i', hadMail);
    assert.equal(blame(), false);
    await clock.advance(defaults.hangMemoryMs);
    assert.equal(blame(), false, 'the first is forgotten');
    assert.equal(blame(true), false);
    await clock.advance(defaults.hangMemoryMs - 1);
    assert.equal(blame(), true);
    kept.condemn(a, 'it hung');
    assert.equal(kept.takeCondemned(a), 'it hung');
    assert.equal(kept.takeCondemned(a), undefined);
    assert.equal(kept.suspectOf(a), undefined);
    assert.equal(blame(), false, 'somebody has looked meanwhile');
  });

  test('takes who ended a thread alone, or by what is not tried again, and lets it go once it is trusted', async () => {
    const { clock, kept } = quarantine();
    // The first time in a thread with others: it is to be tried again, and may be innocent.
    kept.suspect(a, { by: 'message', id: 'm' });
    kept.offended(a);
    assert.equal(kept.distrusts(a), false);
    assert.equal(await kept.threadFor(a), 3);
    kept.offended(a);
    kept.left(a, 3);
    kept.clear(a);
    assert.equal(await kept.threadFor(a), 3, 'it is distrusted');
    const left: Address[] = [];
    let isIdle = false;
    kept.lasts(a, { isIdle: () => isIdle, leave: () => left.push(a) }, true);
    kept.offended(b);
    assert.equal(await kept.threadFor(b), undefined, 'no thread is free, and nothing of it waits');
    await clock.advance(defaults.distrustMs - 1);
    kept.review();
    assert.deepEqual(left, []);
    await clock.advance(1);
    kept.review();
    assert.deepEqual(left, [], 'something of it is under way');
    isIdle = true;
    kept.review();
    assert.deepEqual(left, [a]);
    kept.left(a, 3);
    assert.equal(await kept.threadFor(b), undefined, 'time has passed for it, too');
  });

  test('lets one go for a suspect that waits, which is not back at once; who is only distrusted moves nobody', async () => {
    const { clock, kept } = quarantine();
    kept.offended(a);
    assert.equal(await kept.threadFor(a), 3);
    let evictions = 0;
    const leave = (): void => {
      evictions += 1;
      kept.left(a, 3);
    };
    kept.lasts(a, { isIdle: () => true, leave }, true);
    await clock.advance(defaults.quarantineMs);
    kept.offended(b);
    assert.equal(await kept.threadFor(b), undefined);
    assert.equal(evictions, 0);
    kept.suspect(b, { by: 'message', id: 'm' });
    await assert.rejects(kept.threadFor(b), { reason: 'UNAVAILABLE' });
    assert.equal(evictions, 1);
    assert.equal(await kept.threadFor(a), undefined, 'its thread is for who waits');
    assert.equal(await kept.threadFor(b), 3);
  });

  test('clears what it is told to, and nothing that came in its place', () => {
    const { kept } = quarantine();
    kept.suspect(a, { by: 'message', id: 'm' });
    kept.clear(a, 'i');
    assert.deepEqual(kept.suspectOf(a), { by: 'message', id: 'm' });
    kept.clear(a, 'm');
    assert.equal(kept.suspectOf(a), undefined);
  });
});
