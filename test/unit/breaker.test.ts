import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createActor, SimulatedClock } from 'xstate';
import { breakerMachine } from '../../actors/breaker/machine.ts';
import type { BreakerFigures } from '../../actors/breaker/messages.ts';
import type { Clock } from '../../runtime/clock.ts';

const startMs = Date.UTC(2026, 0, 1);
const resetMs = 30_000;
const permitMs = 120_000;

/** A breaker on a simulated clock; each message is answered at once. */
function startBreaker() {
  const time = new SimulatedClock();
  const clock = { now: () => startMs + time.now() } as Clock;
  const actor = createActor(breakerMachine(clock), { clock: time, input: { name: 'anthropic' } });
  let answer: Record<string, unknown> = {};
  actor.on('*', (event) => {
    answer = event as unknown as Record<string, unknown>;
  });
  actor.start();
  let id = 0;
  const send = (type: string, payload: object): Record<string, unknown> => {
    id += 1;
    actor.send({ type, payload, message: { id: `m${id}`, headers: {}, attempt: 1 } } as never);
    return answer;
  };
  return {
    time,
    acquire(): string | undefined {
      const effect = send('acquire', {});
      return effect.type === 'troupe.reply' ? (effect.value as { permit: string }).permit : undefined;
    },
    refusal(): Record<string, unknown> {
      return send('acquire', {});
    },
    report(permit: string, outcome: 'ok' | 'failed' | 'ignored', code?: string): void {
      send('report', { permit, outcome, ...(code === undefined ? {} : { code }) });
    },
    figures: () => send('status', {}).value as BreakerFigures,
  };
}

type Breaker = ReturnType<typeof startBreaker>;

function call(breaker: Breaker, outcome: 'ok' | 'failed' | 'ignored', code?: string): void {
  const permit = breaker.acquire();
  assert.ok(permit !== undefined);
  breaker.report(permit, outcome, code);
}

function open(breaker: Breaker): void {
  for (let n = 0; n < 3; n += 1) call(breaker, 'failed', 'UNAVAILABLE');
}

test('an open circuit refuses with the name of the upstream and the time left', () => {
  const breaker = startBreaker();
  open(breaker);
  breaker.time.increment(10_000);
  const refusal = breaker.refusal();
  assert.equal(refusal.type, 'troupe.fail');
  assert.equal(refusal.reason, 'UNAVAILABLE');
  assert.match(String(refusal.text), /circuit open: anthropic.*20 s/);
  assert.equal(refusal.retryAfterMs, 20_000);
  assert.equal(breaker.figures().lastFailureTime, new Date(startMs).toISOString());
});

test('codes that are the caller’s fault open nothing', () => {
  const breaker = startBreaker();
  for (let n = 0; n < 10; n += 1) call(breaker, 'failed', 'INVALID_ARGUMENT');
  const figures = breaker.figures();
  assert.equal(figures.state, 'closed');
  assert.equal(figures.totalFailures, 10);
  assert.equal(figures.failureCount, 0);
});

test('a success takes one failure off', () => {
  const breaker = startBreaker();
  call(breaker, 'failed');
  call(breaker, 'failed');
  call(breaker, 'ok');
  call(breaker, 'failed');
  assert.equal(breaker.figures().state, 'closed');
  call(breaker, 'failed');
  assert.equal(breaker.figures().state, 'open');
});

test('trial slots come back after every outcome, and by time when nobody reports', () => {
  const breaker = startBreaker();
  open(breaker);
  breaker.time.increment(resetMs);
  const trials = [breaker.acquire(), breaker.acquire(), breaker.acquire()] as string[];
  assert.equal(breaker.acquire(), undefined);
  breaker.report(trials[0] as string, 'ignored');
  assert.ok(breaker.acquire());
  breaker.report(trials[1] as string, 'failed', 'INVALID_ARGUMENT');
  assert.ok(breaker.acquire());
  assert.equal(breaker.acquire(), undefined);
  breaker.time.increment(permitMs);
  assert.ok(breaker.acquire());
});

test('a report of a call that began before the circuit opened does not decide the trial', () => {
  const breaker = startBreaker();
  const early = breaker.acquire() as string;
  const other = breaker.acquire() as string;
  open(breaker);
  breaker.time.increment(resetMs);
  breaker.report(early, 'failed', 'UNAVAILABLE');
  assert.equal(breaker.figures().state, 'half-open');
  breaker.report(other, 'ok');
  assert.equal(breaker.figures().successCount, 0);
});

/** The breaker's rules once more, as plainly as they can be written. */
class Model {
  state: 'closed' | 'open' | 'half-open' = 'closed';
  failures = 0;
  successes = 0;
  period = 0;
  openUntil = 0;
  now = 0;
  held: { readonly permit: string; readonly period: number; readonly trialUntil: number | undefined }[] = [];

  advance(ms: number): void {
    this.now += ms;
    if (this.state === 'open' && this.now >= this.openUntil) this.enter('half-open');
  }

  mayAcquire(): boolean {
    if (this.state === 'closed') return true;
    return this.state === 'half-open' && this.trials() < 3;
  }

  acquired(permit: string): void {
    const trialUntil = this.state === 'half-open' ? this.now + permitMs : undefined;
    this.held.push({ permit, period: this.period, trialUntil });
  }

  /** A trial whose time is over may have been forgotten; the machine forgets it at the next permit. */
  reported(permit: string, outcome: string, counted: boolean): void {
    const held = this.held.find((entry) => entry.permit === permit);
    this.held = this.held.filter((entry) => entry !== held);
    if (held === undefined || held.period !== this.period) return;
    if (this.state === 'closed') {
      if (counted) this.failures += 1;
      else if (outcome === 'ok') this.failures = Math.max(0, this.failures - 1);
      if (this.failures >= 3) this.enter('open');
    } else if (this.state === 'half-open') {
      if (counted) this.enter('open');
      else if (outcome === 'ok') {
        this.successes += 1;
        if (this.successes >= 2) this.enter('closed');
      }
    }
  }

  trials(): number {
    return this.held.filter(({ period, trialUntil }) => period === this.period && (trialUntil ?? 0) > this.now).length;
  }

  enter(state: Model['state']): void {
    this.state = state;
    this.period += 1;
    this.failures = 0;
    this.successes = 0;
    if (state === 'open') this.openUntil = this.now + resetMs;
  }
}

const step = fc.oneof(
  { weight: 4, arbitrary: fc.constant({ do: 'acquire' } as const) },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('report' as const),
      which: fc.nat(),
      outcome: fc.constantFrom('ok' as const, 'failed' as const, 'ignored' as const),
      code: fc.constantFrom(undefined, 'UNAVAILABLE', 'UNKNOWN', 'INVALID_ARGUMENT', 'NOT_FOUND'),
    }),
  },
  // Below the time of a permit in sum, most of the time: forgotten trials have their own test.
  { weight: 3, arbitrary: fc.record({ do: fc.constant('advance' as const), ms: fc.integer({ min: 1, max: 35_000 }) }) },
);

test('any sequence of calls, outcomes and waits leaves the breaker where the rules say', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const breaker = startBreaker();
      const model = new Model();
      for (const next of steps) {
        if (next.do === 'advance') {
          breaker.time.increment(next.ms);
          model.advance(next.ms);
        } else if (next.do === 'acquire') {
          const expected = model.mayAcquire();
          const permit = breaker.acquire();
          assert.equal(permit !== undefined, expected);
          if (permit !== undefined) {
            // What the machine forgets with a new trial, the model forgets too.
            model.held = model.held.filter(({ trialUntil }) => trialUntil === undefined || trialUntil > model.now);
            model.acquired(permit);
          }
        } else {
          const held = model.held[next.which % Math.max(1, model.held.length)];
          if (held === undefined) continue;
          breaker.report(held.permit, next.outcome, next.code);
          const counted = next.outcome === 'failed' && !['INVALID_ARGUMENT', 'NOT_FOUND'].includes(next.code ?? '');
          model.reported(held.permit, next.outcome, counted);
        }
        const figures = breaker.figures();
        assert.equal(figures.state, model.state);
        assert.equal(figures.failureCount, model.failures);
        assert.equal(figures.successCount, model.successes);
        assert.equal(figures.stateChanges, model.period);
      }
    }),
    { numRuns: 500 },
  );
});
