import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseScenario, ScenarioError } from '../../ops/faults/scenario.ts';

const whole = `scenario: 1
name: everything
why: shows each word that is built
tags: [example]
seed: 7
modes: [real]
system: {app: ../apps/ledger.ts, threads: 2, engine: embedded}
phases: {warmup: 500ms, run: 12s, settle: 1m}
workload:
  id: appends
  to: /ledger/{key}
  senders: 4
  timeout: 5s
  keys: {count: 20}
  ops:
    append: {weight: 3, payload: {sender: "{sender}", n: "{n}", workMs: 5}}
    read: {send: ask, payload: {}}
  arrive: {constant: 200/s}
faults:
  - {id: crash, do: crash-actor, when: {every: 2s, times: 3}, target: {actor: /ledger/*, pick: one}}
  - {id: thread, do: kill-thread, when: {at: 3s}, target: {thread: any}}
  - {id: node, do: kill-node, when: {at: 5s}}
expect:
  - {recovered: node, within: 10s}
check: [no-durable-loss, per-sender-order]
report: {folder: out}
`;

const small = `scenario: 1
name: small
system: {app: app.ts}
workload: {to: /ledger/a, ops: {append: 2}}
`;

/** What is said of a file, as `line:column: message`. */
function told(text: string): string[] {
  try {
    parseScenario(text, 'file.yaml');
  } catch (error) {
    assert.ok(error instanceof ScenarioError, String(error));
    return error.message.split('\n').map((line) => line.replace(/^file\.yaml:/, ''));
  }
  return [];
}

describe('a scenario file', () => {
  test('says everything that is built, with units read', () => {
    const scenario = parseScenario(whole, 'file.yaml');
    assert.deepEqual(scenario.phases, { warmup: 500, run: 12_000, settle: 60_000 });
    assert.deepEqual(scenario.workload.arrive, { constant: 200 });
    assert.deepEqual(scenario.workload.ops.read, { weight: 1, send: 'ask', payload: {} });
    assert.deepEqual(scenario.faults[0]?.when, { every: 2_000, times: 3 });
  });

  test('may leave out what has a default', () => {
    const scenario = parseScenario(small, 'file.yaml');
    assert.equal(scenario.seed, 'random');
    assert.deepEqual(scenario.check, ['no-durable-loss', 'per-sender-order']);
    assert.deepEqual(scenario.workload.ops.append, {
      weight: 2,
      send: 'tell',
      payload: { sender: '{sender}', n: '{n}' },
    });
  });

  const mistakes: readonly (readonly [mistake: string, from: string | RegExp, to: string, message: RegExp])[] = [
    ['an unknown key at the top', 'why:', 'wy:', /^3:1: there is no wy here; did you mean why\?$/],
    ['an unknown key in a map', 'senders: 4', 'sender: 4', /^12:3: there is no sender here; did you mean senders\?$/],
    [
      'an unknown key in a list',
      'do: kill-node',
      'doo: kill-node',
      /^22:\d+: there is no doo here; did you mean do\?$/,
    ],
    [
      'an unknown key of an operation',
      'weight: 3',
      'wieght: 3',
      /^16:14: there is no wieght here; did you mean weight\?$/,
    ],
    [
      'an unknown fault',
      'do: kill-node',
      'do: kil-node',
      /^22:\d+: there is no kil-node here; did you mean kill-node\?$/,
    ],
    ['an unknown check', '[no-durable-loss,', '[no-durable-los,', /^25:9: .*did you mean no-durable-loss\?$/],
    ['a number for a time', 'warmup: 500ms', 'warmup: 500', /^8:18: phases\.warmup: a time needs its unit/],
    ['a time without sense', 'timeout: 5s', 'timeout: soon', /^13:12: workload\.timeout: write a time from 10ms/],
    ['a range', 'timeout: 5s', 'timeout: 1s..10s', /^13:12: .*not built yet/],
    ['a number for a rate', '200/s', '200', /^18:22: .*a rate needs its unit/],
    ['two ways to arrive', 'constant: 200/s', 'constant: 200/s, closed: {inFlight: 2}', /^18:11: .*write either/],
    ['another language', 'scenario: 1', 'scenario: 2', /^1:11: scenario: write 1/],
    ['a key that is not built', 'name:', 'nemesis: {}\nname:', /^2:1: nemesis is not built yet$/],
    ['a fault that is not built', 'do: kill-node', 'do: clock-skew', /^22:\d+: do: clock-skew is not built yet$/],
    ['a time that is not built', '{at: 5s}', '{after: crash}', /^22:\d+: after is not built yet$/],
    ['a choice that is not built', 'pick: one', 'pick: 30%', /^20:\d+: pick: 30% is not built yet$/],
    ['simulation', '[real]', '[sim]', /^6:9: 0: sim is not built yet$/],
    [
      'an expectation of no fault',
      'recovered: node',
      'recovered: nodes',
      /^24:\d+: there is no fault nodes; did you mean node\?$/,
    ],
    ['a fault after the end', '{at: 5s}', '{at: 12s}', /^22:\d+: node fires after the end of the run/],
    ['a fault without target', ', target: {actor: /ledger/*, pick: one}', '', /^20:5: crash needs a target/],
    ['a foreign target', '{thread: any}', '{actor: /a}', /^21:\d+: kill-thread has no target actor$/],
    ['keys without a place', '/ledger/{key}', '/ledger/a', /^11:7: to has no \{key\}/],
    ['no operation to follow', 'n: "{n}"', 'n: 1', /^16:\d+: the checks need an operation/],
    [
      'killing a node that is not ours',
      'app: ../apps/ledger.ts, threads: 2, engine: embedded',
      'attach: .troupe',
      /^22:\d+: kill-node needs a system of its own/,
    ],
    ['the same key twice', 'why:', 'name:', /^3:1: Map keys must be unique/],
    ['broken YAML', 'tags: [example]', 'tags: [example', /^\d+:\d+: /],
  ];
  for (const [mistake, from, to, message] of mistakes) {
    test(`with ${mistake} is told where and what`, () => {
      const text = whole.replace(from, to);
      assert.notEqual(text, whole);
      const lines = told(text);
      assert.ok(
        lines.some((line) => message.test(line)),
        lines.join('\n') || 'nothing was told',
      );
    });
  }

  test('is told all its mistakes at once, in the order of the text', () => {
    const lines = told(whole.replace('why:', 'wy:').replace('senders', 'sendrs').replace('at: 3s', 'at: 3'));
    assert.deepEqual(
      lines.map((line) => line.slice(0, line.indexOf(':'))),
      ['3', '12', '21'],
    );
  });

  test('that is empty, or no map, is refused', () => {
    assert.match(told('').join('\n'), /^1:1: scenario is missing; write 1/);
    assert.match(told('- a').join('\n'), /^1:1: the scenario: /);
    assert.match(told(`# ${'x'.repeat(300_000)}`).join('\n'), /at most/);
  });
});
