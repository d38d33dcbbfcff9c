/** Plants that break the rules of leases, commits and outboxes. */

import type { StoreOperation } from '../../runtime/engines/index.ts';
import type { Envelope } from '../../runtime/envelope.ts';
import { decodeBatch, type Numbered } from '../../runtime/mailbox/batch.ts';
import { deadLetterOperations } from '../../runtime/mailbox/dead-letters.ts';
import { decodeTaken, encodeTaken } from '../../runtime/mailbox/taken.ts';
import { createSeededRandom, worldNamespace } from '../../runtime/testing/index.ts';
import { overlaid, type Plants, recommitted } from './planting.ts';

const isOutbox = (operation: StoreOperation): boolean =>
  (operation.op === 'append' || operation.op === 'drop') && operation.list.startsWith('outbox:');

export const commitPlants: Plants = {
  'results-forgotten': {
    what: 'the answers of tasks are not kept',
    plant: recommitted((operations) => operations.filter((change) => change.op !== 'put' || change.table !== 'result')),
  },
  'highest-n-only': {
    what: 'of what was taken only the highest number is kept',
    plant: recommitted((operations) =>
      operations.map((operation) => {
        if (operation.op !== 'put' || operation.table !== 'in') return operation;
        const highest = decodeTaken(operation.value).at(-1)?.[1] ?? 0;
        return { ...operation, value: encodeTaken([[0, highest]]) };
      }),
    ),
  },
  'nonce-not-checked': {
    what: 'a commit needs no lease',
    plant: () => ({
      engine: (engine, world) => ({
        ...engine,
        store: overlaid(engine.store, {
          async commit(shard, fence, operations) {
            const there = world.space.namespaces.get(worldNamespace)?.shards.get(shard);
            const nonce = there?.lease?.nonce ?? fence.nonce;
            const now = (await engine.store.fence(shard)) ?? fence;
            return await engine.store.commit(
              shard,
              { nonce, seq: fence.nonce === nonce ? fence.seq : now.seq },
              operations,
            );
          },
        }),
      }),
    }),
  },
  'seq-not-checked': {
    what: 'a commit needs the lease, and no commit number',
    plant: () => ({
      engine: (engine) => ({
        ...engine,
        store: overlaid(engine.store, {
          async commit(shard, fence, operations) {
            const now = (await engine.store.fence(shard)) ?? fence;
            return await engine.store.commit(shard, { nonce: fence.nonce, seq: now.seq }, operations);
          },
        }),
      }),
    }),
  },
  'lease-end-not-checked': {
    what: 'a commit is taken after the end of its lease',
    plant: () => ({
      engine: (engine, world) => ({
        ...engine,
        store: overlaid(engine.store, {
          async commit(shard, fence, operations) {
            const lease = world.space.namespaces.get(worldNamespace)?.shards.get(shard)?.lease;
            if (lease === undefined) return 'refused';
            const { untilMs } = lease;
            lease.untilMs = Number.POSITIVE_INFINITY;
            const outcome = await engine.store.commit(shard, fence, operations);
            lease.untilMs = untilMs;
            return outcome;
          },
        }),
      }),
    }),
  },
  'n-not-bumped': {
    what: 'the numbers of an outbox go on at a take-over where they are stored',
    plant: () => ({
      meddle: (engine) => ({
        ...engine,
        leases: overlaid(engine.leases, {
          async acquire(shard, holder) {
            const lease = await engine.leases.acquire(shard, holder);
            return 'nonce' in lease ? { ...lease, epoch: 1 } : lease;
          },
        }),
      }),
    }),
  },
  'trim-early': {
    what: 'the outbox is trimmed, unfenced, when it is written to',
    plant: () => ({
      engine: (engine, world) => ({
        ...engine,
        store: overlaid(engine.store, {
          async commit(shard, fence, operations) {
            const outcome = await engine.store.commit(
              shard,
              fence,
              operations.filter(({ op }) => op !== 'drop'),
            );
            const lists = world.space.namespaces.get(worldNamespace)?.shards.get(shard)?.lists;
            if (outcome === 'committed')
              for (const name of lists?.keys() ?? []) if (name.startsWith('outbox:')) lists?.delete(name);
            return outcome;
          },
        }),
      }),
    }),
  },
  'output-before-commit': {
    what: 'a commit is taken for done when it is sent',
    plant: () => ({
      meddle: (engine) => ({
        ...engine,
        store: overlaid(engine.store, {
          async commit(shard, fence, operations) {
            engine.store.commit(shard, fence, operations).catch(() => undefined);
            return 'committed' as const;
          },
        }),
      }),
    }),
  },
  'letter-outside-the-commit': {
    what: 'a dead letter is written after the commit that takes its message',
    plant: () => ({
      engine: (engine, world) => ({
        ...engine,
        store: overlaid(engine.store, {
          async commit(shard, fence, operations) {
            const isLetter = (operation: StoreOperation): boolean => 'table' in operation && operation.table === 'dead';
            const outcome = await engine.store.commit(
              shard,
              fence,
              operations.filter((operation) => !isLetter(operation)),
            );
            const tables = world.space.namespaces.get(worldNamespace)?.shards.get(shard)?.tables;
            if (outcome === 'committed')
              world.network.clock.after(5, () => {
                for (const operation of operations)
                  if (isLetter(operation) && operation.op === 'put')
                    tables?.get('dead')?.set(operation.key, operation.value);
              });
            return outcome;
          },
        }),
      }),
    }),
  },
  'lettered-though-applied': {
    what: 'every fiftieth commit letters a message that is applied, too',
    plant: (plan) => ({
      meddle: (engine) => {
        const random = createSeededRandom(plan.seed, { purpose: 'plant' });
        const fetched: Numbered[] = [];
        const isApplied = (envelope: Envelope, operations: readonly StoreOperation[]): boolean =>
          operations.some((one) => one.op === 'put' && one.table === 'actor' && one.key === envelope.to);
        return {
          ...engine,
          transport: overlaid(engine.transport, {
            async fetch(shard) {
              const job = await engine.transport.fetch(shard);
              fetched.push(...(decodeBatch(job?.data ?? '')?.entries ?? []));
              return job;
            },
          }),
          store: overlaid(engine.store, {
            commit(shard, fence, operations) {
              const index = fetched.findIndex(({ envelope }) => isApplied(envelope, operations));
              const [entry] = index < 0 || !random.chance(1 / 50) ? [] : fetched.splice(index, 1);
              const letter = entry && { envelope: entry.envelope, reason: 'EXPIRED' as const, errors: [], atMs: 0 };
              const more = letter === undefined ? [] : deadLetterOperations(letter);
              return engine.store.commit(shard, fence, [...operations, ...more]);
            },
          }),
        };
      },
    }),
  },
  'marks-outside-the-commit': {
    what: 'what was taken is marked in a commit of its own, later',
    plant: () => ({
      meddle: (engine) => {
        const late = new Map<string, StoreOperation[]>();
        return {
          ...engine,
          store: overlaid(engine.store, {
            commit(shard, fence, operations) {
              const isMark = (operation: StoreOperation): boolean => 'table' in operation && operation.table === 'in';
              const before = late.get(shard) ?? [];
              late.set(shard, operations.filter(isMark));
              return engine.store.commit(shard, fence, [
                ...before,
                ...operations.filter((operation) => !isMark(operation)),
              ]);
            },
          }),
        };
      },
    }),
  },
  'outbox-outside-the-commit': {
    what: 'what a turn tells is not part of its commit',
    plant: recommitted((operations) => operations.filter((operation) => !isOutbox(operation))),
  },
  'keys-forgotten': {
    what: 'idempotency keys are not stored',
    plant: recommitted((operations) =>
      operations.filter((operation) => !('table' in operation && operation.table === 'idem')),
    ),
  },
  'park-without-taken': {
    what: 'mail is parked, and not marked as taken',
    plant: recommitted((operations) =>
      operations.some((operation) => operation.op === 'put' && operation.table === 'parked')
        ? operations.filter((operation) => !('table' in operation && operation.table === 'in'))
        : operations,
    ),
  },
  'parked-row-stays': {
    what: 'the turn of a parked message does not remove its row',
    plant: recommitted((operations) =>
      operations.filter((operation) => !(operation.op === 'delete' && operation.table === 'parked')),
    ),
  },
  'state-outside-the-commit': {
    what: 'every seventh commit forgets the states of its actors',
    plant: (plan) => {
      const random = createSeededRandom(plan.seed, { purpose: 'plant' });
      return recommitted((operations) =>
        random.chance(1 / 7)
          ? operations.filter((operation) => !('table' in operation && operation.table === 'actor'))
          : operations,
      )(plan);
    },
  },
  'marks-that-never-join': {
    what: 'neighbouring runs of taken numbers are kept apart',
    plant: recommitted((operations) =>
      operations.map((operation) => {
        if (operation.op !== 'put' || operation.table !== 'in') return operation;
        const runs = decodeTaken(operation.value);
        const [after, upTo] = runs.at(-1) ?? [0, 0];
        if (upTo - after < 2) return operation;
        return { ...operation, value: encodeTaken([...runs.slice(0, -1), [after, upTo - 1], [upTo - 1, upTo]]) };
      }),
    ),
  },
};
