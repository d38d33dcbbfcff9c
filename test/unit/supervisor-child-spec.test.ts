import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Child, defineApp } from '../../runtime/define-app.ts';
import { specsOf } from '../../supervisors/child-spec.ts';
import { silentDefinition } from '../support/fake-activations.ts';
import { actor, silent } from '../support/fake-tree.ts';

const specs = (...tree: readonly unknown[]) => specsOf(defineApp({ tree: tree as readonly Child[] }));

describe('a child specification', () => {
  it('is completed with the defaults', () => {
    const [plain, team] = specs(actor('a'), { id: 'team', strategy: 'one_for_all', children: [] });
    assert.ok(plain?.role === 'actor' && team?.role === 'supervisor');
    assert.deepEqual([plain.address, plain.restart, plain.shutdownMs], ['/a', 'permanent', 5_000]);
    assert.deepEqual([team.address, team.restart, team.onDemand], ['/team', 'permanent', false]);
    assert.deepEqual(team.intensity, { max: 5, withinMs: 60_000 });
  });

  it('of a dynamic supervisor makes the child of each name', () => {
    const [pool] = specs({ id: 'pool', strategy: 'dynamic', child: { actor: silent, input: (name: string) => name } });
    assert.ok(pool?.role === 'supervisor');
    const child = pool.template?.('k');
    assert.equal(child?.address, '/pool/k');
    assert.equal(child?.input(), 'k');
  });

  const wrong: [string, RegExp, ...unknown[]][] = [
    ['an id that is no segment of an address', /"a b" of \/.*1 to 64/, actor('a b')],
    ['no id', /no id/, { actor: silent }],
    [
      'two siblings of one id',
      /\/t\/a: two siblings/,
      { id: 't', strategy: 'one_for_one', children: [actor('a'), actor('a')] },
    ],
    ['a name of the runtime', /\/system: the name belongs to the runtime/, actor('system')],
    ['an unknown strategy', /\/t: the strategy is one of/, { id: 't', strategy: 'all', children: [] }],
    ['an unknown restart type', /\/a: restart is one of/, { ...actor('a'), restart: 'always' }],
    ['a negative shutdown time', /\/a: shutdownMs/, { ...actor('a'), shutdownMs: -1 }],
    [
      'a budget that is no number',
      /\/t: intensity.max/,
      { id: 't', strategy: 'one_for_one', children: [], intensity: { max: 1.5 } },
    ],
    [
      'a window of nothing',
      /\/t: intensity.withinMs/,
      { id: 't', strategy: 'one_for_one', children: [], intensity: { withinMs: 0 } },
    ],
  ];
  for (const [what, text, ...tree] of wrong)
    it(`is refused with the child's address: ${what}`, () => {
      assert.throws(() => specs(...tree), text);
    });

  it('is refused where its actor is not a definition of the app', () => {
    const app = defineApp({ tree: [actor('a')] });
    assert.throws(() => specsOf({ ...app, definitions: [silentDefinition('other')] }), /\/a: .*not a definition/);
  });

  it('may stand as deep as an address may be, and no deeper', () => {
    const nest = (depth: number): Child =>
      depth === 1 ? actor('a') : { id: 's', strategy: 'one_for_one', children: [nest(depth - 1)] };
    assert.equal(specs(nest(16)).length, 1);
    assert.throws(() => specs(nest(17)), /more than 16 segments/);
  });
});
