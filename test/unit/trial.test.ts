/** Blame for a message that kills the whole process, on a whole node over a memory engine. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createMemorySpace } from '../../runtime/engines/index.ts';
import { defaults } from '../../runtime/limits.ts';
import { shardNames } from '../../runtime/mailbox/shards.ts';
import { eventually, shards, startWorld, type World } from '../support/world.ts';

const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index);
const hooks = globalThis as { onStrike?: () => void };

const notes = (world: World, to: string, count: number): Promise<number[]> =>
  eventually(
    async () => {
      try {
        return ((await world.messaging.ask({ to, type: 'read' })) as { notes: number[] }).notes;
      } catch {
        return [];
      }
    },
    (found) => found.length >= count,
  );

describe('a message that kills its process', () => {
  test('is found by trial and ends as a dead letter with its attempts; nobody else is charged, lost or reordered', async (t) => {
    const space = createMemorySpace();
    let world = await startWorld(t, { app: 'courier', space });
    t.after(() => {
      delete hooks.onStrike;
    });
    const others = numbers(6).map((index) => `/couriers/other-${index}`);
    let died = Promise.withResolvers<void>();
    hooks.onStrike = () => {
      world.abandon();
      died.resolve();
      throw new Error('the process is gone');
    };
    const tell = (to: string, type: string, payload: object): Promise<unknown> =>
      world.messaging.tell({ to, type, payload: payload as never }).catch(() => undefined);
    const sent = numbers(20).flatMap((n) => [
      tell('/couriers/victim', 'note', { n }),
      ...(n === 10 ? [tell('/couriers/victim', 'strike', {})] : []),
      ...others.map((to) => tell(to, 'note', { n })),
    ]);
    await Promise.race([Promise.all(sent), died.promise]);
    let lives = 1;
    for (;;) {
      const letter = eventually(
        () => world.runtime.inspection.deadLetters({ limit: 10 }),
        (page) => page.items.length > 0,
      ).catch(() => undefined);
      if ((await Promise.race([died.promise.then(() => 'died'), letter.then(() => 'over')])) === 'over') break;
      died = Promise.withResolvers();
      lives++;
      assert.ok(lives < 15, 'it is found in the end');
      world = await startWorld(t, { app: 'courier', space, succeeds: world.runtime.nodeEpoch });
    }
    const { items } = await world.runtime.inspection.deadLetters({ limit: 10 });
    assert.deepEqual(
      items.map(({ type, reason, errors }) => [type, reason, errors.length]),
      [['strike', 'ATTEMPTS_SPENT', defaults.messageAttempts]],
    );
    // Two deaths for free, then one for each attempt.
    assert.ok(lives <= 2 + defaults.messageAttempts + 1, `${lives} lives`);
    for (const to of ['/couriers/victim', ...others]) {
      const found = await notes(world, to, 20);
      assert.deepEqual(found, numbers(20), to);
    }
    // Once all is handled, nothing is tried any more.
    await eventually(
      async () => Promise.all(shardNames(shards).map((shard) => world.engine.store.get(shard, 'meta', 'trial'))),
      (rows) => rows.every((row) => row === undefined),
    );
    await world.close();
  });
});
