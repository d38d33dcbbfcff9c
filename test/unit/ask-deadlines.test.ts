import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Address } from '../../runtime/address.ts';
import { Asks } from '../../runtime/asks.ts';
import { createVirtualClock } from '../../runtime/testing/index.ts';

const entry = (id: string, timeoutMs: number, onAbandon = () => undefined) => ({
  id,
  to: '/asked' as Address,
  durable: false,
  timeoutMs,
  signal: undefined,
  onChunk: undefined,
  onAbandon,
});

test('an ask that nobody answers ends at its deadline, not before and not later, however far that is', async () => {
  for (const timeoutMs of [1, 999, 1_999, 2_000, 2_001, 3_500, 30_000, 90_500]) {
    const clock = createVirtualClock();
    const asks = new Asks(clock);
    let abandoned = 0;
    let reason = '';
    // A neighbour that was there before, so that the sweeps do not begin with this ask.
    const neighbour = asks.enter(entry('neighbour', 100_000));
    await clock.advance(350);
    const ask = asks.enter(
      entry('mine', timeoutMs, () => {
        abandoned += 1;
      }),
    );
    ask.catch((error: { readonly reason: string }) => {
      reason = error.reason;
    });
    await clock.advance(timeoutMs - 1);
    assert.equal(reason, '', `${timeoutMs} ms: too early`);
    await clock.advance(1);
    assert.equal(reason, 'DEADLINE_EXCEEDED', `${timeoutMs} ms: too late`);
    assert.equal(abandoned, 1);
    asks.answer('neighbour', 'fine');
    assert.equal(await neighbour, 'fine');
  }
});

test('an answered ask is never abandoned, whether or not its deadline was near', async () => {
  const clock = createVirtualClock();
  const asks = new Asks(clock);
  const abandoned = (): undefined => assert.fail('an answered ask was abandoned');
  const early = asks.enter(entry('early', 5_000, abandoned));
  const late = asks.enter(entry('late', 5_000, abandoned));
  asks.answer('early', 1);
  await clock.advance(4_999);
  asks.answer('late', 2);
  await clock.advance(10_000);
  assert.deepEqual(await Promise.all([early, late]), [1, 2]);
  assert.equal(asks.openCount, 0);
  assert.equal(asks.unclaimedCount, 0);
});

test('a cancelled ask ends at once and leaves no listener behind', async () => {
  const asks = new Asks(createVirtualClock());
  const abort = new AbortController();
  const abandoned: string[] = [];
  const cancelled = asks.enter({
    ...entry('cancelled', 5_000, () => void abandoned.push('cancelled')),
    signal: abort.signal,
  });
  const answered = asks.enter({
    ...entry('answered', 5_000, () => void abandoned.push('answered')),
    signal: abort.signal,
  });
  asks.answer('answered', 1);
  abort.abort();
  await assert.rejects(cancelled, { reason: 'CANCELLED' });
  assert.equal(await answered, 1);
  assert.deepEqual(abandoned, ['cancelled']);
});
