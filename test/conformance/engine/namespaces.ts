/** Opening, closing, and what keeps namespaces apart. */

import assert from 'node:assert/strict';
import { EngineDown } from '../../../runtime/engines/engine.ts';
import { TroupeError } from '../../../runtime/errors.ts';
import { type Check, commit, type EngineUnderTest, sample, shards, take } from './space.ts';

export function namespaceContract(check: Check, under: () => EngineUnderTest): void {
  check('instances that open a new namespace at once agree, and another shard count is refused', async (space) => {
    const engines = [space.create(), space.create(), space.create()];
    const infos = await Promise.all(engines.map((engine) => engine.open()));
    for (const info of infos) {
      assert.ok(info.description.length > 0 && info.durability.length > 0);
    }
    for (const engine of engines) await engine.ping();
    const different = space.create(shards + 1);
    await assert.rejects(
      different.open(),
      (error) => error instanceof TroupeError && error.reason === 'UNAVAILABLE' && /16 shards/.test(error.message),
    );
  });

  check('namespaces do not see each other, whatever words they are; a node has a shard of its own', async (_, t) => {
    for (const namespace of ['order', 'user']) {
      const engine = under().create({ namespace, shards });
      t.after(() => engine.close());
      await engine.open();
      const lease = await take(engine, 'node:n-1.x', 1);
      assert.equal(await commit(engine, lease, 0, sample), 'committed');
      await engine.transport.add('node:n-1.x', namespace);
      assert.equal((await engine.transport.fetch('node:n-1.x'))?.data, namespace);
      assert.equal(await engine.transport.fetch('s0'), undefined);
    }
  });

  check('a closed engine refuses every call', async ({ open }) => {
    const engine = await open();
    const lease = await take(engine, 's0', 1);
    await engine.close();
    await engine.close();
    await assert.rejects(engine.ping(), EngineDown);
    await assert.rejects(engine.transport.add('s0', 'x'), EngineDown);
    await assert.rejects(engine.transport.fetch('s0'), EngineDown);
    await assert.rejects(commit(engine, lease, 0, sample), EngineDown);
    await assert.rejects(engine.leases.renew('s0', lease.nonce, 1), EngineDown);
  });
}
