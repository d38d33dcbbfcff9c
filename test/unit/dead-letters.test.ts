/** What may be done with dead letters, on a whole node over a memory engine. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Address } from '../../runtime/address.ts';
import { addressGlob } from '../../runtime/address-glob.ts';
import {
  createMemoryEngine,
  createMemorySpace,
  type Engine,
  EngineUnknown,
  type MemorySpace,
} from '../../runtime/engines/index.ts';
import type { TroupeError } from '../../runtime/errors.ts';
import {
  type DeadLetter,
  deadLetterOperations,
  errorOfLetter,
  lostLetter,
} from '../../runtime/mailbox/dead-letters.ts';
import { shardOf } from '../../runtime/mailbox/shards.ts';
import type { DeadLetterView } from '../../runtime/messaging.ts';
import { eventually, shards, startWorld, type World } from '../support/world.ts';

/** A note that came too late for its courier. */
function expiredNote(id: string, to: string, n: number, atMs = 1_000): DeadLetter {
  const envelope = {
    id,
    to: to as Address,
    type: 'note',
    payload: { n },
    delivery: 'at-least-once',
    attempt: 3,
  } as const;
  return { envelope: { ...envelope, deadlineMs: 1 }, reason: 'EXPIRED', errors: [{ atMs, message: 'too late' }], atMs };
}

/** Data of a node that left these letters behind. */
async function spaceWith(...letters: readonly DeadLetter[]): Promise<MemorySpace> {
  const space = createMemorySpace();
  const engine = createMemoryEngine({ namespace: 'world', shards, space });
  await engine.open();
  for (const letter of letters) {
    const shard = shardOf(letter.envelope.to, shards);
    const lease = await engine.leases.acquire(shard, { node: 1, ttlMs: 10_000 });
    assert.ok('nonce' in lease);
    assert.equal(await engine.store.commit(shard, lease, deadLetterOperations(letter)), 'committed');
    await engine.leases.release(shard, lease.nonce);
  }
  return space;
}

const letters = async (world: World): Promise<DeadLetterView[]> =>
  (await world.runtime.inspection.deadLetters({ limit: 100 })).items;

const idsOf = async (world: World): Promise<string[]> => (await letters(world)).map(({ id }) => id);

const notes = (world: World, address: string, count: number): Promise<readonly number[]> =>
  eventually(
    async () => {
      try {
        return ((await world.messaging.ask({ to: address, type: 'read' })) as { notes: number[] }).notes;
      } catch (error) {
        assert.ok(['ACTOR_FAILED', 'UNAVAILABLE'].includes((error as TroupeError).reason), String(error));
        return [];
      }
    },
    (found) => found.length >= count,
  );

const because = (reason: string) => (error: unknown) => (error as TroupeError).reason === reason;

/** Loses the answer of every second commit and write, half of them before they were done. */
function losing(engine: Engine): Engine {
  let calls = 0;
  const lose =
    <A extends unknown[], R>(call: (...given: A) => Promise<R>) =>
    async (...given: A): Promise<R> => {
      const kind = ++calls % 4;
      if (kind === 1) throw new EngineUnknown('lost before it was done');
      const answer = await call(...given);
      if (kind === 3) throw new EngineUnknown('lost after it was done');
      return answer;
    };
  return {
    ...engine,
    transport: { ...engine.transport, add: lose(engine.transport.add) },
    store: { ...engine.store, commit: lose(engine.store.commit) },
  };
}

// They wait for backoffs: side by side, in worlds of their own.
describe('dead letters', { concurrency: true }, () => {
  test('a replay is applied once, however often and at once it is asked for, through lost answers', async (t) => {
    const ids = ['l1', 'l2', 'l3'];
    const space = await spaceWith(...ids.map((id, n) => expiredNote(id, '/couriers/a', n)));
    const world = await startWorld(t, { app: 'courier', space, meddle: losing });
    const { deadLetters } = world.runtime;
    const outcomes = await Promise.all([
      deadLetters.replay({ ids }),
      deadLetters.replay({ ids: [...ids].reverse() }),
      deadLetters.replay({ filter: {}, limit: 10 }),
    ]);
    assert.deepEqual(outcomes.flatMap((outcome) => outcome.ids).sort(), ids, 'each letter is the deed of one call');
    assert.deepEqual([...(await notes(world, '/couriers/a', 3))].sort(), [0, 1, 2]);
    await assert.rejects(deadLetters.replay({ ids: ['l1'] }), because('NOT_FOUND'));
    await assert.rejects(deadLetters.show('l1'), because('NOT_FOUND'));
    await world.close();
    assert.equal(world.runtime.inspection.counters().dead_letters_replayed_total, 3);

    const next = await startWorld(t, { app: 'courier', space });
    assert.deepEqual([...(await notes(next, '/couriers/a', 3))].sort(), [0, 1, 2], 'nothing comes again later');
    assert.deepEqual(await idsOf(next), []);
    await next.close();
  });

  for (const [commits, done] of [
    [0, false],
    [0, true],
    [1, false],
    [1, true],
  ] as const) {
    const when = `${done ? 'after' : 'before'} commit ${commits + 1}`;
    test(`a node that dies ${when} of a replay leaves the letter or its message, not both and not neither`, async (t) => {
      const space = await spaceWith(expiredNote('l1', '/couriers/a', 7));
      let left = Number.POSITIVE_INFINITY;
      let die = (): void => undefined;
      const died = new Promise<void>((resolve) => {
        die = resolve;
      });
      const world = await startWorld(t, {
        app: 'courier',
        space,
        meddle: (engine) => ({
          ...engine,
          store: {
            ...engine.store,
            async commit(...given) {
              if (left-- > 0) return await engine.store.commit(...given);
              if (done) await engine.store.commit(...given);
              die();
              return await new Promise(() => undefined);
            },
          },
        }),
      });
      left = commits;
      void world.runtime.deadLetters.replay({ ids: ['l1'] });
      await died;
      world.abandon();

      const next = await startWorld(t, { app: 'courier', space, succeeds: world.runtime.nodeEpoch });
      const isLetter = commits === 0 && !done;
      assert.deepEqual(await idsOf(next), isLetter ? ['l1'] : []);
      if (isLetter) await next.runtime.deadLetters.replay({ ids: ['l1'] });
      assert.deepEqual(await notes(next, '/couriers/a', 1), [7]);
      await next.close();
      const last = await startWorld(t, { app: 'courier', space });
      assert.deepEqual(await notes(last, '/couriers/a', 1), [7]);
      await last.close();
    });
  }

  test('a message that still fails comes back as a letter of the same id, with attempts of its own', async (t) => {
    const world = await startWorld(t, { app: 'courier' });
    const { messageId } = await world.messaging.tell({ to: '/couriers/a', type: 'fail' });
    const [first] = await eventually(
      () => letters(world),
      (found) => found.length === 1,
    );
    assert.equal(first?.id, messageId);
    assert.equal((await world.runtime.deadLetters.replay({ ids: [messageId] })).changed, 1);
    const [again] = await eventually(
      () => letters(world),
      (found) => found.length === 1 && found[0]?.atMs !== first?.atMs,
    );
    assert.deepEqual(
      [again?.id, again?.attempts, again?.errors.length, again?.reason],
      [messageId, 5, 5, 'ATTEMPTS_SPENT'],
    );
    await world.close();
  });

  test('a filter says which; a dry run changes nothing; a discard removes them and sends nothing', async (t) => {
    const space = await spaceWith(
      expiredNote('l1', '/couriers/a', 1, 1_000),
      expiredNote('l2', '/couriers/a', 2, 2_000),
      expiredNote('l3', '/couriers/b', 3, 3_000),
      expiredNote('l4', '/couriers/b/child', 4, 4_000),
    );
    const world = await startWorld(t, { app: 'courier', space });
    const { deadLetters } = world.runtime;
    for (const [filter, expected] of [
      [{}, ['l1', 'l2', 'l3', 'l4']],
      [{ address: '/couriers/*' }, ['l1', 'l2', 'l3']],
      [{ address: '/couriers/b/**' }, ['l3', 'l4']],
      [{ reason: 'EXPIRED', type: 'note', afterMs: 2_000, beforeMs: 4_000 }, ['l2', 'l3']],
      [{ reason: 'ATTEMPTS_SPENT' }, []],
      [{ type: 'other' }, []],
    ] as const) {
      const dry = await deadLetters.discard({ filter, limit: 10 }, { dryRun: true });
      assert.deepEqual(dry, { matched: expected.length, changed: 0, ids: expected, skipped: [], dryRun: true });
      const { items } = await world.runtime.inspection.deadLetters({ limit: 10, filter });
      assert.deepEqual(
        items.map(({ id }) => id),
        expected,
      );
    }
    assert.deepEqual((await deadLetters.replay({ ids: ['l2', 'l1'] }, { dryRun: true })).ids, ['l2', 'l1']);
    const page = await world.runtime.inspection.deadLetters({ limit: 1, filter: { address: '/couriers/b' } });
    assert.deepEqual([page.items.length, page.nextCursor], [1, undefined], 'no next page that would be empty');
    const discarded = await deadLetters.discard({ filter: { address: '/couriers/a' }, limit: 1 });
    assert.deepEqual([discarded.matched, discarded.ids], [1, ['l1']], 'not more than the limit');
    const partly = await deadLetters.discard({ ids: ['l1', 'l2', 'l2'] });
    assert.deepEqual([partly.ids, partly.skipped], [['l2'], [{ id: 'l1', why: 'NOT_FOUND' }]]);
    assert.deepEqual(await idsOf(world), ['l3', 'l4']);
    assert.deepEqual((await deadLetters.replay({ filter: { address: '/couriers/b' }, limit: 9 })).ids, ['l3']);
    assert.deepEqual(await notes(world, '/couriers/b', 1), [3]);
    assert.deepEqual(await notes(world, '/couriers/a', 0), []);
    await world.close();
  });

  test('what the engine lost cannot be replayed, only discarded', async (t) => {
    const lost = lostLetter('s0', 'node:1', 5, 1_000);
    const { id } = lost.envelope;
    const world = await startWorld(t, { app: 'courier', space: await spaceWith(lost) });
    const { deadLetters } = world.runtime;
    await assert.rejects(deadLetters.replay({ ids: [id] }), because('INVALID_MESSAGE'));
    await assert.rejects(deadLetters.replay({ filter: { reason: 'LOST' }, limit: 1 }), because('INVALID_MESSAGE'));
    assert.equal((await deadLetters.replay({ filter: {}, limit: 10 })).matched, 0);
    assert.deepEqual((await deadLetters.discard({ ids: [id] })).ids, [id]);
    assert.deepEqual(await idsOf(world), []);
    await world.close();
  });

  test('only a single letter shows its payload, with secrets masked and long texts cut', async (t) => {
    const note = expiredNote('l1', '/couriers/a', 1);
    const payload = { n: 1, apiKey: 'sk-1', text: 'x'.repeat(100_000) };
    const space = await spaceWith({
      ...note,
      envelope: { ...note.envelope, payload, headers: { authorization: 'b' } },
    });
    const world = await startWorld(t, { app: 'courier', space });
    const shown = await world.runtime.deadLetters.show('l1');
    assert.ok(JSON.stringify(shown).length < 2_000);
    assert.deepEqual(shown.headers, { authorization: '(masked)' });
    assert.equal((shown.payload as { apiKey: string }).apiKey, '(masked)');
    assert.ok(!JSON.stringify(await letters(world)).includes('payload'));
    await world.close();
  });
});

test('what expired was not started, unless an attempt at it failed before', () => {
  const outcomeAfter = (...errors: DeadLetter['errors']) => errorOfLetter({ reason: 'EXPIRED', errors }).outcome;
  assert.equal(outcomeAfter(), 'not_started');
  assert.equal(outcomeAfter({ atMs: 1, message: 'the host thread 1 hung and was ended' }), 'unknown');
});

test('a pattern means addresses segment by segment, and none takes long', () => {
  for (const [pattern, address, expected] of [
    ['/agents/*', '/agents/claude', true],
    ['/agents/*', '/agents/claude/tools', false],
    ['/agents/c*e', '/agents/claude', true],
    ['/agents/c*x', '/agents/claude', false],
    ['/agents/**', '/agents', true],
    ['/agents/**', '/agents/a/b/c', true],
    ['/**/tools', '/agents/a/tools', true],
    ['/**/tools', '/agents/a/tool', false],
    ['**', '/any/where', true],
    ['/agents/claude', '/agents/claude', true],
    ['/agents', '/agents/claude', false],
    [`/${'*a'.repeat(200)}b`, `/${'a'.repeat(64)}`, false],
    [`${'/**/a'.repeat(80)}/b`, '/a'.repeat(16), false],
  ] as const)
    assert.equal(addressGlob(pattern)(address), expected, `${pattern.slice(0, 40)} and ${address}`);
});
