/** How each command of the documents' `sh` blocks is tried by `test/e2e/readme.long.test.ts`. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../tidy/sources.ts';

/** Those with commands. */
export const documents = ['README.md', 'CONTRIBUTING.md'] as const;

/** How a command of the documents is tried. */
export type Trial =
  /** Run to its end; its output has to match. */
  | { readonly prints: RegExp }
  /** Left running until the next `up` or the end, when SIGTERM has to end it well. */
  | { readonly foreground: true; readonly redis?: true }
  /** By this test file, because it takes long. */
  | { readonly triedBy: string }
  /** It takes minutes: only its help is asked for. */
  | { readonly helpOnly: true }
  /** It runs the tests, these among them. */
  | { readonly thisRun: true };

export const trials = new Map<string, Trial>([
  ['./troupe up', { foreground: true }],
  ['./troupe up --engine redis://127.0.0.1:6379', { foreground: true, redis: true }],
  ['./troupe up --detach', { prints: /is ready/ }],
  ['./troupe up --app test/apps/counter.ts --detach', { prints: /is ready/ }],
  ['./troupe down', { prints: /has ended/ }],
  ['./troupe test', { thisRun: true }],
  ['./troupe test --all', { thisRun: true }],
  [`./troupe ask /agents/claude plan '{"task":"Build a REST API"}' -o json`, { prints: /"degraded": true/ }],
  ['./troupe tree', { prints: /agents/ }],
  ['./troupe status', { prints: /ready/ }],
  [`./troupe ask /counters/visits increment '{"by":2}'`, { prints: /2/ }],
  ['./troupe tell /counters/visits increment', { prints: /\w/ }],
  ['./troupe actor /counters/visits', { prints: /counter/ }],
  ['./troupe faults run test/faults/first-light.yaml', { triedBy: 'test/e2e/faults.long.test.ts' }],
  ['./troupe torture --minutes 10 --engine embedded', { helpOnly: true }],
  ['./troupe simulate --seeds 2000', { helpOnly: true }],
  ['./troupe simulate plants', { helpOnly: true }],
  ['./troupe bench hot-path', { helpOnly: true }],
  [
    `./troupe task get "$(./troupe task submit /agents/claude plan '{"task":"Build a REST API"}')" --wait 30s`,
    { prints: /status +done/ },
  ],
  ['./troupe pause /agents --reason "new keys"', { prints: /paused \/agents/ }],
  ['./troupe parked', { prints: /agents\/claude .*new keys/ }],
  ['./troupe resume /agents', { prints: /resumed \/agents/ }],
  ['./troupe restart /agents/claude', { prints: /restarted \/agents\/claude/ }],
  ['./troupe doctor', { prints: /Node/ }],
  ['./troupe upgrade check', { prints: /nothing would break/ }],
]);

/** The lines of a document's `sh` blocks. */
export function commandsOf(document: string): string[] {
  const blocks = readFileSync(join(root, document), 'utf8').matchAll(/^```sh\n([\s\S]*?)^```/gm);
  return [...blocks].flatMap(([, lines]) => (lines ?? '').split('\n')).filter((line) => line !== '');
}
