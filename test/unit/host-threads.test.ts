/** Threads that die, hang or run out of memory: what the slots report, and that nothing else is touched. */

import assert from 'node:assert/strict';
import { Session } from 'node:inspector';
import { after, test } from 'node:test';
import { systemClock } from '../../runtime/clock.ts';
import { createHosts, type Hosts, type HostsOptions } from '../../runtime/host/hosts.ts';
import { startLocalHost } from '../../runtime/host/local-host.ts';
import type { FromHost } from '../../runtime/host/messages.ts';
import { startWatchdog } from '../../runtime/host/watchdog.ts';
import { silentLog } from '../../runtime/log.ts';
import type { HostExit } from '../../runtime/supervision.ts';
import { createVirtualClock } from '../../runtime/testing/clock.ts';
import { envelopeOf } from '../support/hosts.ts';

interface Slots {
  readonly hosts: Hosts;
  readonly heard: { readonly slot: number; readonly incarnation: number; readonly message: FromHost }[];
  readonly exits: HostExit[];
  /** Starts a ledger on slot 1 as activation 1. */
  ledger(): void;
  feed(type: string, payload?: Record<string, number | string>): void;
  /** The next exit that is reported. */
  exit(): Promise<HostExit>;
  /** Resolves when a message passes the check. */
  hear(check: (message: FromHost) => boolean): Promise<void>;
}

function slotsOf(options: Partial<HostsOptions> = {}): Slots {
  const heard: Slots['heard'][number][] = [];
  const exits: HostExit[] = [];
  const waiting: (() => void)[] = [];
  let serial = 0;
  const until = async (check: () => boolean): Promise<void> => {
    while (!check()) await new Promise<void>((wake) => waiting.push(wake));
  };
  const wake = (): void => {
    for (const next of waiting.splice(0)) next();
  };
  const hosts = createHosts({
    app: new URL('../apps/ledger.ts', import.meta.url).href,
    count: 2,
    clock: systemClock,
    log: silentLog,
    onMessages(slot, incarnation, messages) {
      heard.push(...messages.map((message) => ({ slot, incarnation, message })));
      wake();
    },
    ...options,
  });
  hosts.onExit((exit) => {
    exits.push(exit);
    wake();
  });
  after(() => hosts.close());
  let exitsSeen = 0;
  return {
    hosts,
    heard,
    exits,
    ledger() {
      const order = { to: 'start', activation: 1, address: '/ledger/a', kind: 'ledger', incarnation: 1 } as const;
      hosts.post(1, { ...order, input: undefined, snapshot: undefined });
    },
    feed(type, payload = {}) {
      serial += 1;
      const envelope = envelopeOf(`m${serial}`, type, payload);
      hosts.post(1, { to: 'deliver', activation: 1, inputs: [{ turn: 'message', envelope, commit: true }] });
    },
    async exit() {
      exitsSeen += 1;
      await until(() => exits.length >= exitsSeen);
      return exits[exitsSeen - 1] as HostExit;
    },
    hear: (check) => until(() => heard.some(({ message }) => check(message))),
  };
}

test('a thread that is killed in the middle of a turn reports it, and its successor starts clean', async () => {
  const { hosts, ledger, feed, exit, hear, heard } = slotsOf();
  assert.deepEqual(await hosts.start(1), { incarnation: 1 });
  ledger();
  await hear((message) => message.from === 'steps');
  feed('append', { sender: 'a', n: 1, workMs: 60_000 });
  feed('append', { sender: 'a', n: 2 });
  await hosts.kill(1);
  const { cause, incarnation } = await exit();
  assert.deepEqual([cause, incarnation], ['killed', 1]);
  assert.equal(hosts.post(1, { to: 'ping', sentMs: 0 }), false);
  assert.deepEqual(await hosts.start(1), { incarnation: 2 });
  ledger();
  await hear((message) => message.from === 'started');
  assert.ok(heard.every(({ slot }) => slot === 1));
});

test('a hang ends by the watchdog, names the turn that hung, and leaves the other thread alone', async () => {
  const { hosts, ledger, feed, exit, exits } = slotsOf({ watchdogMs: 400 });
  await Promise.all([hosts.start(1), hosts.start(2)]);
  ledger();
  feed('append', { sender: 'a', n: 1 });
  feed('hang');
  feed('append', { sender: 'a', n: 2 });
  const { error, ...rest } = await exit();
  assert.deepEqual(rest, { slot: 1, incarnation: 1, cause: 'hung', inHand: { activation: 1, turn: 1 } });
  assert.match(error?.message ?? '', /^it ran work \(ledger\.ts:\d+\), called by /);
  assert.equal(hosts.list()[1]?.status, 'running');
  assert.equal(exits.length, 1);
});

test('the hang of the fault door is charged to no turn', async () => {
  const { hosts, ledger, exit } = slotsOf({ watchdogMs: 400 });
  await hosts.start(1);
  ledger();
  hosts.post(1, { to: 'fault', activation: 1, fault: 'hang' });
  const { error, ...rest } = await exit();
  assert.deepEqual(rest, { slot: 1, incarnation: 1, cause: 'hung' });
  assert.match(error?.message ?? '', /^it ran hang \(host-core\.ts:\d+\)/);
});

test('a hang ends its thread although a debugger is attached to it', async () => {
  const { hosts, ledger, feed, exit } = slotsOf({ watchdogMs: 400 });
  const debugging = new Session();
  debugging.connect();
  try {
    debugging.on('NodeWorker.attachedToWorker', ({ params: { sessionId } }) =>
      debugging.post('NodeWorker.sendMessageToWorker', { sessionId, message: '{"id":1,"method":"Debugger.enable"}' }),
    );
    debugging.post('NodeWorker.enable', { waitForDebuggerOnStart: false });
    await hosts.start(1);
    ledger();
    feed('hang');
    assert.equal((await exit()).cause, 'hung');
  } finally {
    debugging.disconnect();
  }
});

test('a heap that runs full ends its thread, not the process', async () => {
  const { hosts, ledger, feed, exit } = slotsOf({ heapLimitMb: 48 });
  await hosts.start(1);
  ledger();
  feed('allocate', { mb: 400 });
  const { cause, error, inHand } = await exit();
  assert.equal(cause, 'out-of-memory');
  assert.match(error?.message ?? '', /memory/);
  assert.deepEqual(inHand, { activation: 1, turn: 0 });
});

test('a rejection that nobody handles fails the actor that left it, with its text', async () => {
  const { hosts, heard, hear, exits } = slotsOf({ app: new URL('../apps/probe.ts', import.meta.url).href });
  await hosts.start(1);
  const order = { to: 'start', activation: 1, address: '/probe/a', kind: 'probe', incarnation: 1 } as const;
  hosts.post(1, { ...order, input: undefined, snapshot: undefined });
  const envelope = envelopeOf('m1', 'invoke', { what: 'strays' });
  hosts.post(1, { to: 'deliver', activation: 1, inputs: [{ turn: 'message', envelope, commit: false }] });
  await hear((message) => message.from === 'failed');
  const failed = heard.find(({ message }) => message.from === 'failed')?.message;
  assert.ok(failed?.from === 'failed');
  assert.equal(failed.activation, 1);
  assert.partialDeepStrictEqual(failed.failure.cause, { by: 'invocation', sent: true });
  assert.match(failed.failure.error.message, /nobody handles this/);
  assert.deepEqual([exits.length, hosts.list()[0]?.status], [0, 'running']);
});

test('a module that is no app fails the start, with what to write, and reports no exit', async () => {
  const { hosts, exits } = slotsOf({ app: new URL('../support/hosts.ts', import.meta.url).href });
  await assert.rejects(hosts.start(1), /export default defineApp/);
  assert.equal(hosts.list()[0]?.status, 'gone');
  assert.equal(exits.length, 0);
});

test('a stop is reported to nobody, and the next start waits for the real exit', async () => {
  const { hosts, ledger, feed, exits, hear } = slotsOf();
  await hosts.start(1);
  ledger();
  await hear((message) => message.from === 'started');
  feed('append', { sender: 'a', n: 1, workMs: 60_000 });
  // No time is left to it: stop resolves while the thread may still be on its way out.
  await hosts.stop(1, 0);
  assert.deepEqual(await hosts.start(1), { incarnation: 2 });
  assert.equal(exits.length, 0);
  assert.equal(hosts.list().filter(({ status }) => status === 'running').length, 1);
});

test('slots that are not there, or taken, are refused', async () => {
  const { hosts } = slotsOf({ spawn: startLocalHost });
  await hosts.start(1);
  await assert.rejects(hosts.start(1), /already in use/);
  await assert.rejects(hosts.start(3), /slots are 1 to 2/);
  await assert.rejects(hosts.kill(2), /no host runs in slot 2/);
});

test('actors with little mail are not held up by one with much', async () => {
  const { hosts, heard, hear } = slotsOf();
  await hosts.start(1);
  for (const activation of [1, 2]) {
    const order = {
      to: 'start',
      activation,
      address: `/ledger/${activation}`,
      kind: 'ledger',
      incarnation: 1,
    } as const;
    hosts.post(1, { ...order, input: undefined, snapshot: undefined });
  }
  const mail = (n: number) => ({ turn: 'message', envelope: envelopeOf(`f${n}`, 'read', {}), commit: true }) as const;
  hosts.post(1, { to: 'deliver', activation: 1, inputs: Array.from({ length: 2_000 }, (_, n) => mail(n)) });
  hosts.post(1, { to: 'deliver', activation: 2, inputs: [mail(9_999)] });
  const stepsOf = (activation: number, count: number) => (message: FromHost) =>
    message.from === 'steps' && message.activation === activation && (message.steps.at(-1)?.number ?? 0) >= count;
  await hear(stepsOf(1, 2_001));
  const order = heard.map(({ message }) => message);
  assert.ok(order.findIndex(stepsOf(2, 2)) < order.findIndex(stepsOf(1, 200)));
});

test('orders to stop and to look overtake the mail that waits on its thread', async () => {
  const { hosts, heard, ledger, hear } = slotsOf();
  await hosts.start(1);
  ledger();
  const inputs = Array.from({ length: 1_000 }, (_, n) => {
    const envelope = envelopeOf(`w${n}`, 'append', { sender: 'a', n, workMs: 5 });
    return { turn: 'message', envelope, commit: true } as const;
  });
  hosts.post(1, { to: 'deliver', activation: 1, inputs });
  await hear((message) => message.from === 'steps' && (message.steps.at(-1)?.number ?? 0) > 1);
  hosts.post(1, { to: 'inspect', request: 1, activations: [1], context: false });
  await hear((message) => message.from === 'inspected' && (message.activations[0]?.waiting ?? 0) > 500);
  hosts.post(1, { to: 'stop', activation: 1 });
  await hear((message) => message.from === 'stopped');
  const handled = heard.flatMap(({ message }) => (message.from === 'steps' ? message.steps : [])).length;
  assert.ok(handled < 500, `${handled} of 1,000 were handled before`);
});

test('slow turns are told as they end, not when the mailbox is empty', async () => {
  const { hosts, heard, ledger, hear } = slotsOf();
  await hosts.start(1);
  ledger();
  const inputs = Array.from({ length: 30 }, (_, n) => {
    const envelope = envelopeOf(`s${n}`, 'append', { sender: 'a', n, workMs: 10 });
    return { turn: 'message', envelope, commit: true } as const;
  });
  hosts.post(1, { to: 'deliver', activation: 1, inputs });
  await hear((message) => message.from === 'steps' && message.steps.at(-1)?.number === 31);
  assert.ok(heard.filter(({ message }) => message.from === 'steps').length >= 5);
});

test('the watchdog counts unanswered ticks, so a blocked watcher blames nobody', async () => {
  const clock = createVirtualClock();
  const pings: number[] = [];
  let stuck = 0;
  const watchdog = startWatchdog({
    clock,
    limitMs: 4_000,
    ping: (sentMs) => pings.push(sentMs),
    onStuck: () => {
      stuck += 1;
    },
  });
  for (let second = 0; second < 20; second += 1) {
    watchdog.pong(pings.at(-1) ?? 0);
    await clock.advance(1_000);
  }
  assert.equal(stuck, 0);
  await clock.advance(3_000);
  assert.equal(stuck, 0);
  assert.ok(watchdog.lagMs() >= 3_000);
  await clock.advance(2_000);
  assert.equal(stuck, 1);
  await clock.advance(10_000);
  assert.equal(stuck, 1);
});
