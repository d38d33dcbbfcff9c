/**
 * What the compiler must accept and refuse; `tsc --noEmit` is the judge. The one run-time test keeps the file honest:
 * it fails when the typed door does not hand its arguments on.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromPromise, fromTransition, setup } from 'xstate';
import {
  askOf,
  defineActor,
  effect,
  type Json,
  type Messaging,
  type OutgoingMessage,
  offloadOf,
  type ResultOf,
  ref,
  type TaskContext,
  typed,
} from '../../runtime/index.ts';
import type { counter } from '../apps/counter.ts';

const sent: OutgoingMessage[] = [];
const messaging: Messaging = {
  async tell(message) {
    sent.push(message);
    return { messageId: 'm' };
  },
  async ask(message): Promise<Json> {
    sent.push(message);
    return { value: 7 };
  },
  submit: () => Promise.reject(new Error('not asked for here')),
  result: () => Promise.reject(new Error('not asked for here')),
};
const target = ref<typeof counter>('/counters/a');

test('a typed reference knows its messages and replies', async () => {
  const { value } = await typed(messaging).ask(target, 'increment', { by: 3 });
  const answered: number = value;
  assert.equal(answered, 7);
  assert.deepEqual(sent.pop(), { to: '/counters/a', type: 'increment', payload: { by: 3 } });
  await typed(messaging).tell(target, 'increment', { by: 1 }, { delivery: 'at-least-once' });
  assert.deepEqual(sent.pop(), {
    to: '/counters/a',
    type: 'increment',
    payload: { by: 1 },
    delivery: 'at-least-once',
  });
});

const tasks = {
  resize: async (image: Uint8Array<ArrayBuffer>, { move }: TaskContext) => ({
    width: image.length,
    bytes: move(image.buffer),
  }),
  apart: { module: 'file:///tasks.ts' },
};

test('invocations are named by the sources of the logic', () => {
  const logic = setup({ actors: { charge: fromPromise(async () => 1) } }).createMachine({});
  const options = { kind: 'a', messages: {}, persist: 'snapshot' } as const;
  const definition = defineActor({ ...options, logic, invocations: { charge: { onInterrupt: 'fail' } } });
  assert.deepEqual(definition.invocations, { charge: { onInterrupt: 'fail' } });
  assert.throws(() => {
    // @ts-expect-error the logic has no such source
    defineActor({ ...options, logic, invocations: { charged: { onInterrupt: 'fail' } } });
  });
  assert.throws(() => {
    const reducer = fromTransition((state: number) => state, 0);
    // @ts-expect-error a reducer invokes nothing
    defineActor({ ...options, logic: reducer, invocations: { charge: {} } });
  });
});

test('the input of an offloaded task has the type of its data', () => {
  const image = new Uint8Array(4);
  const input = offloadOf(tasks, 'resize', image, { transfer: [image.buffer], id: 'm1' });
  assert.deepEqual(input, { task: 'resize', data: image, transfer: [image.buffer], id: 'm1' });
  const result: Pick<ResultOf<typeof tasks.resize>, 'width'> = { width: 4 };
  assert.equal(result.width, 4);
  assert.deepEqual(offloadOf(tasks, 'apart', 1), { task: 'apart', data: 1 });
});

/** Never runs: each line must fail to compile. */
export async function refusedByTheCompiler(): Promise<void> {
  const client = typed(messaging);
  // @ts-expect-error a message that the counter does not have
  await client.ask(target, 'decrement', {});
  // @ts-expect-error a payload of another type
  await client.ask(target, 'increment', { by: 'three' });
  // @ts-expect-error a field that the reply does not have
  (await client.ask(target, 'increment', { by: 1 })).total;
  // @ts-expect-error the same for the effect
  effect.tell(target, 'increment', { by: null });
  // @ts-expect-error the same for the invoked ask
  askOf(target, 'increase', { by: 1 });
  // @ts-expect-error data that the task does not take
  offloadOf(tasks, 'resize', 'an image');
  // @ts-expect-error a task that is not there
  offloadOf(tasks, 'rotate', new Uint8Array(4));
}
