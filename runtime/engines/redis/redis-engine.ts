/**
 * The engine on Redis 7 or newer, standalone. Cluster and Sentinel are untested; every key of a shard carries one hash
 * tag, and no script touches two shards.
 *
 * Two connections: one for BullMQ's scripts, one for the shard store and the leases, so that a long list of jobs does
 * not stand before a commit.
 */

import { createRedisBackend } from 'bullmq';
import { type Clock, systemClock } from '../../clock.ts';
import { TroupeError, textOf } from '../../errors.ts';
import { type Random, systemRandom } from '../../random.ts';
import { createBullmqMailboxes } from '../bullmq-mailboxes.ts';
import { checkOptions, checkShardCount } from '../check.ts';
import { type Engine, EngineDown, type EngineInfo, type EngineOptions, type MailboxTransport } from '../engine.ts';
import { judgeRedis, readRedisState } from './durability.ts';
import { createRedisKeys } from './keys.ts';
import { createRedisLeases, createRedisNodes } from './leases.ts';
import { createRedisLink } from './link.ts';
import { defineScripts } from './scripts.ts';
import { createRedisStore } from './store.ts';

export interface RedisEngineOptions extends EngineOptions {
  /** `redis://` or `rediss://`, with user, password and database where needed. */
  readonly url: string;
  /** Whether a Redis that may evict mail is used all the same. Default: no. */
  readonly acceptWeakDurability?: boolean;
  readonly clock?: Clock;
  readonly random?: Random;
}

export function createRedisEngine(options: RedisEngineOptions): Engine {
  checkOptions(options);
  const clock = options.clock ?? systemClock;
  const keys = createRedisKeys(options.namespace);
  const link = createRedisLink(options.url, clock);
  const mailLink = createRedisLink(options.url, clock);
  const run = defineScripts(link.client);
  let mailboxes: MailboxTransport | undefined;

  const opened = (): MailboxTransport => {
    if (mailboxes === undefined) throw new EngineDown('The Redis engine is not open.');
    return mailboxes;
  };

  return {
    transport: {
      keepsOrder: true,
      add: async (shard, data) => opened().add(shard, data),
      fetch: async (shard) => opened().fetch(shard),
      acknowledge: async (shard, jobId) => opened().acknowledge(shard, jobId),
      waiting: async (shard) => opened().waiting(shard),
      active: async (shard) => opened().active(shard),
      depth: async (shard) => opened().depth(shard),
    },
    store: createRedisStore(link, keys, run),
    leases: createRedisLeases(link, keys, run, options.random ?? systemRandom),
    nodes: createRedisNodes(link, keys, run),
    async open(): Promise<EngineInfo> {
      try {
        await Promise.all([link.connect(), mailLink.connect()]);
        const state = await readRedisState(link.client);
        const judgement = judgeRedis(state, link.place, options.acceptWeakDurability ?? false);
        await link.client.hsetnx(keys.meta, 'shards', String(options.shards));
        const stored = await link.client.hget(keys.meta, 'shards');
        checkShardCount(options.namespace, Number(stored), options.shards);
        const queueOptions = { connection: mailLink.client, prefix: keys.queuePrefix('sys') };
        const root = createRedisBackend('mail', queueOptions);
        // The link reconnects by itself; an error without a listener would end the process.
        root.on('error', () => {});
        await root.waitUntilReady();
        mailboxes = createBullmqMailboxes({
          root,
          queueOf: (shard) => ({ name: 'mail', prefix: keys.queuePrefix(shard) }),
          call: mailLink.call,
          clock,
        });
        return { name: 'redis', description: `Redis ${state.version} at ${link.place}`, ...judgement };
      } catch (error) {
        await Promise.all([link.close(), mailLink.close()]);
        if (error instanceof TroupeError) throw error;
        throw new TroupeError('UNAVAILABLE', `Redis at ${link.place} cannot be used: ${textOf(error)}`, {
          cause: error,
        });
      }
    },
    async ping() {
      await Promise.all([link.call(() => link.client.ping()), mailLink.call(() => mailLink.client.ping())]);
    },
    async close() {
      mailboxes = undefined;
      await Promise.all([link.close(), mailLink.close()]);
    },
  };
}
