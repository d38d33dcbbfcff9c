/** What a dead node wrote and the network brings late, after the shard has closed that node's channel (STALE_WRITER). */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Engine } from '../../runtime/engines/index.ts';
import { defaults } from '../../runtime/limits.ts';
import { nodeWriter } from '../../runtime/mailbox/batch.ts';
import { createTestWorld, type TestNode, worldNamespace } from '../../runtime/testing/index.ts';
import courierApp from '../apps/courier.ts';

const a = '/couriers/a';
const note = (n: number) => ({ to: a, type: 'note', payload: { n } });

test('a write of a dead node that comes when its channel is closed ends as a letter; a copy of one is not applied again', async () => {
  const world = createTestWorld({ shards: 1 });
  const stored = () => world.space.namespaces.get(worldNamespace)?.shards.get('s0');
  /** Everything that the first node wrote; its last write is under way for so long that the node dies before. */
  const written: string[] = [];
  let underWay = false;
  const meddle = (engine: Engine): Engine => ({
    ...engine,
    transport: {
      ...engine.transport,
      add(shard, data) {
        written.push(data);
        return underWay ? new Promise(() => undefined) : engine.transport.add(shard, data);
      },
    },
  });
  let plain: Engine | undefined;
  const observe = (engine: Engine): Engine => {
    plain = engine;
    return engine;
  };
  const notesOf = async (node: TestNode): Promise<number[]> => {
    await world.advance(defaults.fetchPollMs);
    return ((await node.ask({ to: a, type: 'read' })) as { notes: number[] }).notes;
  };
  const arrives = async (data: string | undefined): Promise<void> => {
    assert(data);
    await plain?.transport.add('s0', data);
    await world.advance(defaults.fetchPollMs);
    assert.deepEqual([stored()?.waiting.length, stored()?.active.size], [0, 0], 'its job is acknowledged');
  };

  const first = await world.start({ app: courierApp, meddle });
  await first.tell(note(1));
  await first.tell(note(2));
  assert.deepEqual(await notesOf(first), [1, 2]);
  underWay = true;
  await assert.rejects(first.tell(note(3)), { reason: 'UNAVAILABLE', outcome: 'unknown' });
  first.kill();

  const second = await world.start({ app: courierApp, observe, succeeds: first });
  const marks = () => [...(stored()?.tables.get('in')?.keys() ?? [])];
  assert.deepEqual(marks(), [nodeWriter(first.epoch)]);
  assert.ok(await world.until(() => marks().length === 0), 'the mark of the dead writer is dropped');
  assert.equal(stored()?.tables.get('meta')?.get('closedBelow'), String(second.epoch));
  await arrives(written[0]);
  assert.deepEqual(await notesOf(second), [1, 2], 'whoever closed the channel knows what it took');
  second.kill();

  const third = await world.start({ app: courierApp, observe, succeeds: second });
  const letters = async () => (await world.settle(third.runtime.inspection.deadLetters({ limit: 10 }))).items;
  assert.deepEqual(await letters(), []);
  await arrives(written[2]);
  const [letter, ...others] = await letters();
  assert.deepEqual([letter?.reason, letter?.address, letter?.type, others], ['STALE_WRITER', a, 'note', []]);
  await arrives(written[1]);
  await third.tell(note(4));
  assert.deepEqual(await notesOf(third), [1, 2, 4]);

  await world.settle(third.runtime.deadLetters.replay({ ids: [letter?.id ?? ''] }));
  assert.deepEqual(await notesOf(third), [1, 2, 4, 3], 'the letter holds the whole message');
});
