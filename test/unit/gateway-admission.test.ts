import assert from 'node:assert/strict';
import { test } from 'node:test';
import { admit, admitTaskId, type RawMessage } from '../../gateway/admission.ts';
import { type ErrorReason, TroupeError } from '../../runtime/errors.ts';
import { limits } from '../../runtime/limits.ts';

const good: RawMessage = { to: '/agents/claude', type: 'plan' };
const json = (text: string): Buffer => Buffer.from(text);
const nested = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels);

test('a good message passes, with what it leaves out filled in', () => {
  assert.deepEqual(admit(good), { message: { to: '/agents/claude', type: 'plan', payload: {} } });
});

test('a message at every bound passes', () => {
  const headers = Object.fromEntries(Array.from({ length: limits.headers }, (_, n) => [`x-${n}`, 'v']));
  const admitted = admit({
    to: `/${'a'.repeat(limits.addressSegmentCharacters)}`,
    type: 't'.repeat(limits.messageTypeCharacters),
    payloadJson: json(nested(limits.payloadDepth)),
    headers,
    timeoutMs: limits.askTimeoutMaxMs,
    delivery: 'at-least-once',
    priority: 'low',
    delayMs: limits.delayMaxMs,
    idempotencyKey: '~'.repeat(limits.idempotencyKeyCharacters),
  });
  assert.equal(admitted.message.idempotencyKey?.length, limits.idempotencyKeyCharacters);
  assert.deepEqual([admitted.message.priority, admitted.message.delayMs], ['low', limits.delayMaxMs]);
  assert.deepEqual(admitted.message.headers, headers);
  const longest = json(JSON.stringify('x'.repeat(limits.payloadBytes - 2)));
  assert.equal(longest.byteLength, limits.payloadBytes);
  admit({ ...good, payloadJson: longest });
});

const refused: [name: string, raw: RawMessage, reason: ErrorReason, field?: string][] = [
  ['no address', { ...good, to: undefined }, 'INVALID_ADDRESS'],
  ['a relative address', { ...good, to: 'agents' }, 'INVALID_ADDRESS'],
  ['an address with ..', { ...good, to: '/agents/../system' }, 'INVALID_ADDRESS'],
  ['an address of the runtime', { ...good, to: '/system/threads' }, 'INVALID_ADDRESS'],
  ['an address that is no text', { ...good, to: 7 }, 'INVALID_ADDRESS'],
  ['a sender', { ...good, from: '/agents/codex' }, 'INVALID_MESSAGE', 'from'],
  ['no type', { ...good, type: '' }, 'INVALID_MESSAGE', 'type'],
  ['an event of XState', { ...good, type: 'xstate.stop' }, 'INVALID_MESSAGE', 'type'],
  ['an event of the runtime', { ...good, type: 'Troupe.cancelled' }, 'INVALID_MESSAGE', 'type'],
  ['a type with a line break', { ...good, type: 'a\nb' }, 'INVALID_MESSAGE', 'type'],
  ['a long type', { ...good, type: 't'.repeat(129) }, 'INVALID_MESSAGE', 'type'],
  ['an unknown delivery', { ...good, delivery: 'exactly-once' }, 'INVALID_MESSAGE', 'delivery'],
  ['an unknown priority', { ...good, priority: 'urgent' }, 'INVALID_MESSAGE', 'priority'],
  ['a delay of two years', { ...good, delayMs: 2 * limits.delayMaxMs }, 'INVALID_MESSAGE', 'delay'],
  ['a delay into the past', { ...good, delayMs: -1 }, 'INVALID_MESSAGE', 'delay'],
  ['a delay that is no number', { ...good, delayMs: '5s' }, 'INVALID_MESSAGE', 'delay'],
  ['a delay in memory', { ...good, delayMs: 1, delivery: 'at-most-once' }, 'INVALID_MESSAGE', 'delivery'],
  ['a key in memory', { ...good, idempotencyKey: 'k', delivery: 'at-most-once' }, 'INVALID_MESSAGE', 'delivery'],
  ['an empty key', { ...good, idempotencyKey: '' }, 'INVALID_MESSAGE', 'idempotencyKey'],
  ['a key of two words', { ...good, idempotencyKey: 'a b' }, 'INVALID_MESSAGE', 'idempotencyKey'],
  ['a long key', { ...good, idempotencyKey: 'k'.repeat(256) }, 'INVALID_MESSAGE', 'idempotencyKey'],
  ['a key that is no text', { ...good, idempotencyKey: 7 }, 'INVALID_MESSAGE', 'idempotencyKey'],
  ['a timeout that is over', { ...good, timeoutMs: 0 }, 'DEADLINE_EXCEEDED'],
  ['a timeout of two days', { ...good, timeoutMs: 2 * limits.askTimeoutMaxMs }, 'INVALID_MESSAGE', 'timeout'],
  ['a payload over 1 MiB', { ...good, payload: 'x'.repeat(limits.payloadBytes) }, 'PAYLOAD_TOO_LARGE'],
  [
    'JSON bytes over 1 MiB',
    { ...good, payloadJson: json(`"${'x'.repeat(limits.payloadBytes)}"`) },
    'PAYLOAD_TOO_LARGE',
  ],
  ['broken JSON', { ...good, payloadJson: json('{"task":') }, 'INVALID_MESSAGE', 'json'],
  ['bytes that are no UTF-8', { ...good, payloadJson: Buffer.from([0x22, 0xff, 0x22]) }, 'INVALID_MESSAGE', 'json'],
  ['a bottomless payload', { ...good, payloadJson: json(nested(100_000)) }, 'INVALID_MESSAGE', 'payload'],
  ['a payload with NaN', { ...good, payload: { n: Number.NaN } }, 'INVALID_MESSAGE', 'payload'],
  ['a payload with a hole', { ...good, payload: { n: undefined } }, 'INVALID_MESSAGE', 'payload'],
  [
    'a payload with __proto__',
    { ...good, payloadJson: json('{"a":[{"__proto__":{}}]}') },
    'INVALID_MESSAGE',
    'payload',
  ],
  ['a header in capitals', { ...good, headers: { Tenant: 'a' } }, 'INVALID_MESSAGE', 'headers.Tenant'],
  ['a header that is no text', { ...good, headers: { tenant: 7 } }, 'INVALID_MESSAGE', 'headers.tenant'],
  ['a header with a line break', { ...good, headers: { tenant: 'a\r\nb' } }, 'INVALID_MESSAGE', 'headers.tenant'],
  ['a header over 2 KiB', { ...good, headers: { tenant: 'x'.repeat(2_048) } }, 'INVALID_MESSAGE', 'headers.tenant'],
  [
    'an idempotency key among the headers, where nobody looks',
    { ...good, headers: { 'idempotency-key': 'k' } },
    'INVALID_MESSAGE',
    'headers.idempotency-key',
  ],
  [
    'too many headers',
    { ...good, headers: Object.fromEntries(Array.from({ length: 33 }, (_, n) => [`x-${n}`, ''])) },
    'INVALID_MESSAGE',
    'headers',
  ],
];

test('the id of a task is bounded', () => {
  assert.equal(admitTaskId('s12.0199-ab'), 's12.0199-ab');
  for (const taskId of [undefined, '', 's1.'.repeat(50), 's1/../x', 'ü'])
    assert.throws(() => admitTaskId(taskId), { reason: 'INVALID_MESSAGE' });
});

for (const [name, raw, reason, field] of refused) {
  test(`${name} is refused with ${reason}`, () => {
    assert.throws(
      () => admit(raw),
      (error) => {
        assert.ok(error instanceof TroupeError);
        assert.equal(error.reason, reason);
        assert.equal(error.outcome, 'not_started');
        assert.equal(error.fields?.[0]?.path, field);
        return true;
      },
    );
  });
}
