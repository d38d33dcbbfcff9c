/** A node in a process of its own that a test stops, wakes and watches. */

import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { connect } from '../../gateway/client.ts';
import type { NodeFile } from '../../ops/node-file.ts';
import { findNode } from '../../ops/node-file.ts';
import type { CommandLine } from './cli.ts';
import { eventually } from './eventually.ts';

export const ledgerApp = fileURLToPath(new URL('../apps/ledger.ts', import.meta.url));

export interface NodeProcess {
  readonly cli: CommandLine;
  readonly child: ChildProcess;
  readonly pid: number;
  /** What it has written to stderr. */
  told(): string;
  /** Resolves with its exit code when it has ended. */
  readonly ended: Promise<number | null>;
  /** Resolves with its addresses when it is ready; rejects when it has ended instead. */
  ready(): Promise<NodeFile>;
}

/** Starts `troupe up` with the ledger app on an engine. */
export function startNode(cli: CommandLine, engine: string, words: readonly string[] = []): NodeProcess {
  const common = ['--app', ledgerApp, '--engine', engine, '--threads', '2', '--log-level', 'warn'];
  const child = cli.start(['up', ...common, ...words]);
  let told = '';
  child.stderr?.on('data', (part) => {
    told += part;
  });
  child.stdout?.resume();
  const ended = once(child, 'close').then(([code]) => code as number | null);
  return {
    cli,
    child,
    pid: child.pid as number,
    told: () => told,
    ended,
    ready: () =>
      eventually('the node is ready', 60_000, () => {
        assert.ok(child.exitCode === null && child.signalCode === null, `it has ended: ${told}`);
        const node = findNode(cli.dataDir);
        return node?.pid === child.pid && node;
      }),
  };
}

export interface Entry {
  readonly sender: string;
  readonly n: number;
}

/** Reads ledgers `/ledger/k0` … by asking a node. */
export async function readLedgers(grpc: string, count: number): Promise<Entry[][]> {
  const client = connect(grpc, { ownConnection: true });
  try {
    return await Promise.all(
      Array.from({ length: count }, async (_, ledger) => {
        const answer = await client.ask({ to: `/ledger/k${ledger}`, type: 'read' }, { timeoutMs: 20_000 });
        return (answer as unknown as { entries: Entry[] }).entries;
      }),
    );
  } finally {
    client.close();
  }
}

export const entryId = (ledger: number, { sender, n }: Entry): string => `k${ledger} ${sender}#${n}`;

/** Everything once, nothing that was never sent, and each sender's acknowledged entries in order. */
export function assertWhole(found: readonly Entry[][], sent: ReadonlySet<string>, acknowledged: ReadonlySet<string>) {
  const all = found.flatMap((entries, ledger) => entries.map((entry) => entryId(ledger, entry)));
  assert.equal(new Set(all).size, all.length, 'each append once');
  assert.deepEqual([...acknowledged].filter((id) => !all.includes(id)).slice(0, 5), [], 'nothing lost');
  assert.deepEqual(
    all.filter((id) => !sent.has(id)),
    [],
    'nothing that was never sent',
  );
  for (const [ledger, entries] of found.entries()) {
    const accepted = entries.filter((entry) => acknowledged.has(entryId(ledger, entry)));
    for (const [sender, own] of Map.groupBy(accepted, (entry) => entry.sender)) {
      const order = own.map(({ n }) => n);
      assert.deepEqual(
        order,
        order.toSorted((left, right) => left - right),
        `k${ledger}: ${sender} in order`,
      );
    }
  }
}
