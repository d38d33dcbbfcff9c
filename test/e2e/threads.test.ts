/** What the code of one actor may do to its thread, and that nobody else feels it. On real worker threads. */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Log } from '../../runtime/log.ts';
import type { ThreadView } from '../../runtime/messaging.ts';
import { startWorld, type World } from '../support/world.ts';

interface Line {
  readonly level: string;
  readonly text: string;
}

interface Scene {
  readonly world: World;
  readonly lines: readonly Line[];
  /** The actor that misbehaves, on a thread of its own choice. */
  readonly culprit: string;
  /** On the culprit's thread. */
  readonly neighbour: string;
  /** On the other thread. */
  readonly stranger: string;
  add(address: string): Promise<number>;
  incarnation(address: string): Promise<number>;
  threadOf(address: string): Promise<ThreadView>;
  /** Resolves when the log has such a line. */
  logged(pattern: RegExp): Promise<Line>;
}

const slow = { timeout: 60_000 };

async function until<T>(what: string, find: () => T | undefined | Promise<T | undefined>): Promise<T> {
  const endMs = Date.now() + 20_000;
  for (;;) {
    const found = await find();
    if (found !== undefined) return found;
    if (Date.now() > endMs) throw new Error(`it never came about: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** A node with three actors of a kind; each has counted to one. */
async function stage(
  t: TestContext,
  kind: 'unruly' | 'kept',
  threads: { watchdogMs?: number; heapLimitMb?: number } = {},
): Promise<Scene> {
  const lines: Line[] = [];
  const line = (level: string) => (fields: object, message: string) =>
    void lines.push({ level, text: `${message} ${JSON.stringify(fields)}` });
  const log: Log = {
    debug: line('debug'),
    info: line('info'),
    warn: line('warn'),
    error: line('error'),
    child: () => log,
  };
  const world = await startWorld(t, { app: 'unruly', threads, log });
  const { messaging, runtime } = world;
  const add = async (address: string): Promise<number> =>
    ((await messaging.ask({ to: address, type: 'add', payload: {} })) as { count: number }).count;
  const addresses = ['a', 'b', 'c', 'd'].map((name) => `/${kind}/${name}`);
  for (const address of addresses) assert.equal(await add(address), 1);
  const threadNumber = async (address: string) => (await runtime.inspection.actor(address)).thread;
  const culprit = addresses[0] as string;
  const home = await threadNumber(culprit);
  let neighbour: string | undefined;
  let stranger: string | undefined;
  for (const address of addresses.slice(1))
    if ((await threadNumber(address)) === home) neighbour ??= address;
    else stranger ??= address;
  assert.ok(neighbour !== undefined && stranger !== undefined, 'actors spread over both threads');
  return {
    world,
    lines,
    culprit,
    neighbour,
    stranger,
    add,
    incarnation: async (address) => (await runtime.inspection.actor(address)).incarnation,
    threadOf: async () => runtime.inspection.threads()[home - 1] as ThreadView,
    logged: (pattern) => until(String(pattern), () => lines.find(({ text }) => pattern.test(text))),
  };
}

/** The stranger's state is in memory only: it goes on counting in its first life. */
async function assertUntouched({ add, incarnation }: Scene, address: string): Promise<void> {
  assert.equal(await add(address), 2);
  assert.equal(await incarnation(address), 1);
}

const deaths: { deed: string; cause: string; error?: RegExp; isKnown?: boolean }[] = [
  { deed: 'loop', cause: 'hung' },
  { deed: 'hoard', cause: 'out-of-memory', error: /memory/ },
  { deed: 'leave', cause: 'died', error: /left with code 4/ },
  // Nobody knows whose timer it was.
  { deed: 'plant', cause: 'died', error: /thrown by a timer of the module/, isKnown: false },
];

for (const { deed, cause, error, isKnown = true } of deaths)
  test(
    `a thread that ends by "${deed}" is named with its cause${isKnown ? ' and its actor' : ''}, and no other thread feels it`,
    slow,
    async (t) => {
      const scene = await stage(t, 'unruly', { watchdogMs: 1_000, heapLimitMb: 64 });
      const { world, culprit, neighbour, stranger } = scene;
      const asked = world.messaging.ask({ to: culprit, type: 'now', payload: { deed } });
      await assert.rejects(asked, { reason: 'ACTOR_FAILED', outcome: 'unknown' });
      const { text } = await scene.logged(/host thread gone/);
      assert.ok(text.includes(cause) && text.includes(culprit) === isKnown, text);
      const thread = await until('the next life', async () => {
        const view = await scene.threadOf(culprit);
        return view.status === 'running' ? view : undefined;
      });
      assert.deepEqual([thread.incarnation, thread.exits, thread.lastExit?.cause], [2, 1, cause]);
      assert.equal(thread.lastExit?.actor, isKnown ? culprit : undefined);
      assert.ok(Math.abs(Date.now() - (thread.lastExit?.atMs ?? 0)) < 30_000);
      if (error !== undefined) assert.match(thread.lastExit?.error ?? '', error);
      await assertUntouched(scene, stranger);
      // The neighbour lost its thread, once, and lives again.
      await until('the neighbour', async () => ((await scene.add(neighbour).catch(() => 0)) > 0 ? true : undefined));
      assert.equal(await scene.incarnation(neighbour), 2);
      await scene.world.close();
    },
  );

const contained = [
  { type: 'now', deed: 'throw', error: /thrown in a turn/ },
  { type: 'now', deed: 'exit', error: /process\.exit\(3\) was called/ },
  { type: 'now', deed: 'kill', error: /would end the whole node/ },
  { type: 'now', deed: 'abort', error: /process\.abort\(\) is not supported/ },
  { type: 'later', deed: 'reject', error: /rejected and left/ },
  { type: 'later', deed: 'throw', error: /thrown in a timer/ },
  { type: 'later', deed: 'exit', error: /process\.exit\(5\) was called/ },
] as const;

for (const { type, deed, error } of contained)
  test(`"${deed}" ${type === 'now' ? 'in a turn' : 'after it'} fails its actor alone`, slow, async (t) => {
    const scene = await stage(t, 'unruly');
    const { world, culprit, neighbour, stranger } = scene;
    const failed = new Promise<string>((resolve) =>
      world.tree.onEvent((event) => {
        if (event.type === 'exited' && event.address === culprit) resolve(event.error?.message ?? '');
      }),
    );
    world.messaging.ask({ to: culprit, type, payload: { deed } }).catch(() => undefined);
    assert.match(await failed, error);
    if (type === 'later') assert.ok((await scene.logged(error)).text.includes(culprit));
    await assertUntouched(scene, neighbour);
    await assertUntouched(scene, stranger);
    await until('a new life', async () => ((await scene.add(culprit).catch(() => 0)) === 1 ? true : undefined));
    assert.equal(await scene.incarnation(culprit), 2);
    const thread = await scene.threadOf(culprit);
    assert.deepEqual([thread.exits, thread.lastExit], [0, undefined]);
    await scene.world.close();
  });

test('what ends a thread in the middle of a durable message is charged to that message alone', slow, async (t) => {
  const scene = await stage(t, 'kept');
  const { world, culprit, neighbour } = scene;
  await world.messaging.tell({ to: culprit, type: 'now', payload: { deed: 'leave' }, delivery: 'at-least-once' });
  const letter = await until(
    'a dead letter',
    async () => (await world.runtime.inspection.deadLetters({ limit: 10 })).items[0],
  );
  assert.deepEqual(
    [letter.address, letter.reason, letter.attempts, letter.errors.length],
    [culprit, 'ATTEMPTS_SPENT', 5, 5],
  );
  for (const { message } of letter.errors) assert.match(message, /lost \(died\)/);
  // Both live on, with what they had.
  for (const address of [culprit, neighbour])
    await until(address, async () => ((await scene.add(address).catch(() => 0)) === 2 ? true : undefined));
  await scene.world.close();
});

test(
  'a message that hangs its thread is tried again alone, and becomes a dead letter that has cost its neighbours one life',
  slow,
  async (t) => {
    const scene = await stage(t, 'kept', { watchdogMs: 500 });
    const { world, culprit, neighbour, stranger } = scene;
    const { runtime, tree } = world;
    const budgets = () => ['/', '/kept', '/system/threads'].map((path) => tree.supervisor(path)?.budgetLeft);
    const before = budgets();
    const home = (await scene.threadOf(culprit)).slot;
    await world.messaging.tell({ to: culprit, type: 'now', payload: { deed: 'loop' }, delivery: 'at-least-once' });
    // What was sent after it waits behind it, and is handled in the end.
    await world.messaging.tell({ to: culprit, type: 'add', payload: {}, delivery: 'at-least-once' });
    await until('the quarantine', async () => runtime.inspection.threads().find(({ quarantine }) => quarantine));
    // Meanwhile everybody else is served.
    await until(neighbour, async () => ((await scene.add(neighbour).catch(() => 0)) === 2 ? true : undefined));
    assert.equal(await scene.add(stranger), 2);
    const letter = await until(
      'a dead letter',
      async () => (await runtime.inspection.deadLetters({ limit: 10 })).items[0],
    );
    assert.deepEqual([letter.address, letter.attempts, letter.errors.length], [culprit, 5, 5]);
    const hung = letter.errors.map(({ message }) => Number(/host thread (\d+) hung/.exec(message)?.[1]));
    assert.equal(hung[0], home);
    assert.ok(
      hung.slice(1).every((slot) => slot > 2),
      `hung on ${hung}`,
    );
    // 1 before, 1 that waited, 1 now.
    await until(culprit, async () => ((await scene.add(culprit).catch(() => 0)) === 3 ? true : undefined));
    assert.ok((await runtime.inspection.actor(culprit)).thread > 2, 'more of that sort may follow: it lives apart');
    assert.deepEqual([await scene.incarnation(neighbour), await scene.incarnation(stranger)], [2, 1]);
    assert.equal((await scene.threadOf(culprit)).exits, 1);
    assert.deepEqual(budgets(), before);
    await scene.world.close();
  },
);

test(
  'a suspect that is innocent is handled in quarantine, and its actor comes back with its state',
  slow,
  async (t) => {
    const scene = await stage(t, 'kept', { watchdogMs: 500 });
    const { world, culprit } = scene;
    await world.messaging.tell({ to: culprit, type: 'now', payload: { deed: 'stumble' }, delivery: 'at-least-once' });
    await world.messaging.tell({ to: culprit, type: 'add', payload: {}, delivery: 'at-least-once' });
    await until('the quarantine', async () => world.runtime.inspection.threads().find(({ quarantine }) => quarantine));
    await until(culprit, async () => ((await scene.add(culprit).catch(() => 0)) >= 3 ? true : undefined));
    assert.ok((await world.runtime.inspection.actor(culprit)).thread <= 2);
    // The thread that nobody is on any more takes a moment to end.
    await until('the end of the quarantine', async () =>
      world.runtime.inspection.threads().some(({ quarantine }) => quarantine) ? undefined : true,
    );
    assert.equal((await world.runtime.inspection.deadLetters({ limit: 10 })).items.length, 0);
    await scene.world.close();
  },
);

for (const [deed, when, how] of [
  ['loop', 'hangs its thread at once', /^.*thread (\d+) hung and was ended: it ran loop \(unruly\.ts:/],
  ['brood', 'hangs its thread after an await', /^.*thread (\d+) hung and was ended: it ran loop \(unruly\.ts:/],
  ['tick', 'hangs its thread by a timer', /^timer .*thread (\d+) hung and was ended: it ran loop \(unruly\.ts:/],
  ['hoard', 'fills a heap at once', /^.*thread (\d+) was lost \(out-of-memory\)/],
] as const)
  test(`work that a message left, and that ${when}, is tried again alone, and given up`, slow, async (t) => {
    const scene = await stage(t, 'kept', { watchdogMs: 500, heapLimitMb: 64 });
    const { world, culprit, neighbour, stranger } = scene;
    const { runtime, tree } = world;
    const budgets = () => ['/', '/kept', '/system/threads'].map((path) => tree.supervisor(path)?.budgetLeft);
    const before = budgets();
    // Its turn is committed; what it invokes hangs, then and in each further life.
    const deedOf = deed === 'tick' ? { type: deed, payload: {} } : { type: 'later', payload: { deed } };
    await world.messaging.tell({ to: culprit, ...deedOf, delivery: 'at-least-once' });
    await until('the quarantine', async () => runtime.inspection.threads().find(({ quarantine }) => quarantine));
    await until(neighbour, async () => ((await scene.add(neighbour).catch(() => 0)) === 2 ? true : undefined));
    const letter = await until(
      'a dead letter',
      async () => (await runtime.inspection.deadLetters({ limit: 10 })).items[0],
    );
    assert.deepEqual([letter.address, letter.reason], [culprit, 'WORK_FAILED']);
    const hung = letter.errors.map(({ message }) => how.exec(message));
    assert.deepEqual(
      hung.map((found) => Number(found?.[1]) > 2),
      [false, true, true, true, true],
      JSON.stringify(letter.errors),
    );
    // It lives on, apart from others, with what it had.
    await until(culprit, async () => ((await scene.add(culprit).catch(() => 0)) >= 2 ? true : undefined));
    assert.ok((await runtime.inspection.actor(culprit)).thread > 2);
    assert.deepEqual([await scene.incarnation(neighbour), await scene.incarnation(stranger)], [2, 1]);
    assert.deepEqual(budgets(), before);
    await world.close();
  });

for (const kind of ['brooding', 'fleeting'])
  test(
    `an actor of kind ${kind} that hangs its thread by itself is tried once more, and is parked`,
    slow,
    async (t) => {
      const scene = await stage(t, 'kept', { watchdogMs: 500 });
      const { world, neighbour, stranger } = scene;
      const { runtime, tree } = world;
      const budgets = () => ['/', `/${kind}`, '/system/threads'].map((path) => tree.supervisor(path)?.budgetLeft);
      const before = budgets();
      const culprit = `/${kind}/a`;
      world.messaging.ask({ to: culprit, type: 'add', payload: {} }).catch(() => undefined);
      const parked = await until('the parking', async () => {
        const [view] = await runtime.inspection.actors([culprit]);
        return view?.status === 'parked' ? view : undefined;
      });
      assert.match(parked.reason ?? '', /hung and was ended: it ran loop \(unruly\.ts:/);
      const held = runtime.inspection.parked().find(({ address }) => address === culprit);
      assert.equal(held?.hold?.why, 'hung');
      const ended = runtime.inspection.threads().filter(({ exits }) => exits > 0);
      assert.ok(ended.length > 0 && ended.every(({ lastExit }) => lastExit?.actor === culprit));
      for (const address of [neighbour, stranger])
        await until(address, async () => ((await scene.add(address).catch(() => 0)) === 2 ? true : undefined));
      // Where nothing is stored of what it does, it cannot be followed into a thread of its own.
      const lives = (await scene.incarnation(neighbour)) + (await scene.incarnation(stranger));
      assert.ok(lives <= (kind === 'brooding' ? 3 : 4), `${lives} lives`);
      assert.deepEqual(budgets(), before);
      await world.close();
    },
  );

test('a loop of its own that hangs on what messages bring it parks no actor', slow, async (t) => {
  const { world } = await stage(t, 'kept', { watchdogMs: 500 });
  const { messaging, runtime } = world;
  const to = '/eating/a';
  const isBack = () =>
    until('its next life', async () => messaging.ask({ to, type: 'add', payload: {} }).catch(() => undefined));
  const ends = () => runtime.inspection.threads().reduce((sum, { exits }) => sum + exits, 0);
  await isBack();
  for (const n of [1, 2, 3]) {
    await messaging.tell({ to, type: 'feed', payload: {}, delivery: 'at-least-once' });
    await until('the end of a thread', async () => (ends() === n ? true : undefined));
    await isBack();
  }
  await world.close();
});

test('what a message begins in quarantine runs, once its actor is among the others again', slow, async (t) => {
  const { world, culprit, add } = await stage(t, 'kept', { watchdogMs: 500 });
  await world.messaging.tell({ to: culprit, type: 'start', payload: { stumble: true }, delivery: 'at-least-once' });
  await until('the quarantine', async () => world.runtime.inspection.threads().find(({ quarantine }) => quarantine));
  const count = await until('its end', async () => {
    const counted = await add(culprit).catch(() => 0);
    return counted > 10 ? counted : undefined;
  });
  assert.ok(count < 100, 'it was not found interrupted');
  assert.ok((await world.runtime.inspection.actor(culprit)).thread <= 2);
  await world.close();
});

test('a heap that is nearly full is named once, before its limit ends the thread', slow, async (t) => {
  const heapLimitMb = 96;
  const scene = await stage(t, 'unruly', { heapLimitMb, watchdogMs: 1_000 });
  const { world, culprit } = scene;
  const view = await scene.threadOf(culprit);
  assert.deepEqual([view.heapHigh, view.heapLimitBytes], [false, heapLimitMb * 1024 * 1024]);
  await world.messaging.ask({ to: culprit, type: 'fill', payload: { mb: 76 } });
  const { level, text } = await scene.logged(/has filled \d+ % of its heap/);
  assert.equal(level, 'warn');
  assert.match(text, new RegExp(`host thread ${view.slot} `));
  // Further looks say nothing new.
  await world.messaging.ask({ to: culprit, type: 'fill', payload: { mb: 1 } });
  await until('another look', async () => ((await scene.threadOf(culprit)).heapUsedBytes > 77e6 ? true : undefined));
  assert.equal(scene.lines.filter((line) => /of its heap/.test(line.text)).length, 1);
  const after = await scene.threadOf(culprit);
  assert.deepEqual([after.heapHigh, after.incarnation, after.exits], [true, 1, 0]);
  await scene.world.close();
});
