/** The transport: at least once, listed where it is, acknowledged by anyone. */

import assert from 'node:assert/strict';
import type { Engine } from '../../../runtime/engines/engine.ts';
import type { Check } from './space.ts';

export function transportContract(check: Check): void {
  check('jobs are fetched in the order added, and listed where they are', async ({ open }) => {
    const engine = await open();
    const { transport } = engine;
    assert.equal(await transport.fetch('s0'), undefined);
    const data = ['first', '{"json":"\\u0000"}', 'ü\u{1F600}', '', 'x'.repeat(100_000)];
    for (const one of data) await transport.add('s0', one);
    await transport.add('s1', 'elsewhere');
    assert.equal(await transport.depth('s0'), 5);
    assert.deepEqual(
      (await transport.waiting('s0')).map((job) => job.data),
      data,
    );
    const first = await transport.fetch('s0');
    const second = await transport.fetch('s0');
    assert.deepEqual([first?.data, second?.data], data.slice(0, 2));
    const other = await open();
    assert.deepEqual(await other.transport.active('s0'), [first, second]);
    assert.deepEqual(
      (await other.transport.waiting('s0')).map((job) => job.data),
      data.slice(2),
    );
    assert.equal(await other.transport.depth('s0'), 3);
    for (const expected of data.slice(2)) assert.equal((await other.transport.fetch('s0'))?.data, expected);
    assert.equal(await other.transport.fetch('s0'), undefined);
  });

  check('anyone acknowledges any active job, as often as he likes', async ({ open }) => {
    const [engine, other] = [await open(), await open()];
    for (const data of ['a', 'b', 'c']) await engine.transport.add('s0', data);
    const [a, b] = [await engine.transport.fetch('s0'), await engine.transport.fetch('s0')];
    await other.transport.acknowledge('s0', b?.id as string);
    await other.transport.acknowledge('s0', b?.id as string);
    await engine.transport.acknowledge('s0', b?.id as string);
    assert.deepEqual(await engine.transport.active('s0'), [a]);
    const [c] = await engine.transport.waiting('s0');
    await engine.transport.acknowledge('s0', c?.id as string);
    await engine.transport.acknowledge('s0', '4711');
    assert.deepEqual(await engine.transport.waiting('s0'), [c], 'a waiting job cannot be acknowledged');
    await other.transport.acknowledge('s0', a?.id as string);
    assert.deepEqual(await engine.transport.active('s0'), []);
    await engine.close();
    const last = await other.transport.fetch('s0');
    assert.deepEqual(last, c, 'a closed instance takes nothing with it');
    await other.transport.acknowledge('s0', last?.id as string);
    await other.transport.add('s0', 'd');
    assert.notEqual((await other.transport.fetch('s0'))?.id, last?.id, 'a job id is never reused');
  });

  check('no job goes to two fetchers', async ({ open }) => {
    const engines = [await open(), await open()];
    for (let index = 0; index < 30; index += 1) await (engines[0] as Engine).transport.add('s0', `${index}`);
    const fetched = await Promise.all(
      Array.from({ length: 30 }, (_, index) => (engines[index % 2] as Engine).transport.fetch('s0')),
    );
    const ids = fetched.filter((job) => job !== undefined).map((job) => job.id);
    assert.equal(new Set(ids).size, ids.length);
    const active = await (engines[0] as Engine).transport.active('s0');
    assert.deepEqual(new Set(active.map((job) => job.id)), new Set(ids));
  });
}
