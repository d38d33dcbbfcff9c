/** A thread that dies in the same tick in which it says that an actor has started: what it said is heard, and then its end. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '../../runtime/clock.ts';
import { startLocalHost } from '../../runtime/host/local-host.ts';
import type { Host, HostData, HostEvents } from '../../runtime/host/messages.ts';
import { startWorld } from '../support/world.ts';

for (const [kind, which] of [
  ['gates', 'a persistent'],
  ['fences', 'an ephemeral'],
] as const)
  test(`${which} actor lives again after such an end of its thread`, async (t) => {
    let deaths = 0;
    const spawnHost = (data: HostData, events: HostEvents): Host => {
      const host = startLocalHost(
        data,
        {
          ...events,
          onMessages(messages) {
            events.onMessages(messages);
            if (deaths > 2 || !messages.some(({ from }) => from === 'started')) return;
            deaths += 1;
            void host.terminate('killed');
          },
        },
        { clock: systemClock },
      );
      return host;
    };
    const world = await startWorld(t, { app: 'gate', spawnHost });
    const answer = await world.messaging.ask({ to: `/${kind}/a`, type: 'read' }, { timeoutMs: 10_000 });
    assert.deepEqual(answer, { passed: [] });
    assert.equal(deaths, 3);
    await world.close();
  });
