import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { findTestFiles, isLong, namesOf } from '../../ops/test-runner/files.ts';
import { testSteps } from '../../ops/test-runner/steps.ts';
import { root } from '../tidy/sources.ts';

test('every test file runs once with --all, and the long ones after the fast ones', () => {
  const every = findTestFiles(root);
  const [fast, long, ...more] = testSteps(root, every, false).map(({ title, args }) => ({
    title,
    files: args.filter((arg) => arg.endsWith('.test.ts')),
  }));
  assert.deepEqual([fast?.title, long?.title, more], ['fast tests', 'long tests', []]);
  assert.ok(long?.files.every((file) => file.endsWith('.long.test.ts')) && !fast?.files.some(isLong));
  assert.deepEqual(
    [...(fast?.files ?? []), ...(long?.files ?? [])].sort(),
    every.map((file) => join(root, file)),
  );
});

test('what is of one suite runs in one step; both go by their names', () => {
  const files = ['test/e2e/kill.long.test.ts', 'test/e2e/kill.test.ts'];
  for (const file of files) assert.equal(testSteps(root, [file], false).length, 1);
  assert.deepEqual(namesOf(files), ['kill', 'kill']);
});
