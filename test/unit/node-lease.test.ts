/** A node's place in its namespace, on virtual time: renewed, lost to the clock, entered again, taken by another. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMemoryEngine, type Engine, EngineDown } from '../../runtime/engines/index.ts';
import { TroupeError } from '../../runtime/errors.ts';
import { defaults } from '../../runtime/limits.ts';
import { silentLog } from '../../runtime/log.ts';
import { enterNamespace, NodeLease } from '../../runtime/node-lease.ts';
import { createVirtualClock } from '../../runtime/testing/index.ts';

/** A node on virtual time whose engine a test cuts off; another may enter beside it. */
async function entered() {
  const clock = createVirtualClock();
  const engine = createMemoryEngine({ namespace: 'unit', shards: 1, clock });
  await engine.open();
  let away = false;
  const cut: Pick<Engine, 'nodes'> = {
    nodes: new Proxy(engine.nodes, {
      get: (target, name) =>
        away
          ? async () => {
              throw new EngineDown('cut off');
            }
          : Reflect.get(target, name),
    }),
  };
  const lost: string[] = [];
  const epochs: number[] = [];
  const first = await enterNamespace(cut, 'alpha', clock);
  const lease: NodeLease = new NodeLease(
    {
      engine: cut,
      label: 'alpha',
      clock,
      log: silentLog,
      onEpoch: () => epochs.push(lease.epoch),
      onLost: (heldBy) => lost.push(heldBy),
    },
    first,
  );
  lease.keep();
  return {
    clock,
    nodes: engine.nodes,
    lease,
    lost,
    epochs,
    first: first.epoch,
    cut: (now: boolean) => {
      away = now;
    },
  };
}

const refused = (lease: NodeLease, why: RegExp): void =>
  assert.throws(
    () => lease.demand(),
    (error) =>
      error instanceof TroupeError &&
      error.reason === 'UNAVAILABLE' &&
      (error.retryAfterMs ?? 0) > 0 &&
      why.test(error.message),
  );

test('while it is renewed, its epoch may be used and nobody else enters', async () => {
  const { clock, nodes, lease, first } = await entered();
  for (let round = 0; round < 10; round += 1) {
    await clock.advance(defaults.leaseMs / 2);
    lease.demand();
  }
  assert.equal(lease.epoch, first);
  assert.ok('heldBy' in (await nodes.join({ ttlMs: 1, label: 'beta' })));
});

test('past its lease it accepts nothing, and then goes on as a new epoch', async () => {
  const { clock, lease, epochs, first, cut } = await entered();
  cut(true);
  await clock.advance(defaults.leaseMs - 1_000);
  lease.demand();
  await clock.advance(1_000);
  refused(lease, /out of touch/);
  cut(false);
  await clock.advance(1_000);
  lease.demand();
  assert.ok(lease.epoch > first);
  assert.deepEqual(epochs, [lease.epoch]);
});

test('a short absence costs nothing', async () => {
  const { clock, lease, epochs, first, cut } = await entered();
  cut(true);
  await clock.advance(defaults.leaseMs / 2);
  cut(false);
  await clock.advance(defaults.leaseMs);
  lease.demand();
  assert.deepEqual([lease.epoch, epochs], [first, []]);
});

test('where another has entered it is over, told once, and takes nothing with it', async () => {
  const { clock, nodes, lease, lost, cut } = await entered();
  cut(true);
  await clock.advance(defaults.leaseMs + 1);
  const other = await nodes.join({ ttlMs: 10 * defaults.leaseMs, label: 'beta' });
  assert.ok('epoch' in other);
  cut(false);
  await clock.advance(3 * defaults.leaseMs);
  assert.deepEqual(lost, ['beta']);
  refused(lease, /another node has taken/);
  await lease.leave();
  assert.equal(await nodes.lowestLive(), other.epoch);
});
