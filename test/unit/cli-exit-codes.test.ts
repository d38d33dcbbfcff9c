import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CommandFailed, describeFailure } from '../../ops/cli/failure.ts';
import { ConfigError } from '../../ops/config/fault.ts';
import { exitCodeOf, exitCodes, exitMeanings } from '../../ops/exit-codes.ts';
import { type ErrorReason, errorTable, TroupeError } from '../../runtime/errors.ts';

describe('exit codes', () => {
  it('are the ones that scripts know, each with one meaning', () => {
    assert.deepEqual(Object.values(exitCodes), [0, 1, 2, 3, 4, 5, 6, 95, 96, 97, 98, 99, 124, 130]);
    assert.deepEqual(Object.keys(exitMeanings), Object.keys(exitCodes));
    assert.equal(new Set(Object.values(exitMeanings)).size, Object.keys(exitCodes).length);
  });

  it('answer each reason, and never with success', () => {
    const expected: Readonly<Record<ErrorReason, number>> = {
      NOT_FOUND: 3,
      INVALID_ADDRESS: 2,
      UNKNOWN_TYPE: 2,
      INVALID_MESSAGE: 2,
      PAYLOAD_TOO_LARGE: 2,
      UNAUTHENTICATED: 5,
      PERMISSION_DENIED: 5,
      MAILBOX_FULL: 1,
      UNAVAILABLE: 4,
      DRAINING: 4,
      PARKED: 1,
      ACTOR_FAILED: 1,
      DEADLINE_EXCEEDED: 124,
      CANCELLED: 130,
    };
    for (const reason of Object.keys(errorTable) as ErrorReason[])
      assert.equal(exitCodeOf(reason), expected[reason], reason);
  });

  it('come with the reason, the fields and what to do next, for people and for scripts', () => {
    const error = new TroupeError('INVALID_MESSAGE', 'the payload does not fit', {
      fields: [{ path: 'payload.n', message: 'must be a number' }],
    });
    const { exitCode, text } = describeFailure(error, 'table');
    assert.equal(exitCode, 2);
    assert.deepEqual(text.split('\n'), [
      'troupe: INVALID_MESSAGE: the payload does not fit',
      '  payload.n: must be a number',
      `  ${errorTable.INVALID_MESSAGE.advice}`,
    ]);
    const json = JSON.parse(describeFailure(error, 'json').text) as { error: Record<string, unknown> };
    assert.deepEqual(
      [json.error.reason, json.error.outcome, json.error.exitCode],
      ['INVALID_MESSAGE', 'not_started', 2],
    );
  });

  it('tell a mistake of the person from one of the program', () => {
    assert.equal(describeFailure(new CommandFailed(5, 'no', 'ask'), 'table').text, 'troupe: no\n  ask');
    const faults = [
      { where: '--a', message: 'x' },
      { where: 'B', message: 'y' },
    ];
    assert.match(describeFailure(new ConfigError(faults), 'table').text, /--a: x\n {2}B: y$/);
    const bug = describeFailure(new RangeError('oops'), 'table');
    assert.equal(bug.exitCode, 1);
    assert.match(bug.text, /RangeError: oops\n\s+at /);
    assert.equal(describeFailure(new DOMException('stop', 'AbortError'), 'table').exitCode, 130);
  });
});
