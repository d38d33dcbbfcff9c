import { createRedisBackend } from 'bullmq';
import type { Clock } from '../../clock.ts';
import { createBullmqMailboxes } from '../bullmq-mailboxes.ts';
import { type EngineReading, nothingStored, unreadable } from '../reading.ts';
import { createRedisKeys } from './keys.ts';
import { createRedisLink } from './link.ts';
import { defineScripts } from './scripts.ts';
import { createRedisStore } from './store.ts';

/** Opens a namespace on Redis for reading. Every command sent is one that reads, and so is the one script. */
export async function readRedis(url: string, namespace: string, clock: Clock): Promise<EngineReading> {
  const keys = createRedisKeys(namespace);
  const link = createRedisLink(url);
  const place = `Redis at ${link.place}`;
  try {
    await link.connect();
    const shards = Number(await link.client.hget(keys.meta, 'shards'));
    if (!Number.isSafeInteger(shards) || shards < 1) throw nothingStored(namespace, place);
    const queueOptions = { connection: link.client, prefix: keys.queuePrefix('sys') };
    const root = createRedisBackend('mail', queueOptions);
    root.on('error', () => {});
    await root.waitUntilReady();
    return {
      description: place,
      shards,
      store: createRedisStore(link, keys, defineScripts(link.client)),
      transport: createBullmqMailboxes({
        root,
        queueOf: (shard) => ({ name: 'mail', prefix: keys.queuePrefix(shard) }),
        call: link.call,
        clock,
      }),
      async nowMs() {
        const [seconds, microseconds] = await link.call(() => link.client.time());
        return Number(seconds) * 1_000 + Math.floor(Number(microseconds) / 1_000);
      },
      close: () => link.close(),
    };
  } catch (error) {
    await link.close();
    throw unreadable(place, error);
  }
}
