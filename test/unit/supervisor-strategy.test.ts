import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { RestartType } from '../../runtime/define-app.ts';
import { type ExitKind, exitKindOf, planAfterExit, type Strategy } from '../../supervisors/strategy.ts';

const strategies: Strategy[] = ['one_for_one', 'one_for_all', 'rest_for_one', 'dynamic'];
const restarts: RestartType[] = ['permanent', 'transient', 'temporary'];
const kinds: ExitKind[] = ['normal', 'abnormal', 'moved'];

/** Three permanent siblings, of which the middle one has the restart type under test. */
function family(restart: RestartType) {
  return [
    { id: 'a', restart: 'permanent' as const },
    { id: 'b', restart },
    { id: 'c', restart: 'permanent' as const },
  ];
}

/** What is stopped, then what is started, when `b` exits. */
const matrix: Record<Strategy, Record<RestartType, Record<ExitKind, string>>> = {
  one_for_one: {
    permanent: { normal: ' | b', abnormal: ' | b', moved: ' | b' },
    transient: { normal: ' | ', abnormal: ' | b', moved: ' | b' },
    temporary: { normal: ' | ', abnormal: ' | ', moved: ' | ' },
  },
  one_for_all: {
    permanent: { normal: 'c a | a b c', abnormal: 'c a | a b c', moved: ' | b' },
    transient: { normal: ' | ', abnormal: 'c a | a b c', moved: ' | b' },
    temporary: { normal: ' | ', abnormal: ' | ', moved: ' | ' },
  },
  rest_for_one: {
    permanent: { normal: 'c | b c', abnormal: 'c | b c', moved: ' | b' },
    transient: { normal: ' | ', abnormal: 'c | b c', moved: ' | b' },
    temporary: { normal: ' | ', abnormal: ' | ', moved: ' | ' },
  },
  dynamic: {
    permanent: { normal: ' | b', abnormal: ' | b', moved: ' | b' },
    transient: { normal: ' | ', abnormal: ' | b', moved: ' | b' },
    temporary: { normal: ' | ', abnormal: ' | ', moved: ' | ' },
  },
};

describe('what an exit does: strategy × restart type × exit kind', () => {
  for (const strategy of strategies)
    for (const restart of restarts)
      for (const kind of kinds)
        it(`${strategy}, ${restart}, ${kind}: stops and starts "${matrix[strategy][restart][kind]}"`, () => {
          const plan = planAfterExit(strategy, family(restart), { id: 'b', restart }, kind);
          assert.equal(`${plan.stop.join(' ')} | ${plan.start.join(' ')}`, matrix[strategy][restart][kind]);
        });

  it('a temporary sibling of a failed group is stopped and does not come back', () => {
    const children = [
      { id: 'a', restart: 'temporary' as const },
      { id: 'b', restart: 'permanent' as const },
    ];
    assert.deepEqual(planAfterExit('one_for_all', children, { id: 'b', restart: 'permanent' }, 'abnormal'), {
      stop: ['a'],
      start: ['b'],
    });
  });

  it('every cause but done and lease-lost is a failure', () => {
    assert.equal(exitKindOf('done'), 'normal');
    assert.equal(exitKindOf('lease-lost'), 'moved');
    for (const cause of ['failed', 'killed', 'thread-lost', 'died', 'hung', 'gave-up', 'start-failed'] as const)
      assert.equal(exitKindOf(cause), 'abnormal');
  });

  it('stops in reverse order and starts in order, whatever the family', () => {
    const childrenOf = fc
      .array(fc.constantFrom(...restarts), { minLength: 1, maxLength: 8 })
      .map((types) => types.map((restart, index) => ({ id: String(index), restart })));
    fc.assert(
      fc.property(
        childrenOf,
        fc.nat(),
        fc.constantFrom(...strategies),
        fc.constantFrom(...kinds),
        (children, pick, strategy, kind) => {
          const exited = children[pick % children.length];
          assert.ok(exited);
          const plan = planAfterExit(strategy, children, exited, kind);
          const ids = children.map((child) => child.id);
          const inOrder = (some: readonly string[]) => ids.filter((id) => some.includes(id));
          assert.deepEqual(plan.start, inOrder(plan.start));
          assert.deepEqual([...plan.stop].reverse(), inOrder(plan.stop));
          assert.ok(!plan.stop.includes(exited.id), 'what exited is not stopped');
          assert.ok(
            plan.start.length === 0 || plan.start.includes(exited.id),
            'what exited is restarted or nothing is',
          );
          for (const id of plan.start)
            assert.ok(id === exited.id || plan.stop.includes(id), 'only what was stopped is started again');
        },
      ),
    );
  });
});
