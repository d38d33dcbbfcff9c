/**
 * Gaps of a channel while the letter that writes them off is in commit, and copies that arrive meanwhile; and gaps among
 * the marks of an engine that lost takes.
 */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { MailboxTransport, TransportJob } from '../../runtime/engines/engine.ts';
import type { Envelope } from '../../runtime/envelope.ts';
import { silentLog } from '../../runtime/log.ts';
import { encodeBatch, encodeEntry, nodeWriter } from '../../runtime/mailbox/batch.ts';
import { Intake } from '../../runtime/mailbox/intake.ts';
import type { ChannelPlace } from '../../runtime/mailbox/mail.ts';
import { isTaken, nothingTaken, type Taken } from '../../runtime/mailbox/taken.ts';
import { createVirtualClock } from '../../runtime/testing/index.ts';

const writer = nodeWriter(7);

/**
 * An intake whose takes are committed when the test says so. `newestFirst`: the transport keeps no order. `marks`: what
 * is stored at the beginning.
 */
function taking({ newestFirst = false, marks = nothingTaken }: { newestFirst?: boolean; marks?: Taken } = {}) {
  const jobs: { job: TransportJob; active: boolean }[] = [];
  const acknowledged: string[] = [];
  const inCommit: ChannelPlace[] = [];
  const handedOn: number[] = [];
  const lost: [after: number, upTo: number][] = [];
  const transport: MailboxTransport = {
    add: (_shard, data) =>
      Promise.resolve(void jobs.push({ job: { id: String(jobs.length + 1), data }, active: false })),
    fetch: () => {
      const waits = ({ active }: { readonly active: boolean }) => !active;
      const next = newestFirst ? jobs.findLast(waits) : jobs.find(waits);
      if (next) next.active = true;
      return Promise.resolve(next?.job);
    },
    acknowledge: (_shard, id) => Promise.resolve(void acknowledged.push(id)),
    waiting: () => Promise.resolve(jobs.filter(({ active }) => !active).map(({ job }) => job)),
    active: () =>
      Promise.resolve(jobs.flatMap(({ job, active }) => (active && !acknowledged.includes(job.id) ? job : []))),
    depth: () => Promise.resolve(0),
  };
  const intake = new Intake({
    shard: 's0',
    epoch: 1,
    transport,
    clock: createVirtualClock(),
    log: silentLog,
    taken: new Map([[writer, marks]]),
    closedBelow: 0,
    onMail: ({ place }) => {
      assert(place?.at === 'channel');
      handedOn.push(place.n);
      inCommit.push(place);
    },
    onLost: (gap) => {
      lost.push([gap.prev, gap.n]);
      inCommit.push(gap);
    },
    onStale: () => assert.fail('no writer is closed'),
    prove: (onProved) => onProved(),
    count: () => undefined,
  });
  const settle = async () => {
    for (let turn = 0; turn < 50; turn++) await Promise.resolve();
  };
  const added = async (batches: readonly (readonly number[])[]) => {
    for (const numbers of batches) {
      const entries = numbers.map((n) => encodeEntry(n, n - 1, JSON.stringify({ id: `m${n}` } as Envelope)));
      await transport.add('s0', encodeBatch(writer, entries));
    }
  };
  return {
    acknowledged,
    handedOn,
    lost,
    isTaken: (n: number) => isTaken(intake.marksAfter([{ writer, n: 0, prev: 0 }]).get(writer) ?? [], n),
    /** One job with these numbers, each the successor of the number before it. */
    async arrives(...batches: readonly (readonly number[])[]) {
      await added(batches);
      intake.wake();
      await settle();
    },
    /** A take-over that finds jobs with these numbers fetched and not acknowledged. */
    async adopts(...batches: readonly (readonly number[])[]) {
      await added(batches);
      for (const job of jobs) job.active = true;
      await intake.adoptActive();
      await settle();
    },
    /** The oldest takes become stored. */
    async commit(count: number) {
      intake.settled(inCommit.splice(0, count));
      await settle();
    },
  };
}

describe('a gap that is being written off', () => {
  test('keeps a late copy out before its letter is stored, and acknowledges it after', async () => {
    const { arrives, commit, handedOn, lost, acknowledged } = taking();
    await arrives([1]);
    await arrives([6]);
    assert.deepEqual(lost, [[1, 5]]);
    await arrives([3, 4]);
    assert.deepEqual(handedOn, [1, 6]);
    assert.deepEqual(acknowledged, []);
    await commit(3);
    assert.deepEqual(acknowledged.toSorted(), ['1', '2', '3']);
    await arrives([2, 5]);
    assert.deepEqual(handedOn, [1, 6]);
    assert.deepEqual(acknowledged.toSorted(), ['1', '2', '3', '4']);
  });

  test('takes nothing that still waits, wherever in the gap', async () => {
    const { arrives, handedOn, lost } = taking({ newestFirst: true });
    await arrives([1]);
    await arrives([2, 3], [6]);
    assert.deepEqual(handedOn, [1, 2, 3, 6]);
    assert.deepEqual(lost, [[3, 5]]);
  });

  test('hands on in order, and acknowledges only what is taken, however copies and commits interleave', async () => {
    const step = fc.oneof(
      {
        weight: 3,
        arbitrary: fc.record({ from: fc.integer({ min: 1, max: 20 }), many: fc.integer({ min: 1, max: 4 }) }),
      },
      { weight: 1, arbitrary: fc.record({ commit: fc.integer({ min: 1, max: 5 }) }) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        const { arrives, commit, handedOn, acknowledged, isTaken } = taking();
        const jobs: number[][] = [];
        for (const next of [...steps, { commit: 1_000 }]) {
          if ('commit' in next) await commit(next.commit);
          else {
            jobs.push(Array.from({ length: next.many }, (_, index) => next.from + index));
            await arrives(jobs.at(-1) ?? []);
          }
          for (const id of acknowledged)
            for (const n of jobs[Number(id) - 1] ?? []) assert.ok(isTaken(n), `${n} of job ${id} is not taken`);
        }
        assert.deepEqual(
          handedOn,
          [...new Set(handedOn)].toSorted((left, right) => left - right),
        );
        assert.equal(acknowledged.length, jobs.length, 'every job is done with');
      }),
    );
  });
});

describe('an engine that lost a take, and acknowledged its job all the same', () => {
  const marks: Taken = [
    [0, 2],
    [4, 6],
  ];

  test('what comes next waits for what is still there, though its predecessor is taken', async () => {
    const { adopts, handedOn, lost } = taking({ marks });
    await adopts([4, 5], [7]);
    assert.deepEqual(lost, [[2, 3]]);
    assert.deepEqual(handedOn, [4, 7]);
  });

  test('what is nowhere is written off though nothing waits for it', async () => {
    const { adopts, arrives, commit, handedOn, lost, isTaken } = taking({ marks });
    await adopts();
    assert.deepEqual(lost, [[2, 4]]);
    await commit(1);
    assert.ok(isTaken(3));
    await arrives([7]);
    assert.deepEqual(handedOn, [7]);
  });

  test('each hole is written off by itself, around what is still there', async () => {
    const { adopts, handedOn, lost } = taking({ marks: [...marks, [9, 10], [13, 14]] });
    await adopts([8], [12]);
    assert.deepEqual(handedOn, [8, 12]);
    assert.deepEqual(lost, [
      [2, 4],
      [6, 7],
      [8, 9],
      [10, 11],
      [12, 13],
    ]);
  });
});
