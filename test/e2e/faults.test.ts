/** What keeps a fault from being injected; `faults.long.test.ts` has the runs that inject. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CommandLine } from '../support/cli.ts';
import { faultsLine, runFaults, small, write } from '../support/fault-runs.ts';
import { ledgerApp } from '../support/node-process.ts';

const slow = { timeout: 180_000 };

describe('faults that are not injected', slow, () => {
  it('a run tells a bad file where it is wrong, and starts nothing', slow, async () => {
    await using cli = faultsLine();
    const cases: [(text: string) => string, RegExp][] = [
      [(text) => text.replace('crash-actor', 'crash-acter'), /scenario\.yaml:8:21: .*did you mean crash-actor\?/],
      [(text) => text.replace('settle: 5s', 'setle: 5s'), /scenario\.yaml:5:34: .*did you mean settle\?/],
      [(text) => text.replace('run: 2s', 'run: 2'), /scenario\.yaml:5:\d+: .*a time needs its unit/],
      [(text) => text.replace('crash-actor', 'engine-pause'), /scenario\.yaml:8:21: .*engine-pause is not built yet/],
      [(text) => text.replace(ledgerApp, 'nowhere.ts'), /system\.app: there is no file .*nowhere\.ts/],
    ];
    for (const [change, message] of cases) {
      const { code, stderr } = await runFaults(cli, [write(cli, small(change))]);
      assert.equal(code, 2, stderr);
      assert.match(stderr, message);
    }
    assert.equal((await runFaults(cli, ['missing.yaml'])).code, 2);
    assert.deepEqual(cli.runs(), []);
  });

  it('a run injects nothing into a system that is not steady', slow, async () => {
    await using cli = faultsLine();
    const wrong = small((text) =>
      text
        .replace(
          '{append: 1}',
          '{append: {payload: {sender: "{sender}", n: "number {n}"}}, mumble: {payload: {a: "{sender}", b: "{n}"}}}',
        )
        .replace('append:', 'apend:'),
    );
    const { code, stdout } = await runFaults(cli, [write(cli, wrong)]);
    assert.equal(code, 97, stdout);
    assert.match(stdout, /because +no operation succeeded in the warm-up/);
    assert.doesNotMatch(stdout, /^fault/m);
    assert.deepEqual(cli.runs(), []);
  });

  it('inject is refused by a node that was not started for it, and by name', slow, async () => {
    await using cli = new CommandLine();
    assert.equal((await cli.run(['faults', 'inject', 'kill-thread', '1'])).code, 4);
    assert.equal((await cli.run(['up', '--detach', '--engine', 'memory', '--app', ledgerApp])).code, 0);
    const refused = await cli.run(['faults', 'inject', 'kill-thread', '1']);
    assert.equal(refused.code, 5);
    assert.match(refused.stderr, /--allow-faults/);
    const unknown = await cli.run(['faults', 'inject', 'kill-thred', '1']);
    assert.equal(unknown.code, 2);
    assert.match(unknown.stderr, /did you mean kill-thread\?/);
    assert.equal((await cli.run(['faults', 'inject', 'kill-thread', '/ledger/a'])).code, 2);
    assert.equal((await cli.run(['down'])).code, 0);
  });
});
