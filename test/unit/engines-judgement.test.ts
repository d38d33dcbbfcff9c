import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StoreOperation } from '../../runtime/engines/engine.ts';
import { commitValues } from '../../runtime/engines/postgres/commit-values.ts';
import { judgeRedis, type RedisState } from '../../runtime/engines/redis/durability.ts';
import { TroupeError } from '../../runtime/errors.ts';

const good: RedisState = {
  version: '7.2.4',
  mode: 'standalone',
  role: 'master',
  primary: '?:?',
  loading: false,
  memory: { usedBytes: 0, maxBytes: 0 },
  clients: { connected: 1, max: 10_000 },
  snapshotFailed: false,
  appendFailed: false,
  policy: 'noeviction',
  appendOnly: true,
  appendFsync: 'everysec',
};
const judge = (state: Partial<RedisState>, accept = false) => judgeRedis({ ...good, ...state }, 'host:6379', accept);

test('what a Redis promises follows from its settings', () => {
  const table: [Partial<RedisState>, RegExp, number][] = [
    [{}, /each second.*up to 2 s/, 0],
    [{ appendFsync: 'always' }, /power loss of its machine \(AOF, fsync at each write\)/, 0],
    [{ appendFsync: 'no' }, /30 s/, 1],
    [{ appendFsync: '' }, /hidden/, 0],
    [{ appendOnly: false }, /loses mail/, 1],
    [{ mode: 'cluster' }, /each second/, 1],
    [{ mode: 'sentinel', appendOnly: false }, /loses mail/, 2],
  ];
  for (const [state, durability, warnings] of table) {
    const judgement = judge(state);
    assert.match(judgement.durability, durability);
    assert.equal(judgement.warnings.length, warnings, JSON.stringify(state));
  }
});

test('an evicting or an old Redis is refused with what mends it', () => {
  for (const policy of ['allkeys-lru', 'volatile-ttl']) {
    assert.throws(
      () => judge({ policy }),
      (error) =>
        error instanceof TroupeError &&
        /redis-cli -h host -p 6379 CONFIG SET maxmemory-policy noeviction/.test(error.message),
    );
    assert.match(judge({ policy }, true).warnings[0] ?? '', /may evict mail/);
  }
  assert.throws(() => judge({ version: '6.2.14' }, true), /7\.0 or newer/);
});

test('of operations on one key the last counts', () => {
  const operations: StoreOperation[] = [
    { op: 'put', table: 'actor', key: 'a', value: '1' },
    { op: 'put', table: 'dead', key: 'a', value: '2' },
    { op: 'delete', table: 'actor', key: 'a' },
    { op: 'delete', table: 'in', key: 'b' },
    { op: 'put', table: 'in', key: 'b', value: '3' },
    { op: 'rank', index: 'due', member: 'm', score: 1 },
    { op: 'rank', index: 'due', member: 'm', score: 2 },
    { op: 'rank', index: 'dead', member: 'm', score: 3 },
    { op: 'unrank', index: 'dead', member: 'm' },
  ];
  assert.deepEqual(commitValues(operations), [
    ...[
      ['dead', 'in'],
      ['a', 'b'],
      ['2', '3'],
    ],
    ...[['actor'], ['a']],
    ...[['due'], ['m'], [2]],
    ...[['dead'], ['m']],
    0,
    ...[[], [], []],
    ...[[], [], []],
  ]);
});

test('a drop after an append to the same list opens a stage, another list does not', () => {
  const append = (list: string, value: string): StoreOperation => ({ op: 'append', list, value });
  const drop = (list: string, count: number): StoreOperation => ({ op: 'drop', list, count });
  const values = commitValues([
    drop('a', 1),
    append('a', '1'),
    drop('b', 1),
    append('b', '2'),
    drop('a', 9),
    append('a', '3'),
  ]);
  assert.deepEqual(values.slice(-7), [
    2,
    ...[
      [1, 1, 2],
      ['a', 'b', 'a'],
      [1, 1, 9],
    ],
    ...[
      [1, 1, 2],
      ['a', 'b', 'a'],
      ['1', '2', '3'],
    ],
  ]);
});
