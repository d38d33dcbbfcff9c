import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createFakeHosts } from '../support/fake-activations.ts';
import { actor, fakeTree, nodeAt } from '../support/fake-tree.ts';

async function withThreads() {
  const hosts = createFakeHosts();
  const fake = fakeTree([actor('a')], { hosts, threads: 2 });
  // One list, so that the order across both is seen.
  Object.assign(hosts, { calls: fake.activations.calls });
  await fake.start();
  return { ...fake, hosts };
}

describe('the host threads', () => {
  it('start before the app and stop after it', async () => {
    const { tree, calls } = await withThreads();
    assert.deepEqual(calls(), ['start thread 1', 'start thread 2', 'start /a']);
    await tree.stop(1_000);
    assert.deepEqual(calls(), ['stop /a', 'stop thread 2', 'stop thread 1']);
  });

  it('are replaced one by one, within 200 ms, under a new incarnation', async () => {
    const { tree, clock, hosts, calls } = await withThreads();
    calls();
    hosts.exit(2, { cause: 'hung' });
    await clock.advance(200);
    assert.deepEqual(calls(), ['start thread 2']);
    const threads = nodeAt(tree.describe(), '/system/threads');
    assert.deepEqual(
      threads?.children.map((node) => [node.address, node.role, node.incarnation, node.lastExitCause]),
      [
        ['/system/threads/1', 'thread', 1, undefined],
        ['/system/threads/2', 'thread', 2, 'hung'],
      ],
    );
  });

  it('hung, killed or out of memory spend no budget; deaths of their own do, and too many end the node', async () => {
    const { tree, clock, hosts, gaveUp, calls } = await withThreads();
    for (const cause of ['hung', 'killed', 'out-of-memory'] as const)
      for (let blow = 0; blow < 10; blow++) {
        hosts.exit(1, { cause });
        await clock.advance(1_000);
      }
    assert.equal(tree.supervisor('/system/threads')?.budgetLeft, 5);
    for (let blow = 0; blow < 5; blow++) {
      hosts.exit(1);
      await clock.advance(2_000);
    }
    calls();
    assert.deepEqual(gaveUp, []);
    hosts.exit(1);
    await clock.settle();
    assert.equal(gaveUp.length, 1);
    assert.deepEqual(calls(), ['stop thread 2', 'stop /a']);
  });
});
