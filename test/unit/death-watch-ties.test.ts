/** What the record of a persistent actor keeps of its children and watches. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Ties, type TiesRow } from '../../runtime/activation/ties.ts';
import { type Effect, effect } from '../../runtime/effects.ts';
import { limits } from '../../runtime/limits.ts';
import type { Presence } from '../../runtime/supervision.ts';

function tied(stored?: TiesRow, session = 'now') {
  const there = new Map<string, Presence>();
  const ties = new Ties(() => ({ session, presence: (address) => there.get(address) ?? { state: 'absent' } }), stored);
  const take = (...effects: Effect[]): (Effect | undefined)[] => effects.map((each) => ties.take(each));
  return { ties, there, take };
}

const running = (incarnation: number): Presence => ({ state: 'running', incarnation });

describe('children', () => {
  it('are kept with the number of their wish, which no other wish ever has', () => {
    const { ties, take } = tied();
    assert.deepEqual(take(effect.spawn('a', 'worker', { n: 1 }), effect.spawn('b', 'worker')), [
      { ...effect.spawn('a', 'worker', { n: 1 }), gen: 1 },
      { ...effect.spawn('b', 'worker'), gen: 2 },
    ]);
    assert.deepEqual(take(effect.spawn('a', 'other')), [undefined], 'a name in use is left alone');
    assert.deepEqual(take(effect.stop('a'), effect.stop('a')), [{ ...effect.stop('a'), gen: 1 }, undefined]);
    assert.deepEqual(ties.row(), { lastGen: 2, children: [{ name: 'b', gen: 2, kind: 'worker' }], watches: [] });
    const next = tied(JSON.parse(JSON.stringify(ties.row())));
    assert.deepEqual(next.ties.resume(), [{ type: 'troupe.spawn', name: 'b', gen: 2, kind: 'worker' }]);
    assert.equal((next.take(effect.spawn('a', 'worker'))[0] as { gen: number }).gen, 3, 'also in the next life');
  });

  it('that ended by themselves are wanted no longer', () => {
    const { ties, take } = tied();
    take(effect.spawn('a', 'worker'));
    assert.equal(ties.takeChanged(), true);
    assert.equal(ties.takeChanged(), false);
    assert.equal(ties.childEnded('a', 9), false, 'another of that name');
    assert.equal(ties.takeChanged(), false);
    assert.equal(ties.childEnded('a', 1), true);
    assert.equal(ties.takeChanged(), true);
    assert.deepEqual(ties.resume(), []);
  });

  it('are so many', () => {
    const { take } = tied();
    for (let n = 0; n < limits.tiesPerActor; n += 1) take(effect.spawn(`c${n}`, 'worker'));
    assert.throws(() => take(effect.spawn('more', 'worker')), RangeError);
    take(effect.stop('c0'));
    take(effect.spawn('more', 'worker'));
  });

  it('have so much input between them', () => {
    const { take, ties } = tied();
    const half = 'x'.repeat(limits.payloadBytes / 2);
    take(effect.spawn('a', 'worker', half));
    assert.throws(() => take(effect.spawn('b', 'worker', half)), RangeError);
    ties.childEnded('a', 1);
    take(effect.spawn('b', 'worker', half));
    const next = tied(ties.row());
    assert.throws(() => next.take(effect.spawn('a', 'worker', half)), RangeError);
  });

  it('are named by one segment', () => {
    const { take } = tied();
    for (const name of ['', 'a/b', '..', 'a b', '/a'])
      assert.throws(() => take(effect.spawn(name, 'worker')), { reason: 'INVALID_ADDRESS' }, name);
  });
});

describe('watches', () => {
  it('name the life that was there when the turn was taken', () => {
    const { ties, there, take } = tied();
    there.set('/a', running(3));
    assert.deepEqual(take(effect.watch('/a'), effect.watch('/nobody')), [
      { type: 'troupe.watch', address: '/a', former: { incarnation: 3, session: 'now' } },
      { type: 'troupe.watch', address: '/nobody' },
    ]);
    there.set('/a', running(4));
    assert.deepEqual(ties.resume()[0], {
      type: 'troupe.watch',
      address: '/a',
      former: { incarnation: 3, session: 'now' },
    });
  });

  it('of a life to come take its number as soon as something is stored after it has come', () => {
    const { ties, there, take } = tied();
    there.set('/a', { state: 'coming' });
    take(effect.watch('/a'));
    there.set('/a', running(7));
    assert.deepEqual(ties.row()?.watches, [{ address: '/a', incarnation: 7, session: 'now' }]);
  });

  it('go with the turn that was told of their end, and with unwatch', () => {
    const { ties, there, take } = tied();
    for (const name of ['/a', '/b', '/c']) there.set(name, running(1));
    take(effect.watch('/a'), effect.watch('/b'), effect.watch('/c'), effect.unwatch('/c'));
    ties.takeChanged();
    ties.told({ by: 'watch', address: '/b', incarnation: 2 });
    ties.told({ by: 'start' });
    assert.equal(ties.takeChanged(), false, 'another life, another turn');
    ties.told({ by: 'watch', address: '/a', incarnation: 1 });
    assert.equal(ties.takeChanged(), true);
    assert.deepEqual(
      ties.row()?.watches.map(({ address }) => address),
      ['/b'],
    );
  });

  it('of an address that is none are refused', () => {
    const { take } = tied();
    assert.throws(() => take(effect.watch('nonsense')), { reason: 'INVALID_ADDRESS' });
  });
});

it('an actor without ties stores nothing of them', () => {
  const { ties, take } = tied();
  take(effect.reply(1), effect.stop('nobody'), effect.unwatch('/nobody'));
  assert.equal(ties.row(), undefined);
  assert.equal(ties.takeChanged(), false);
});
