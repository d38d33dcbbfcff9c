/** What the main thread may rely on, the same behind a thread and in process. */

import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import type { FromHost, StepRecord } from '../../runtime/host/messages.ts';
import { hostSorts, startHost } from '../support/hosts.ts';

type Steps = Extract<FromHost, { readonly from: 'steps' }>;

for (const sort of hostSorts)
  describe(`a ${sort} host`, async () => {
    const host = await startHost(sort, 'probe');
    after(() => host.host.terminate());
    let lastActivation = 0;

    async function actor(kind: string, snapshot?: string): Promise<number> {
      lastActivation += 1;
      host.start(lastActivation, kind, snapshot);
      await host.next('started');
      return lastActivation;
    }

    /** The batches of records up to the one numbered `upTo`. */
    async function stepsOf(activation: number, upTo: number): Promise<Steps[]> {
      const found: Steps[] = [];
      while ((found.at(-1)?.steps.at(-1)?.number ?? 0) < upTo)
        found.push(await host.next('steps', (said) => said.activation === activation));
      return found;
    }

    async function recordsOf(activation: number, upTo: number): Promise<StepRecord[]> {
      return (await stepsOf(activation, upTo)).flatMap((batch) => batch.steps);
    }

    test('answers an ephemeral turn at once, with the id of its message', async () => {
      const activation = await actor('probe');
      const [id] = host.feed(activation, false, ['echo', { text: 'hello' }]);
      const output = await host.next('output', (said) => said.activation === activation);
      assert.deepEqual(output.effects, [{ type: 'troupe.reply', value: 'hello', to: id }]);
      assert.equal(output.by, id);
      assert.equal((await host.next('handled', (said) => said.activation === activation)).count, 1);
    });

    test('keeps the order of a batch, and counts all of it as handled', async () => {
      const activation = await actor('probe');
      const texts = Array.from({ length: 300 }, (_, index) => String(index));
      host.feed(activation, false, ...texts.map((text) => ['echo', { text }] as const));
      await host.quiet();
      const answers: unknown[] = [];
      while (answers.length < texts.length) {
        const { effects } = await host.next('output', (said) => said.activation === activation);
        for (const made of effects) answers.push('value' in made && made.value);
      }
      assert.deepEqual(answers, texts);
      let handled = 0;
      while (handled < texts.length) handled += (await host.next('handled')).count;
      assert.equal(handled, texts.length);
    });

    test('gives records of a persistent actor, numbered, with the state after the last', async () => {
      const activation = await actor('keeper');
      const ids = host.feed(activation, true, ['note', { n: 1 }], ['note', { n: 2 }], ['read', {}]);
      const batches = await stepsOf(activation, 4);
      const records = batches.flatMap((batch) => batch.steps);
      assert.deepEqual(
        records.map((record) => record.number),
        [1, 2, 3, 4],
      );
      assert.deepEqual(
        records.map((record) => record.cause),
        [{ by: 'start' }, ...ids.map((message) => ({ by: 'message', message }))],
      );
      assert.deepEqual(records[3]?.effects, [{ type: 'troupe.reply', value: [1, 2], to: ids[2] }]);
      const restored = await actor('keeper', batches.at(-1)?.snapshot);
      const [id] = host.feed(restored, true, ['read', {}]);
      const [again] = await recordsOf(restored, 1);
      assert.deepEqual(again?.effects, [{ type: 'troupe.reply', value: [1, 2], to: id }]);
    });

    test('gives a record without a snapshot for durable mail of an ephemeral actor', async () => {
      const activation = await actor('probe');
      host.feed(activation, true, ['note', { n: 1 }]);
      const steps = await host.next('steps', (said) => said.activation === activation);
      assert.equal(steps.snapshot, undefined);
      assert.equal(steps.steps.length, 1);
    });

    test('never shows the logic a payload that does not fit', async () => {
      const keeper = await actor('keeper');
      host.feed(keeper, true, ['note', { n: 'x' }], ['nothing', {}], ['asynchronous', {}]);
      const records = await recordsOf(keeper, 4);
      assert.deepEqual(
        records.map((record) => record.rejected?.reason),
        [undefined, 'INVALID_MESSAGE', 'UNKNOWN_TYPE', 'INVALID_MESSAGE'],
      );
      assert.equal(records[1]?.rejected?.fields?.[0]?.path, 'n');
      const probe = await actor('probe');
      const [id] = host.feed(probe, false, ['note', { n: 'x' }]);
      const { effects } = await host.next('output', (said) => said.activation === probe);
      assert.partialDeepStrictEqual(effects, [{ type: 'troupe.fail', reason: 'INVALID_MESSAGE', to: id }]);
    });

    test('fills in the defaults of a schema', async () => {
      const activation = await actor('probe');
      host.feed(activation, false, ['echo', {}]);
      const { effects } = await host.next('output', (said) => said.activation === activation);
      assert.partialDeepStrictEqual(effects, [{ value: 'nothing' }]);
    });

    test('ends an activation whose turn throws, with what was done before it and nothing after', async () => {
      const activation = await actor('keeper');
      const [, thrown] = host.feed(activation, true, ['note', { n: 1 }], ['throw', {}], ['note', { n: 3 }]);
      const failed = await host.next('failed', (said) => said.activation === activation);
      assert.deepEqual(failed.failure.cause, { by: 'message', message: thrown });
      assert.match(failed.failure.error.message, /told to throw/);
      await host.quiet();
      const steps = host.said.flatMap((said) =>
        said.from === 'steps' && said.activation === activation ? said.steps : [],
      );
      assert.equal(steps.length, 2);
      assert.ok(
        host.said.findIndex((said) => said.from === 'steps' && said.activation === activation) <
          host.said.indexOf(failed),
      );
      host.feed(activation, true, ['note', { n: 4 }]);
      host.post({ to: 'stop', activation });
      await host.quiet();
      assert.ok(!host.said.some((said) => said.from === 'stopped' && said.activation === activation));
    });

    test('fails only the actor whose answer or state cannot be JSON', async () => {
      for (const [kind, where] of [
        ['probe', 'reply'],
        ['keeper', 'reply'],
        ['keeper', 'context'],
      ] as const) {
        const neighbour = await actor('probe');
        const activation = await actor(kind);
        const [id] = host.feed(activation, kind === 'keeper', ['poison', { where }]);
        host.feed(neighbour, false, ['echo', {}]);
        const failed = await host.next('failed', (said) => said.activation === activation);
        assert.deepEqual(failed.failure.cause, { by: 'message', message: id });
        await host.next('output', (said) => said.activation === neighbour);
      }
    });

    test('keeps mail between ephemeral actors of one thread on it', async () => {
      const target = await actor('probe');
      const source = await actor('probe');
      host.feed(source, false, ['burst', { to: `/probe/${target}`, n: 200 }]);
      await host.next('output', (said) => said.activation === source);
      await host.quiet();
      host.feed(target, false, ['read', {}]);
      const { effects } = await host.next('output', (said) => said.activation === target);
      assert.deepEqual(
        effects.map((made) => ('value' in made ? made.value : undefined))[0],
        Array.from({ length: 200 }, (_, n) => n + 1),
      );
      assert.ok(!host.said.some((said) => said.from === 'send' && said.activation === source));
      assert.ok(!host.said.some((said) => said.from === 'handled' && said.activation === target && said.count > 1));
    });

    test('drops what a full neighbour cannot take, and says so', async () => {
      const narrow = await actor('narrow');
      const source = await actor('probe');
      host.feed(source, false, ['burst', { to: `/narrow/${narrow}`, n: 50 }]);
      await host.next('output', (said) => said.activation === source);
      assert.match((await host.next('log', (said) => said.message.includes('mailbox full'))).level, /warn/);
      host.feed(narrow, false, ['read', {}]);
      const { effects } = await host.next('output', (said) => said.activation === narrow);
      assert.partialDeepStrictEqual(effects, [{ value: [1, 2, 3] }]);
    });

    test('sends what goes to others, and to persistent actors, by the main thread', async () => {
      const keeper = await actor('keeper');
      const source = await actor('probe');
      host.feed(source, false, ['burst', { to: `/keeper/${keeper}`, n: 1 }], ['burst', { to: '/elsewhere', n: 1 }]);
      const first = await host.next('send', (said) => said.activation === source);
      assert.deepEqual(first.message, { to: `/keeper/${keeper}`, type: 'note', payload: { n: 1 } });
      const second = await host.next('send', (said) => said.activation === source);
      assert.equal(second.message.to, '/elsewhere');
      assert.equal(second.kind, 'tell');
    });

    test('lets no tell overtake an earlier one that went by the main thread', async () => {
      const source = await actor('probe');
      const target = lastActivation + 1;
      const to = `/probe/${target}`;
      host.feed(source, false, ['burst', { to, n: 1 }]);
      const send = await host.next('send', (said) => said.activation === source);
      // Its actor now comes to live on this thread, before the tell has reached it.
      await actor('probe');
      host.feed(source, false, ['burst', { to, n: 1 }]);
      const second = await host.next('send', (said) => said.activation === source);
      for (const { request } of [send, second])
        host.post({ to: 'settled', request: request as number, result: { value: null } });
      host.feed(source, false, ['burst', { to, n: 1 }], ['echo', {}]);
      await host.next(
        'output',
        (said) =>
          said.activation === source && said.effects.some((made) => 'value' in made && made.value === 'nothing'),
      );
      assert.ok(
        host.said.every(
          (said) => said.from !== 'send' || said.activation !== source || said === send || said === second,
        ),
      );
    });

    test('carries asks out and their answers back', async () => {
      const activation = await actor('probe');
      const [id] = host.feed(activation, false, ['ask', { to: '/other' }]);
      const send = await host.next('send', (said) => said.activation === activation);
      assert.equal(send.kind, 'ask');
      assert.deepEqual(send.message, { to: '/other', type: 'read', payload: {} });
      host.post({ to: 'settled', request: send.request as number, result: { value: [7] } });
      const { effects } = await host.next('output', (said) => said.activation === activation);
      assert.deepEqual(effects, [{ type: 'troupe.reply', value: [7], to: id }]);
      host.feed(activation, false, ['ask', { to: '/other' }]);
      const again = await host.next('send', (said) => said.activation === activation);
      const error = { reason: 'NOT_FOUND', message: 'no such actor', outcome: 'not_started' } as const;
      host.post({ to: 'settled', request: again.request as number, result: { error } });
      assert.partialDeepStrictEqual((await host.next('output', (said) => said.activation === activation)).effects, [
        { type: 'troupe.fail', reason: 'UNAVAILABLE' },
      ]);
    });

    test('a persistent actor asks only after its turn is committed', async () => {
      const activation = await actor('keeper');
      host.feed(activation, true, ['ask', { to: '/other' }]);
      await stepsOf(activation, 2);
      await host.quiet();
      assert.ok(!host.said.some((said) => said.from === 'send' && said.activation === activation));
      host.post({ to: 'committed', activation, number: 2 });
      await host.next('send', (said) => said.activation === activation);
    });

    test('cancels an ask whose state was left, or whose actor stopped', async () => {
      const activation = await actor('probe');
      host.feed(activation, false, ['ask', { to: '/other' }]);
      const send = await host.next('send', (said) => said.activation === activation);
      host.feed(activation, false, ['drop', {}]);
      assert.equal((await host.next('cancelSend')).request, send.request);
      host.feed(activation, false, ['ask', { to: '/other' }]);
      const second = await host.next('send', (said) => said.activation === activation);
      host.post({ to: 'stop', activation });
      await host.next('stopped', (said) => said.activation === activation);
      assert.equal((await host.next('cancelSend')).request, second.request);
    });

    test('an invoked promise that rejects fails its actor, not the thread', async () => {
      const activation = await actor('probe');
      host.feed(activation, false, ['invoke', { what: 'rejects' }]);
      const failed = await host.next('failed', (said) => said.activation === activation);
      const { cause } = failed.failure;
      assert.partialDeepStrictEqual(cause, { by: 'invocation', sent: true });
      assert.ok('invocation' in cause && cause.invocation !== undefined, 'it names the invocation');
      assert.match(failed.failure.error.message, /invoked promise rejects/);
    });

    test('an invoked promise answers the message that started it, in pieces', async () => {
      const activation = await actor('probe');
      const [id] = host.feed(activation, false, ['invoke', { what: 'streams' }]);
      const first = await host.next('output', (said) => said.activation === activation);
      const second = await host.next('output', (said) => said.activation === activation);
      assert.deepEqual(
        [first.effects, second.effects],
        [[{ type: 'troupe.chunk', value: 'one', to: id }], [{ type: 'troupe.reply', value: 'two', to: id }]],
      );
    });

    test('the end of the logic is told: done, or records that say so', async () => {
      const probe = await actor('probe');
      host.feed(probe, false, ['finish', {}], ['echo', {}]);
      await host.next('done', (said) => said.activation === probe);
      const keeper = await actor('keeper');
      host.feed(keeper, true, ['finish', {}], ['echo', {}]);
      const steps = await host.next('steps', (said) => said.activation === keeper && said.done);
      assert.equal(steps.steps.at(-1)?.number, 2);
      await host.quiet();
      assert.ok(!host.said.some((said) => said.from === 'output' && said.activation === probe));
    });

    test('refuses a start it cannot make, and says whether the stored state is to blame', async () => {
      host.start(9_001, 'nobody');
      const unknown = await host.next('startFailed');
      assert.match(unknown.error.message, /it defines: probe, keeper, narrow/);
      assert.equal(unknown.restore, false);
      host.start(9_002, 'keeper', '{"value":"gone","status":"active","context":{},"children":{},"historyValue":{}}');
      assert.equal((await host.next('startFailed')).restore, true);
    });

    test('shows state and context on request', async () => {
      const activation = await actor('probe');
      host.feed(activation, false, ['note', { n: 5 }]);
      await host.quiet();
      host.post({ to: 'inspect', request: 77, activations: [activation, 123_456], context: true });
      const { activations } = await host.next('inspected', (said) => said.request === 77);
      assert.deepEqual(activations, [
        { activation, state: 'idle', context: { notes: [5], asking: '(undefined)' }, waiting: 0 },
      ]);
    });

    test('the fault door crashes one activation', async () => {
      const activation = await actor('probe');
      host.post({ to: 'fault', activation, fault: 'crash' });
      const failed = await host.next('failed', (said) => said.activation === activation);
      assert.deepEqual(failed.failure.cause, { by: 'fault' });
    });
  });
