import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type DrainParts, drainNode } from '../../ops/drain.ts';
import { gated } from '../../ops/gate.ts';
import { createLog } from '../../ops/log.ts';
import { parseAddress } from '../../runtime/address.ts';
import { systemClock } from '../../runtime/clock.ts';
import { silentLog } from '../../runtime/log.ts';

function recorded(failing?: string): { parts: DrainParts; steps: string[] } {
  const steps: string[] = [];
  const step = (name: string) => async (): Promise<void> => {
    steps.push(name);
    if (name === failing) throw new Error('no');
  };
  return {
    steps,
    parts: {
      dispatch: { drain: () => void steps.push('intake stops') },
      edges: [{ drain: () => void steps.push('not ready'), stop: step('gateway stops') }],
      runtime: { drain: step('turns end'), close: step('leases go back') },
      tree: { stop: step('actors stop') },
      engine: { stop: step('engine stops') },
    },
  };
}

const order = [
  'not ready',
  'intake stops',
  'turns end',
  'actors stop',
  'leases go back',
  'gateway stops',
  'engine stops',
];

describe('the drain', () => {
  it('goes from the outside in, and ends with the engine', async () => {
    const { parts, steps } = recorded();
    assert.equal(await drainNode(parts, 1_000, systemClock, silentLog), true);
    assert.deepEqual(steps, order);
  });

  it('goes on behind a step that fails, and says so', async () => {
    const { parts, steps } = recorded('turns end');
    assert.equal(await drainNode(parts, 1_000, systemClock, silentLog), false);
    assert.deepEqual(steps, order);
  });
});

describe('a starting node', () => {
  it('calls no actor absent before its tree stands', async () => {
    const answers = { ensure: 'absent' as 'absent' | 'running' };
    const gate = gated({
      ensure: async () => answers.ensure,
      hasSpawned: () => false,
      spawn: async () => undefined,
      stopChild: async () => undefined,
    });
    const address = parseAddress('/ledger/a');
    await assert.rejects(gate.port.ensure(address), { reason: 'UNAVAILABLE' });
    answers.ensure = 'running';
    assert.equal(await gate.port.ensure(address), 'running');
    answers.ensure = 'absent';
    gate.open();
    assert.equal(await gate.port.ensure(address), 'absent');
  });
});

describe('the log', () => {
  const logged = (pretty: boolean, color = false): { lines: string[]; log: ReturnType<typeof createLog> } => {
    const lines: string[] = [];
    return { lines, log: createLog({ level: 'info', pretty, color, write: (line) => void lines.push(line) }) };
  };

  it('is a line of JSON an event, with level and time in words, and masks what looks secret', () => {
    const { lines, log } = logged(false);
    log.debug({}, 'not this');
    log
      .child({ shard: 's1' })
      .warn({ token: 'hunter2', settings: { apiKey: 'sk-1' }, error: new Error('why') }, 'told');
    assert.equal(lines.length, 1);
    const line = JSON.parse(lines[0] ?? '') as Record<string, unknown>;
    assert.equal(line.level, 'warn');
    assert.equal(line.msg, 'told');
    assert.equal(line.shard, 's1');
    assert.match(String(line.time), /^\d{4}-\d\d-\d\dT/);
    assert.equal((line.error as { message: string }).message, 'why');
    assert(!/hunter2|sk-1/.test(lines[0] ?? ''));
  });

  it('is short for people at a terminal', () => {
    const { lines, log } = logged(true);
    log.info({ address: '/a', n: 1 }, 'started');
    assert.match(lines[0] ?? '', /^\d\d:\d\d:\d\d\.\d{3} info {2}started {2}address=\/a n=1\n$/);
  });
});
