import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Tryout } from '../../runtime/activation/tryout.ts';
import type { Mail } from '../../runtime/mailbox/mail.ts';
import { Trial, TrialGate } from '../../runtime/mailbox/trial.ts';

const mailOf = (id: string): Mail => ({ envelope: { id, to: '/a' }, errors: [] }) as unknown as Mail;

test('one message is tried at a time; one whose lease ended lets the next one go, and starts no more', () => {
  const gate = new TrialGate();
  const stored: (() => void)[] = [];
  const trial = new Trial(
    {
      lease: { clean: false, uncleanInRow: 2 } as never,
      gate,
      commit: (_, onCommitted) => void stored.push(onCommitted ?? (() => undefined)),
    },
    { forgiven: 0, suspect: undefined },
  );
  const started: string[] = [];
  const feed = (mail: Mail) => () => void started.push(mail.envelope.id);
  const [first, second, third] = [new Tryout(), new Tryout(), new Tryout()];
  first.begin(trial, () => mailOf('one'), feed);
  second.begin(trial, () => undefined, feed);
  third.begin(trial, () => mailOf('three'), feed);
  assert.deepEqual([first.mail?.envelope.id, second.isOn, third.isOn, third.mail], ['one', true, true, undefined]);
  // The lease ends before the name of the first is stored; the second has nothing to try by then.
  first.end();
  assert.deepEqual([first.isOn, second.isOn, third.mail?.envelope.id], [false, false, 'three']);
  for (const tell of stored.splice(0)) tell();
  assert.deepEqual(started, ['three']);
  third.end();
  third.end();
  first.begin(trial, () => mailOf('again'), feed);
  for (const tell of stored.splice(0)) tell();
  assert.deepEqual(started, ['three', 'again'], 'the gate is free again');
});
