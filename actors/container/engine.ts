/**
 * The way to a Docker host: a client by its address, the questions that dockerode answers with a status, and what its
 * errors mean. dockerode is loaded at first use; a system that manages no container never loads it.
 */

import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type Docker from 'dockerode';
import { textOf } from '../../runtime/errors.ts';
import type { ContainerInput, ContainerSpec } from './messages.ts';

/** `unavailable`: Docker or the image is not there, and trying again soon would not help. */
export interface Unavailable {
  readonly outcome: 'unavailable';
  readonly reason: string;
  /** Whether Docker itself is missing, and may come back. */
  readonly engine: boolean;
}

export interface Failed {
  readonly outcome: 'failed';
  readonly reason: string;
}

/** Time for one call that only asks or that Docker finishes at once, in milliseconds. */
export const engineTimeoutMs = 10_000;

export async function connectTo(host: string | undefined): Promise<Docker> {
  const sockets = socketsOf(host ?? (process.env.DOCKER_HOST || undefined));
  if (sockets !== undefined && !sockets.some((path) => existsSync(path)))
    throw Object.assign(new Error(`no such socket: ${sockets.join(', ')}`), { code: 'ENOENT' });
  const { default: Engine } = await import('dockerode');
  if (host === undefined) return new Engine();
  const url = new URL(host);
  if (url.protocol === 'unix:') return new Engine({ socketPath: decodeURIComponent(url.pathname) });
  return new Engine({ host: url.hostname, port: Number(url.port || '2375'), protocol: 'http' });
}

/** Where the socket may be; `undefined` when Docker is not reached by one. Looked at before dockerode is loaded. */
function socketsOf(host: string | undefined): readonly string[] | undefined {
  if (host === undefined)
    return process.platform === 'win32'
      ? undefined
      : ['/var/run/docker.sock', join(homedir(), '.docker', 'run', 'docker.sock')];
  return host.startsWith('unix://') ? [decodeURIComponent(new URL(host).pathname)] : undefined;
}

export async function inspect(
  docker: Docker,
  spec: ContainerSpec,
  signal: AbortSignal,
): Promise<Docker.ContainerInspectInfo | undefined> {
  try {
    return await docker.getContainer(spec.containerName).inspect({ abortSignal: signal });
  } catch (error) {
    if (statusOf(error) === 404) return undefined;
    throw error;
  }
}

export async function hasImage(docker: Docker, image: string, signal: AbortSignal): Promise<boolean> {
  try {
    await docker.getImage(image).inspect();
    signal.throwIfAborted();
    return true;
  } catch (error) {
    if (statusOf(error) === 404) return false;
    throw error;
  }
}

export async function pull(docker: Docker, image: string, signal: AbortSignal): Promise<void> {
  try {
    // Without a tag Docker would pull every tag there is.
    const named = /[@:][^/]*$/.test(image) ? image : `${image}:latest`;
    const progress = await docker.pull(named, { abortSignal: signal });
    await new Promise<void>((resolve, reject) => {
      docker.modem.followProgress(progress, (error) => (error ? reject(error) : resolve()));
    });
  } catch (error) {
    signal.throwIfAborted();
    throw new ImageMissing(image, textOf(error));
  }
}

export async function makeNetwork(docker: Docker, name: string, signal: AbortSignal): Promise<void> {
  try {
    await docker.getNetwork(name).inspect();
    signal.throwIfAborted();
  } catch (error) {
    if (statusOf(error) !== 404) throw error;
    await docker.createNetwork({ Name: name, Driver: 'bridge', CheckDuplicate: true, abortSignal: signal });
  }
}

export class ImageMissing extends Error {
  constructor(image: string, why?: string) {
    super(
      why === undefined
        ? `the image "${image}" is not on this Docker host; get it with: docker pull ${image}, or set [infra] pull = true`
        : `the image "${image}" is not on this Docker host and cannot be pulled: ${why}`,
    );
  }
}

/** Runs a task and reads what it throws as a result; the reasons are written for people. */
export async function outcomeOf<R>(
  input: ContainerInput,
  signal: AbortSignal,
  task: () => Promise<R>,
): Promise<R | Failed | Unavailable> {
  try {
    return await task();
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof ImageMissing) return { outcome: 'unavailable', reason: error.message, engine: false };
    if (statusOf(error) !== undefined) return { outcome: 'failed', reason: textOf(error).trim() };
    if (isConnectionError(error)) {
      const where = input.dockerHost ?? process.env.DOCKER_HOST ?? 'its usual socket';
      return {
        outcome: 'unavailable',
        reason: `Docker does not answer at ${where} (${textOf(error)}); start it, or set [infra] dockerHost`,
        engine: true,
      };
    }
    return { outcome: 'failed', reason: textOf(error) };
  }
}

/** Docker answers 304 where there is nothing to do. */
export async function unlessDone(call: Promise<unknown>): Promise<void> {
  try {
    await call;
  } catch (error) {
    if (statusOf(error) !== 304) throw error;
  }
}

function isConnectionError(error: unknown): boolean {
  const code = (error as { code?: unknown }).code;
  return (
    typeof code === 'string' && /^(ENOENT|ECONNREFUSED|ECONNRESET|EACCES|EPERM|EPIPE|ENOTFOUND|ETIMEDOUT)$/.test(code)
  );
}

export function statusOf(error: unknown): number | undefined {
  const status = (error as { statusCode?: unknown } | null)?.statusCode;
  return typeof status === 'number' ? status : undefined;
}
