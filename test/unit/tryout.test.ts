import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Tryout } from '../../runtime/activation/tryout.ts';
import type { Mail } from '../../runtime/mailbox/mail.ts';
import { Trial, TrialGate } from '../../runtime/mailbox/trial.ts';

const mailOf = (id: string): Mail => ({ envelope: { id, to: '/a' }, errors: [] }) as unknown as Mail;

/** A trial whose names are stored when the test calls what is in `stored`. */
const trialOn = (stored: (() => void)[]): Trial =>
  new Trial(
    {
      lease: { clean: false, uncleanInRow: 2 } as never,
      gate: new TrialGate(),
      commit: (_, onCommitted) => void stored.push(onCommitted ?? (() => undefined)),
    },
    { forgiven: 0, suspect: undefined },
  );

test('one message is tried at a time; one whose lease ended lets the next one go, and starts no more', () => {
  const stored: (() => void)[] = [];
  const trial = trialOn(stored);
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

test('a message that meets its fate a second time, set aside and then handled, does not end the next one', () => {
  const stored: (() => void)[] = [];
  const trial = trialOn(stored);
  const started: string[] = [];
  const feed = (mail: Mail) => () => void started.push(mail.envelope.id);
  const [stashed, next] = [mailOf('stashed'), mailOf('next')];
  const tryout = new Tryout();
  tryout.begin(trial, () => stashed, feed);
  for (const tell of stored.splice(0)) tell();
  tryout.end(stashed);
  tryout.begin(trial, () => next, feed);
  tryout.end(stashed);
  for (const tell of stored.splice(0)) tell();
  assert.deepEqual(started, ['stashed', 'next']);
  tryout.end(next);
  assert.equal(tryout.isOn, false);
});
