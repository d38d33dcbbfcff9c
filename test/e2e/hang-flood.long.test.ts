/** A sender whose messages hang the thread of their actor, again and again: what that costs the others on it (G7). */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defaults } from '../../runtime/limits.ts';
import { eventually, startWorld } from '../support/world.ts';

const slow = { timeout: 120_000 };

for (const [kind, delivery, deadly] of [
  ['unruly', 'at-most-once', 4],
  ['kept', 'at-least-once', 2],
] as const)
  test(
    `${deadly} ${delivery} messages that hang cost the actors on a thread one life, not ${deadly}`,
    slow,
    async (t) => {
      const world = await startWorld(t, { app: 'unruly', threads: { watchdogMs: 250 } });
      const { messaging, runtime } = world;
      const add = (to: string): Promise<unknown> =>
        eventually(
          () => messaging.ask({ to, type: 'add', payload: {} }, { timeoutMs: 2_000 }).catch(() => undefined),
          (given) => given !== undefined,
        );
      const addresses = ['a', 'b', 'c', 'd', 'e'].map((name) => `/${kind}/${name}`);
      for (const address of addresses) await add(address);
      const [culprit = '', ...others] = addresses;
      const lives = async (): Promise<number[]> => {
        for (const address of others) await add(address);
        return (await runtime.inspection.actors(others)).map(({ incarnation }) => incarnation);
      };
      const ends = (): number => runtime.inspection.threads().reduce((sum, { exits }) => sum + exits, 0);
      const attempts = delivery === 'at-least-once' ? defaults.messageAttempts : 1;
      for (let n = 1; n <= deadly; n += 1) {
        await messaging.tell({ to: culprit, type: 'now', payload: { deed: 'loop' }, delivery });
        await eventually(
          async () => ends(),
          (count) => count === n * attempts,
        );
        await add(culprit);
      }
      const ended = (await lives()).sort();
      assert.ok(ended[0] === 1 && ended.at(-1) === 2, `lives of the others: ${ended}`);
      assert.ok((await runtime.inspection.actor(culprit)).thread > 2, 'it lives apart');
      await world.close();
    },
  );
