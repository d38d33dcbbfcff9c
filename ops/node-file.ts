/** `node.json` in the data folder: how commands find the running node. Written when it is ready, removed at a clean stop. */

import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isAlive, type ProcessIdentity } from './process-identity.ts';

export interface NodeFile extends ProcessIdentity {
  readonly version: string;
  readonly nodeEpoch: number;
  /** postgres, redis or memory. */
  readonly engine: string;
  readonly engineDescription: string;
  /** What survives what. */
  readonly durability: string;
  readonly warnings: readonly string[];
  /** host:port as bound. */
  readonly grpc: string;
  readonly http: string;
  readonly admin: string;
  readonly token?: string;
}

const nodeFilePath = (folder: string): string => join(folder, 'node.json');

/** Writes the file in one step, readable by its owner only. */
export function writeNodeFile(folder: string, node: NodeFile): void {
  const draft = `${nodeFilePath(folder)}.${node.pid}.draft`;
  writeFileSync(draft, `${JSON.stringify(node, null, 2)}\n`, { mode: 0o600 });
  renameSync(draft, nodeFilePath(folder));
}

export function removeNodeFile(folder: string): void {
  rmSync(nodeFilePath(folder), { force: true });
}

/** The node that runs on this data; `undefined` when there is no file or its process is gone. */
export function findNode(folder: string): NodeFile | undefined {
  let node: NodeFile;
  try {
    node = JSON.parse(readFileSync(nodeFilePath(folder), 'utf8'));
  } catch {
    return undefined;
  }
  const whole =
    typeof node === 'object' &&
    node !== null &&
    Number.isInteger(node.pid) &&
    [node.started, node.grpc, node.http, node.admin].every((value) => typeof value === 'string');
  return whole && isAlive(node) ? node : undefined;
}
