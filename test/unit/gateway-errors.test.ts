import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Metadata, status } from '@grpc/grpc-js';
import { fromGrpcStatus, fromRpcStatus, toGrpcStatus, toRpcStatus } from '../../gateway/grpc/status.ts';
import { fromProblem, toProblem } from '../../gateway/http/problem.ts';
import { ErrorReason as WireReason } from '../../proto/gen/troupe/v1/errors.ts';
import { type ErrorData, type ErrorReason, errorTable } from '../../runtime/errors.ts';

const reasons = Object.keys(errorTable) as ErrorReason[];

function sample(reason: ErrorReason): ErrorData {
  return {
    reason,
    message: `what happened: 100 % “${reason}”`,
    outcome: reason === 'ACTOR_FAILED' ? 'unknown' : 'not_started',
    retryAfterMs: 1_250,
    fields: [{ path: 'payload.task', message: 'is missing' }],
  };
}

for (const reason of reasons) {
  test(`${reason} survives gRPC and HTTP unchanged, under its statuses`, () => {
    const error = sample(reason);
    const onGrpc = toGrpcStatus(error);
    assert.equal(status[onGrpc.code], errorTable[reason].grpc);
    assert.deepEqual(fromGrpcStatus(onGrpc).toData(), error);
    assert.deepEqual(fromRpcStatus(toRpcStatus(error)).toData(), error);
    const problem = toProblem(error, '/v1/ask');
    assert.equal(problem.status, errorTable[reason].http);
    assert.deepEqual(fromProblem(JSON.parse(JSON.stringify(problem))).toData(), error);
  });
}

test('the proto names exactly the reasons of the table, with their meanings', () => {
  const proto = readFileSync(new URL('../../proto/troupe/v1/errors.proto', import.meta.url), 'utf8');
  const found = [...proto.matchAll(/\/\/ (.*)\n {2}ERROR_REASON_(\w+) = (\d+);/g)].map(([, meaning, name]) => [
    name,
    meaning,
  ]);
  const expected = [['UNSPECIFIED', 'Never sent.'], ...reasons.map((reason) => [reason, errorTable[reason].meaning])];
  assert.deepEqual(found.sort(), expected.sort());
  assert.deepEqual(
    Object.keys(WireReason).sort(),
    ['UNSPECIFIED', ...reasons].map((reason) => `ERROR_REASON_${reason}`).sort(),
  );
});

test('an error text of any kind fits the trailers', () => {
  for (const message of ['é'.repeat(2_000), '\ud800'.repeat(2_000), '\n\u0000'.repeat(1_000), 'x'.repeat(2_000)]) {
    const fields = Array.from({ length: 50 }, () => ({ path: message, message }));
    const { details, metadata } = toGrpcStatus({ reason: 'INVALID_MESSAGE', message, outcome: 'not_started', fields });
    const trailer = metadata.get('grpc-status-details-bin')[0] as Buffer;
    assert.ok(encodeURI(details).length + trailer.length * 1.4 < 8_000);
    assert.equal(fromGrpcStatus(toGrpcStatus({ reason: 'PARKED', message, outcome: 'unknown' })).reason, 'PARKED');
  }
});

test('a status without our details, or with those of another make, is read by its code', () => {
  const read = (code: status, metadata = new Metadata()) => fromGrpcStatus({ code, details: 'text', metadata }).reason;
  assert.equal(read(status.UNAVAILABLE), 'UNAVAILABLE');
  assert.equal(read(status.DEADLINE_EXCEEDED), 'DEADLINE_EXCEEDED');
  assert.equal(read(status.DATA_LOSS), 'ACTOR_FAILED');
  const foreign = new Metadata();
  foreign.set('grpc-status-details-bin', Buffer.from([0xff, 0xff, 0xff]));
  assert.equal(read(status.NOT_FOUND, foreign), 'NOT_FOUND');
});
