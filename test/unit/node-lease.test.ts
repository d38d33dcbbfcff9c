/** A node's place in its namespace, on virtual time: renewed, lost to the clock, entered again, taken by another. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMemoryEngine, type Engine, EngineDown, EngineUnknown } from '../../runtime/engines/index.ts';
import { TroupeError } from '../../runtime/errors.ts';
import { defaults } from '../../runtime/limits.ts';
import { silentLog } from '../../runtime/log.ts';
import { enterNamespace, NodeLease } from '../../runtime/node-lease.ts';
import { createTestWorld, createVirtualClock } from '../../runtime/testing/index.ts';
import courierApp from '../apps/courier.ts';

/** A node on virtual time whose engine a test cuts off; another may enter beside it. */
async function entered() {
  const clock = createVirtualClock();
  const engine = createMemoryEngine({ namespace: 'unit', shards: 1, clock });
  await engine.open();
  let away = false;
  let unheard = 0;
  let lapsed: number | undefined;
  let isRefusing = false;
  const cut: Pick<Engine, 'nodes'> = {
    nodes: {
      ...new Proxy(engine.nodes, {
        get:
          (target, name) =>
          async (...given: unknown[]) => {
            if (away) throw new EngineDown('cut off');
            if (name === 'renew' && given[0] === lapsed) return false;
            return await Reflect.apply(Reflect.get(target, name), target, given);
          },
      }),
      async join(node) {
        if (away || isRefusing) throw new EngineDown('cut off');
        const joined = await engine.nodes.join(node);
        if (unheard === 0) return joined;
        unheard -= 1;
        throw new EngineUnknown('the answer was lost');
      },
    },
  };
  const lost: string[] = [];
  const lapses: number[] = [];
  const epochs: number[] = [];
  const first = await enterNamespace(cut, 'alpha', clock);
  const lease: NodeLease = new NodeLease(
    {
      engine: cut,
      label: 'alpha',
      clock,
      log: silentLog,
      onLapsed: () => lapses.push(lease.epoch),
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
    lapses,
    epochs,
    first: first.epoch,
    cut: (now: boolean) => {
      away = now;
    },
    /** The engine's clock has gone on without this node's. */
    lapse: (now: boolean) => {
      lapsed = now ? first.epoch : undefined;
    },
    refuseEntries: (now: boolean) => {
      isRefusing = now;
    },
    /** The answers to so many entries are lost. */
    losesAnswers: (count: number) => {
      unheard = count;
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

test('the lease of one that was killed before it had noted its epoch is waited for; that of a living namesake is not', async () => {
  const clock = createVirtualClock();
  const engine = createMemoryEngine({ namespace: 'unit', shards: 1, clock });
  await engine.open();
  const killed = ['alpha'];
  const first = await enterNamespace(engine, 'alpha', clock);
  const next = enterNamespace(engine, 'beta', clock, { killed });
  await clock.advance(defaults.leaseMs - 1);
  assert.equal(await Promise.race([next, Promise.resolve('waiting')]), 'waiting');
  await clock.advance(1_000);
  assert.ok((await next).epoch > first.epoch);

  await clock.advance(2 * defaults.leaseMs);
  const namesake = await enterNamespace(engine, 'alpha', clock);
  const late = enterNamespace(engine, 'beta', clock, { killed });
  const refusal = assert.rejects(late, { reason: 'UNAVAILABLE', message: /in use by alpha/ });
  await clock.advance(defaults.leaseRenewMs);
  assert.ok(await engine.nodes.renew(namesake.epoch, defaults.leaseMs));
  await clock.advance(defaults.leaseMs);
  await refusal;
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

test('an entry of its own whose answer was lost is no other node', async () => {
  const { clock, lease, lost, epochs, first, cut, losesAnswers } = await entered();
  cut(true);
  await clock.advance(defaults.leaseMs + 1);
  losesAnswers(2);
  cut(false);
  await clock.advance(2 * defaults.leaseMs + 1_000);
  assert.deepEqual(lost, []);
  lease.demand();
  assert.ok(lease.epoch > first);
  assert.deepEqual(epochs, [lease.epoch]);
});

test('an epoch that the engine calls lapsed is used no more, whatever the clock of the node says', async () => {
  const { clock, lease, lapses, epochs, first, lapse, losesAnswers } = await entered();
  lapse(true);
  losesAnswers(1);
  await clock.advance(defaults.leaseRenewMs + 1_000);
  refused(lease, /entering again/);
  assert.deepEqual(lapses, [first]);
  assert.deepEqual(epochs, []);
  await clock.advance(2 * defaults.leaseMs);
  assert.equal(epochs.length, 1);
  assert.equal(lease.epoch, epochs[0]);
});

test('nor is it renewed where the clock of the engine goes back before the node has entered again', async () => {
  const { clock, lease, epochs, first, lapse, refuseEntries } = await entered();
  lapse(true);
  refuseEntries(true);
  await clock.advance(defaults.leaseRenewMs + 1_000);
  refused(lease, /entering again/);
  lapse(false);
  refuseEntries(false);
  await clock.advance(1_000);
  lease.demand();
  assert.ok(lease.epoch > first);
  assert.deepEqual(epochs, [lease.epoch], 'its channels are new');
});

test('nor does it hide another node that has entered', async () => {
  const { clock, nodes, lost, cut, losesAnswers } = await entered();
  cut(true);
  await clock.advance(defaults.leaseMs + 1);
  const other = await nodes.join({ ttlMs: defaults.leaseMs, label: 'beta' });
  assert.ok('epoch' in other);
  clock.every(defaults.leaseRenewMs, () => void nodes.renew(other.epoch, defaults.leaseMs));
  losesAnswers(1);
  cut(false);
  await clock.advance(defaults.leaseMs);
  assert.deepEqual(lost, ['beta']);
});

test('a lease of a shard that comes late, under an epoch that has lapsed, does not keep its own node out', async () => {
  const world = createTestWorld({ shards: 2 });
  let plain: Engine | undefined;
  let away = false;
  /** The last request for each shard that was sent and not answered. */
  const late = new Map<string, Parameters<Engine['leases']['acquire']>>();
  const node = await world.start({
    app: courierApp,
    observe: (engine) => {
      plain = engine;
      return engine;
    },
    meddle: (engine) => ({
      ...engine,
      leases: {
        ...engine.leases,
        async acquire(...given) {
          if (!away) return await engine.leases.acquire(...given);
          late.set(given[0], given);
          throw new EngineUnknown('not answered');
        },
      },
    }),
  });
  const { epoch } = node;
  const held = (): boolean => node.runtime.inspection.shards().every((shard) => shard.held);
  node.weather.down = away = true;
  await world.advance(2 * defaults.leaseMs);
  assert.equal(held(), false);
  const requests = [...late.values()];
  node.weather.down = false;
  assert.ok(await world.until(() => node.epoch > epoch), 'it has entered again');
  for (const request of requests) await plain?.leases.acquire(...request);
  away = false;
  assert.ok(await world.until(held, defaults.leaseMs / 2), 'long before that lease ends');
});
