import assert from 'node:assert/strict';
import { test } from 'node:test';
import { redact } from '../../runtime/redact.ts';

test('secrets are masked by the name of their key, at any depth', () => {
  const shown = redact({
    apiKey: 'sk-1',
    nested: { Authorization: 'Bearer x', list: [{ refreshToken: 'y', name: 'kept' }] },
    password: { value: 'z' },
    maxTokens: 100,
  });
  assert.deepEqual(shown, {
    apiKey: '(masked)',
    nested: { Authorization: '(masked)', list: [{ refreshToken: '(masked)', name: 'kept' }] },
    password: '(masked)',
    maxTokens: 100,
  });
});

test('what is shown is bounded and is JSON, whatever the context holds', () => {
  const cyclic: Record<string, unknown> = {
    text: 'x'.repeat(10_000),
    when: new Error('bad'),
    big: 1n,
    not: Number.NaN,
  };
  cyclic.self = cyclic;
  cyclic.many = Array.from({ length: 1_000 }, (_, n) => n);
  const text = JSON.stringify(redact(cyclic));
  assert.ok(text.length < 20_000);
  assert.match(text, /10000 characters/);
  assert.match(text, /936 more/);
  assert.match(text, /Error: bad/);
});
