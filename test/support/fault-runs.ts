/** Fault runs from the command line, and a small scenario for them. */

import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CommandLine, type CommandResult } from './cli.ts';
import { ledgerApp } from './node-process.ts';

export type FaultsLine = CommandLine & {
  /** Folders of runs that are there. */
  readonly runs: () => string[];
  readonly env: NodeJS.ProcessEnv;
};

/** A command line whose runs put their folders below its own, so that what they leave is seen and removed. */
export function faultsLine(): FaultsLine {
  const cli = new CommandLine();
  mkdirSync(cli.dataDir, { recursive: true });
  const runs = (): string[] => readdirSync(cli.dataDir).filter((name) => name.startsWith('troupe-faults-'));
  return Object.assign(cli, { runs, env: { TMPDIR: cli.dataDir } });
}

export const runFaults = (cli: FaultsLine, words: readonly string[]): Promise<CommandResult> =>
  cli.run(['faults', 'run', ...words], '', cli.env);

/** A short scenario on the memory engine. */
export const small = (change: (text: string) => string = (text) => text): string =>
  change(`scenario: 1
name: small
seed: 5
system: {app: ${ledgerApp}, engine: memory}
phases: {warmup: 300ms, run: 2s, settle: 5s}
workload: {to: "/ledger/{key}", senders: 2, keys: {count: 2}, ops: {append: 1}, arrive: {closed: {inFlight: 2}}}
faults:
  - {id: crash, do: crash-actor, when: {at: 500ms}, target: {actor: /ledger/*}}
expect:
  - {recovered: crash, within: 10s}
`);

export function write(cli: CommandLine, text: string): string {
  const file = join(cli.dataDir, 'scenario.yaml');
  writeFileSync(file, text);
  return file;
}
