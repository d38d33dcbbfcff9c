/** Each bug that is planted in the simulator is caught within the seeds that are promised, and sound code passes them. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { plants } from '../../ops/simulate/plants.ts';
import { CommandLine } from '../support/cli.ts';

test('simulate plants: every planted bug is caught, and the unplanted code is clean', {
  timeout: 300_000,
}, async () => {
  await using cli = new CommandLine();
  const { code, stdout } = await cli.run(['simulate', 'plants']);
  assert.equal(code, 0, stdout);
  const count = Object.keys(plants).length;
  assert.match(stdout, new RegExp(`^${count} of ${count} plants were caught; the unplanted code on .* clean$`, 'm'));
});
