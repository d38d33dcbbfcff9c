/** Plants that break the rules of channels and of the intake. */

import type { TransportJob } from '../../runtime/engines/index.ts';
import { decodeBatch, encodeBatch } from '../../runtime/mailbox/batch.ts';
import { createSeededRandom } from '../../runtime/testing/index.ts';
import { type Plants, withTransport } from './planting.ts';

export const channelPlants: Plants = {
  'ack-early': {
    what: 'a job is acknowledged when it is fetched',
    plant: withTransport((transport) => ({
      async fetch(shard) {
        const job = await transport.fetch(shard);
        if (job !== undefined) await transport.acknowledge(shard, job.id).catch(() => undefined);
        return job;
      },
    })),
  },
  'no-gap-scan': {
    what: 'a gap is taken for a loss without looking at what waits and what is active',
    plant: withTransport(() => ({ waiting: async () => [], active: async () => [] })),
  },
  'active-before-wait': {
    what: 'the scan reads the active jobs before the waiting ones',
    plant: withTransport((transport) => {
      const before = new Map<string, TransportJob[]>();
      return {
        async waiting(shard) {
          before.set(shard, await transport.active(shard));
          // A slow engine: what is fetched meanwhile is in neither answer.
          for (let n = 0; n < 8; n += 1) await transport.waiting(shard);
          return await transport.waiting(shard);
        },
        async active(shard) {
          const known = before.get(shard);
          before.delete(shard);
          return known ?? (await transport.active(shard));
        },
      };
    }),
  },
  'no-adoption': {
    what: 'active jobs are looked at only when there is a gap',
    plant: withTransport((transport) => {
      let scanning = false;
      return {
        waiting(shard) {
          scanning = true;
          return transport.waiting(shard);
        },
        async active(shard) {
          if (!scanning) return [];
          scanning = false;
          return await transport.active(shard);
        },
      };
    }),
  },
  'skip-unknown-write': {
    what: 'a write of unknown outcome is taken for done',
    plant: withTransport((transport) => ({
      add: (shard, data) =>
        transport.add(shard, data).catch((error: Error) => {
          if (error.name !== 'EngineUnknown') throw error;
        }),
    })),
  },
  'renumbered-repeat': {
    what: 'a write of unknown outcome is repeated under new numbers',
    plant: withTransport((transport) => {
      const sent = new Set<string>();
      return {
        add(shard, data) {
          if (!sent.has(data)) {
            sent.add(data);
            return transport.add(shard, data);
          }
          const { writer, entries } = decodeBatch(data) ?? { writer: '', entries: [] };
          const renumbered = entries.map((entry) => JSON.stringify({ ...entry, n: entry.n + 1_000 }));
          return transport.add(shard, encodeBatch(writer, renumbered));
        },
      };
    }),
  },
  'no-prev': {
    what: 'envelopes name no predecessor',
    plant: withTransport((transport) => ({
      add(shard, data) {
        const { writer, entries } = decodeBatch(data) ?? { writer: '', entries: [] };
        const bare = entries.map((entry) => JSON.stringify({ ...entry, prev: 0 }));
        return transport.add(shard, encodeBatch(writer, bare));
      },
    })),
  },
  'reordered-batch': {
    what: 'envelopes of a job are read in any order',
    plant: (plan) => {
      const random = createSeededRandom(plan.seed, { purpose: 'plant' });
      return withTransport((transport) => ({
        async fetch(shard) {
          const job = await transport.fetch(shard);
          const batch = job === undefined ? undefined : decodeBatch(job.data);
          if (job === undefined || batch === undefined || batch.entries.length < 2) return job;
          const entries = [...batch.entries];
          const at = random.whole(0, entries.length - 2);
          const [first, second] = [entries[at], entries[at + 1]];
          if (first === undefined || second === undefined) return job;
          // The numbers stay where they were: the envelopes change places.
          entries[at] = { ...first, envelope: second.envelope };
          entries[at + 1] = { ...second, envelope: first.envelope };
          return {
            id: job.id,
            data: encodeBatch(
              batch.writer,
              entries.map((entry) => JSON.stringify(entry)),
            ),
          };
        },
      }))(plan);
    },
  },
};
