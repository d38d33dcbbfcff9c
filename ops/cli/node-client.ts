/** How a command reaches the running node: by `node.json` in its data folder, then gRPC or the admin port. */

import type { Command } from 'commander';
import { fromProblem } from '../../gateway/http/problem.ts';
import { textOf } from '../../runtime/errors.ts';
import { readConfig } from '../config/read.ts';
import { exitCodes } from '../exit-codes.ts';
import { findNode, type NodeFile } from '../node-file.ts';
import { CommandFailed } from './failure.ts';
import { interruptSignal } from './interrupt.ts';

/** Options of every command that talks to a node. */
export interface NodeOptions {
  readonly dataDir?: string;
  readonly config?: string;
}

export function withNodeOptions(command: Command): Command {
  return command
    .option('--data-dir <folder>', 'data folder of the node (TROUPE_DATA_DIR; default .troupe beside troupe)')
    .option('--config <file>', 'configuration file (TROUPE_CONFIG; default troupe.toml)');
}

/** The data folder that the options, the environment and the file lead to. */
export function dataFolder(options: NodeOptions): string {
  return readConfig({ file: options.config, flags: { dataDir: options.dataDir } }).settings.dataDir;
}

/** The running node. @throws CommandFailed with `unreachable` when none runs */
export function runningNode(options: NodeOptions): NodeFile {
  const folder = dataFolder(options);
  const node = findNode(folder);
  if (node !== undefined) return node;
  throw new CommandFailed(exitCodes.unreachable, `no node is running on ${folder}`, 'start it with: troupe up');
}

/** Where to connect to what is bound at an address: a wildcard is reached over loopback. */
export function reachable(bound: string): string {
  return bound.replace(/^0\.0\.0\.0:/, '127.0.0.1:').replace(/^\[::\]:/, '[::1]:');
}

/** Reads from, or acts on, the admin port. @throws TroupeError with the reason of the problem that it answered */
export async function callAdmin(
  node: NodeFile,
  path: string,
  method: 'GET' | 'POST' = 'GET',
  body?: object,
): Promise<unknown> {
  const response = await adminResponse(node, path, method, body);
  const text = await response.text();
  if (response.ok) return text === '' ? null : JSON.parse(text);
  throw problemError(response.status, text);
}

/** The admin port's bare answer. @throws CommandFailed with `unreachable` */
export async function adminResponse(
  node: NodeFile,
  path: string,
  method: 'GET' | 'POST' = 'GET',
  body?: object,
): Promise<Response> {
  try {
    return await fetch(`http://${reachable(node.admin)}${path}`, {
      method,
      signal: interruptSignal(),
      headers: {
        ...(node.token === undefined ? {} : { authorization: `Bearer ${node.token}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  } catch (error) {
    if ((error as Error).name === 'AbortError') throw error;
    const cause = (error as Error).cause;
    throw new CommandFailed(
      exitCodes.unreachable,
      `process ${node.pid} does not answer at ${node.admin}: ${textOf(cause ?? error)}`,
      'see its log, or stop it with: troupe down --force',
    );
  }
}

export function problemError(status: number, text: string): Error {
  try {
    const problem: unknown = JSON.parse(text);
    if (typeof (problem as { reason?: unknown } | null)?.reason === 'string') return fromProblem(problem);
  } catch {
    // No problem document: the status says what is known.
  }
  return new CommandFailed(status === 404 ? exitCodes.notFound : exitCodes.failed, `the admin port answered ${status}`);
}
