/**
 * What all actors of a shard may have together is bounded (G8): in the store their mail, and keys and results until
 * their time is over; in memory their ephemeral messages, those between neighbours on a thread among them.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Address } from '../../runtime/address.ts';
import { durableFault, type ShardRoom } from '../../runtime/capacity.ts';
import type { StoreOperation } from '../../runtime/engines/engine.ts';
import { createMemoryEngine, createMemorySpace } from '../../runtime/engines/index.ts';
import { type Envelope, lanes } from '../../runtime/envelope.ts';
import type { TroupeError } from '../../runtime/errors.ts';
import { limits } from '../../runtime/limits.ts';
import { silentLog } from '../../runtime/log.ts';
import { ActorQueue } from '../../runtime/mailbox/actor-queue.ts';
import { type DeadLetter, deadLetterOperations } from '../../runtime/mailbox/dead-letters.ts';
import { Housekeeping } from '../../runtime/mailbox/housekeeping.ts';
import { ephemeralMail, type Mail } from '../../runtime/mailbox/mail.ts';
import { keptIdOf, resultOperations } from '../../runtime/mailbox/results.ts';
import { shardOf } from '../../runtime/mailbox/shards.ts';
import { Tally } from '../../runtime/tally.ts';
import { courier } from '../apps/courier.ts';
import { startHost } from '../support/hosts.ts';
import { lower } from '../support/lower.ts';
import { eventually, shards, startWorld } from '../support/world.ts';

test('a durable message fits as long as its mailbox, its shard and what the shard keeps have room', () => {
  const to = '/couriers/a' as Address;
  const plain: Envelope = { id: 'm', to, type: 'note', payload: {}, delivery: 'at-least-once', attempt: 1 };
  const keyed: Envelope = { ...plain, key: { name: ' k', hash: 'h' } };
  const task: Envelope = { ...plain, id: keptIdOf('s0', 'm') };
  const known: Envelope = { ...plain, key: { name: ' known', hash: 'h' } };
  const { durable } = courier.mailbox;
  const fault = (envelope: Envelope, store: ShardRoom, inTransit: number): string | undefined =>
    durableFault(envelope, courier, store, inTransit)?.message;
  const room = (waiting: number, parkedRows: number, keptRows: number): ShardRoom => ({
    mail: { waiting: () => waiting, parkedRows, knowsKey: ({ key }) => key?.name === known.key?.name },
    keptRows,
  });
  const nearly = room(durable - 2, limits.shardParkedEnvelopes - 1, limits.shardKeptRows - 1);
  for (const envelope of [plain, keyed, task]) {
    assert.equal(fault(envelope, nearly, 1), undefined);
    assert.match(fault(envelope, nearly, 2) ?? '', /mailbox of \/couriers\/a is full/);
    assert.match(fault(envelope, room(0, limits.shardParkedEnvelopes, 0), 0) ?? '', /shard of \/couriers\/a is full/);
  }
  const full = room(0, 0, limits.shardKeptRows);
  assert.equal(fault(plain, full, 0), undefined, 'nothing of it is kept');
  assert.equal(fault(known, full, 0), undefined, 'a repeat learns what came of the first');
  for (const envelope of [keyed, task])
    assert.match(fault(envelope, full, 0) ?? '', /keeps as many keys and results as it may/);
});

test('rounds of housekeeping remove what has expired, and count what is left', async () => {
  const shard = 's0';
  const engine = createMemoryEngine({ namespace: 'kept', shards: 1 });
  await engine.open();
  const lease = await engine.leases.acquire(shard, { node: 1, ttlMs: 60_000 });
  assert.ok('nonce' in lease);
  let seq = lease.seq;
  let last: Promise<unknown> = Promise.resolve();
  let commits = 0;
  let keptSoFar = 7;
  const commit = (operations: readonly StoreOperation[]): void => {
    commits += 1;
    last = last.then(async () => {
      assert.equal(await engine.store.commit(shard, { nonce: lease.nonce, seq }, operations), 'committed');
      seq += 1;
    });
  };
  const count = 2 * limits.expiredPerRound + 5;
  const nowMs = 1_000;
  for (let n = 0; n < count; n += 1) commit(resultOperations(keptIdOf(shard, `old-${n}`), { value: n }, nowMs));
  const dayMs = 24 * 60 * 60 * 1_000;
  commit(resultOperations(keptIdOf(shard, 'new'), { value: 1 }, nowMs + dayMs));
  await last;
  commits = 0;
  const kept = new Housekeeping({
    shard,
    engine,
    log: silentLog,
    now: () => nowMs + dayMs,
    commit,
    keptSoFar: () => keptSoFar,
  });
  for (const round of [1, 2, 3, 4]) {
    await kept.run(() => true);
    await last;
    assert.equal(commits, Math.min(round, 3), 'one a round, none where nothing has expired');
  }
  assert.equal(await engine.store.rankedCount(shard, 'expiry'), 1);
  assert.deepEqual([...(await engine.store.all(shard, 'result')).keys()], [keptIdOf(shard, 'new')]);
  kept.begin([]);
  await kept.run(() => true);
  assert.equal(kept.kept, 1);
  keptSoFar += 3;
  assert.equal(kept.kept, 4, 'what has come since is added');
  await engine.close();
});

test('of the dead letters of a shard the newest are kept, whatever came first', async (t) => {
  const most = 3;
  lower(t, 'deadLettersPerShard', most);
  const space = createMemorySpace();
  const to = '/couriers/a' as Address;
  const shard = shardOf(to, shards);
  const engine = createMemoryEngine({ namespace: 'world', shards, space });
  await engine.open();
  const lease = await engine.leases.acquire(shard, { node: 1, ttlMs: 10_000 });
  assert.ok('nonce' in lease);
  const letters = [5, 1, 4, 2, 3].map((atMs): DeadLetter => {
    const envelope: Envelope = {
      id: `l${atMs}`,
      to,
      type: 'note',
      payload: { n: 1 },
      delivery: 'at-least-once',
      attempt: 1,
    };
    return { envelope, reason: 'EXPIRED', errors: [], atMs };
  });
  assert.equal(await engine.store.commit(shard, lease, letters.flatMap(deadLetterOperations)), 'committed');
  await engine.leases.release(shard, lease.nonce);
  const world = await startWorld(t, { app: 'courier', space });
  const kept = await eventually(
    async () => (await world.runtime.inspection.deadLetters({ limit: 10 })).items.map(({ id }) => id),
    (ids) => ids.length <= most,
  );
  assert.deepEqual(kept.sort(), ['l3', 'l4', 'l5']);
  await assert.rejects(world.runtime.deadLetters.show('l1'), { reason: 'NOT_FOUND' });
  await world.close();
});

test('ephemeral messages of all actors of a shard are bounded together; what was handled or lost makes room', async (t) => {
  const world = await startWorld(t, { app: 'gate' });
  const most = 100;
  lower(t, 'shardEphemeralMessages', most);
  const named = (folder: string, fits: (shard: string) => boolean, count: number): Address[] =>
    Array.from({ length: 200 }, (_, n) => `/${folder}/${n}` as Address)
      .filter((address) => fits(shardOf(address, shards)))
      .slice(0, count);
  const here = shardOf('/fences/0' as Address, shards);
  const fences = named('fences', (shard) => shard === here, 3);
  const [gate] = named('gates', (shard) => shard === here, 1) as [Address];
  const [elsewhere] = named('fences', (shard) => shard !== here, 1) as [Address];
  for (const to of [...fences, gate, elsewhere]) await world.messaging.ask({ to, type: 'read' });

  /** Sends in one go; how many were taken, and the first refusal. */
  const flood = async (to: readonly Address[], count: number, type = 'pass') => {
    const sent = Array.from({ length: count }, (_, n) => {
      const payload = type === 'pass' ? { n: 2 * n } : {};
      return world.messaging.tell({ to: to[n % to.length] as Address, type, payload, delivery: 'at-most-once' });
    });
    const ends = await Promise.allSettled(sent);
    const refusal = ends.find((end) => end.status === 'rejected')?.reason as TroupeError | undefined;
    return { taken: ends.filter(({ status }) => status === 'fulfilled').length, refusal };
  };
  const hasRoomForAll = async (): Promise<void> => {
    await eventually(
      () => flood(fences, most + 1),
      ({ taken }) => taken === most,
    );
  };

  const [full, other] = await Promise.all([flood(fences, most + 20), flood([elsewhere], most)]);
  assert.equal(full.taken, most);
  assert.equal(full.refusal?.reason, 'MAILBOX_FULL');
  assert.match(full.refusal?.message ?? '', /shard of \/fences\/\d+ is full/);
  assert.equal(other.taken, most, 'another shard has its own room');

  await hasRoomForAll();

  // Lives that end with all of it in hand.
  await eventually(
    () => flood(fences, fences.length, 'fail'),
    ({ taken }) => taken === fences.length,
  );
  assert.ok((await flood(fences, most)).taken > 0);
  for (const to of fences)
    await eventually(
      () => world.messaging.ask({ to, type: 'read' }).catch(() => undefined),
      (answer) => answer !== undefined,
    );
  await hasRoomForAll();

  // A persistent actor holds them in its queue, and takes back what it had in hand when it failed.
  for (const type of ['read', 'fail']) {
    const { refusal } = await eventually(
      async () => {
        const [, flooded] = await Promise.all([flood([gate], 1, type), flood([gate], 6 * most)]);
        return flooded;
      },
      ({ taken }) => taken > most,
    );
    // While it is between two lives the rest waits for it.
    if (type === 'read') assert.match(refusal?.message ?? '', /shard of \/gates/);
    await hasRoomForAll();
  }
  await world.close();
});

test('what actors of one thread send each other is bounded together', async (t) => {
  const most = 10;
  lower(t, 'threadEphemeralMessages', most);
  const host = await startHost('local', 'probe');
  t.after(() => host.host.terminate());
  const [source, one, other] = [1, 2, 3] as const;
  for (const activation of [source, one, other]) {
    host.start(activation, 'probe');
    await host.next('started');
  }
  const notes = async (activation: number): Promise<number> => {
    host.feed(activation, false, ['read', {}]);
    const { effects } = await host.next('output', (said) => said.activation === activation);
    const [answer] = effects as readonly { readonly value?: readonly number[] }[];
    return answer?.value?.length ?? 0;
  };
  for (const round of [1, 2]) {
    host.feed(source, false, ['burst', { to: `/probe/${one}`, n: 6 }], ['burst', { to: `/probe/${other}`, n: 6 }]);
    await host.quiet();
    assert.equal((await notes(one)) + (await notes(other)), round * most);
  }
  await host.next('log', (said) => said.message.includes('mailbox full'));
  // What waits for one that fails counts no longer.
  const before = await notes(other);
  host.feed(source, false, ['burst', { to: `/probe/${one}`, n: 6 }]);
  host.feed(one, false, ['throw', {}]);
  await host.next('failed');
  host.feed(source, false, ['burst', { to: `/probe/${other}`, n: most }]);
  await host.quiet();
  assert.equal(await notes(other), before + most);
});

test('a queue counts the ephemeral mail that waits in it, whatever is done with it', () => {
  const step = fc.record({
    queue: fc.integer({ min: 0, max: 1 }),
    deed: fc.constantFrom('push', 'push', 'shift', 'putBack', 'remove', 'forgetDurable', 'forgetBeyond'),
    durable: fc.boolean(),
    priority: fc.constantFrom(...lanes),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const tally = new Tally();
      const queues = ['/a', '/b'].map((address) => ({
        queue: new ActorQueue(address as Address, tally),
        out: [] as Mail[],
      }));
      for (const [n, { queue: index, deed, durable, priority }] of steps.entries()) {
        const at = queues[index] as (typeof queues)[number];
        const { queue } = at;
        const envelope: Envelope = {
          id: `${n}`,
          to: queue.address,
          type: 'note',
          payload: {},
          delivery: durable ? 'at-least-once' : 'at-most-once',
          attempt: 1,
          priority,
        };
        if (deed === 'push')
          queue.push(
            durable
              ? { ...ephemeralMail(envelope), place: { at: 'parked', seq: n } as never }
              : ephemeralMail(envelope),
            n,
          );
        else if (deed === 'shift') at.out.push(...[queue.shift(durable)].filter((mail) => mail !== undefined));
        else if (deed === 'putBack') queue.putBack(at.out.splice(0));
        else if (deed === 'remove') queue.remove((mail) => mail.envelope.priority === priority);
        else if (deed === 'forgetBeyond') queue.forgetBeyond(lanes.indexOf(priority), 1);
        else {
          queue.forgetDurable();
          at.out = at.out.filter(({ place }) => place === undefined);
        }
        assert.equal(
          tally.count,
          queues.reduce((sum, { queue: each }) => sum + each.ephemeralLength, 0),
        );
      }
    }),
  );
});
