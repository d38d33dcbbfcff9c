import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StepRecords } from '../../runtime/host/step-records.ts';

test('a timer that waits for its turn stays ended, also when the turn that ended it is committed meanwhile', () => {
  const records = new StepRecords(true);
  const turn = (change: object): void => records.add(change, { by: 'message', message: 'm' }, undefined);
  const timer = (id: string, gen: number) => ({ id, gen, dueMs: 0, event: { type: 'due' } });
  records.fired();
  records.fired();
  turn({ timersCancelled: ['cancelled'] });
  turn({ timersSet: [{ id: 'again', delayMs: 5, event: { type: 'due' } }] });
  records.committed(2);
  assert.equal(records.takeFired(timer('cancelled', 0)), false);
  assert.equal(records.takeFired(timer('again', 0)), false);
  records.fired();
  assert.equal(records.takeFired(timer('again', 2)), true, 'the one that was set anew');
});
