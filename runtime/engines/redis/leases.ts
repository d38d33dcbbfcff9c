import type { Random } from '../../random.ts';
import type { Leases, Nodes } from '../engine.ts';
import type { RedisKeys } from './keys.ts';
import { pipelined, type RedisLink } from './link.ts';
import type { RunScript } from './scripts.ts';

export function createRedisLeases({ call }: RedisLink, keys: RedisKeys, run: RunScript, random: Random): Leases {
  return {
    async acquire(shard, { node, ttlMs, succeeds, held = '' }) {
      const nonce = random.nonce();
      const values = [keys.lease(shard), String(node), String(ttlMs), nonce, succeeds?.toString() ?? '', held];
      const answer = (await call(() => run('troupeAcquire', values))) as string[];
      const [taken, engineNowMs, untilMs, epoch, seq, clean, uncleanInRow] = answer.map(Number);
      if (taken !== 1) return { heldUntilMs: untilMs as number, engineNowMs: engineNowMs as number };
      return {
        shard,
        epoch: epoch as number,
        nonce,
        seq: seq as number,
        engineNowMs: engineNowMs as number,
        untilMs: untilMs as number,
        clean: clean === 1,
        uncleanInRow: uncleanInRow as number,
      };
    },
    async renew(shard, nonce, ttlMs) {
      const answer = await call(() => run('troupeRenew', [keys.lease(shard), nonce, String(ttlMs)]));
      if (!Array.isArray(answer)) return undefined;
      return { engineNowMs: Number(answer[0]), untilMs: Number(answer[1]), seq: Number(answer[2]) };
    },
    async release(shard, nonce) {
      await call(() => run('troupeRelease', [keys.lease(shard), nonce]));
    },
  };
}

export function createRedisNodes({ client, call }: RedisLink, keys: RedisKeys, run: RunScript): Nodes {
  return {
    async join({ ttlMs, label, succeeds }) {
      const values = [keys.members, keys.memberLabels, keys.meta, String(ttlMs), label, succeeds?.toString() ?? ''];
      const [joined, engineNowMs, third, heldBy = ''] = (await call(() => run('troupeJoin', values))) as string[];
      if (joined === '1') return { epoch: Number(third), engineNowMs: Number(engineNowMs) };
      return { heldBy, heldUntilMs: Number(third), engineNowMs: Number(engineNowMs) };
    },
    async renew(epoch, ttlMs) {
      return (await call(() => run('troupeRenewNode', [keys.members, String(epoch), String(ttlMs)]))) === 1;
    },
    async leave(epoch) {
      const member = String(epoch);
      await call(() => pipelined(client.multi().zrem(keys.members, member).hdel(keys.memberLabels, member)));
    },
    async lowestLive() {
      const epochs = ((await call(() => run('troupeLiveNodes', [keys.members]))) as string[]).map(Number);
      return epochs.length === 0 ? undefined : Math.min(...epochs);
    },
  };
}
