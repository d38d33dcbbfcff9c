/**
 * What the container actor does on a Docker host, each as a function that ends: within its time, or when its signal is
 * aborted. Expected failures are results, so that the statechart decides what follows. dockerode is loaded at first
 * use; a system that manages no container never loads it.
 */

import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type Docker from 'dockerode';
import { type Clock, wait } from '../../runtime/clock.ts';
import { TroupeError, textOf } from '../../runtime/errors.ts';
import type { HostPort } from '../../runtime/host/port.ts';
import { DeadlineReached, withDeadline } from '../deadline.ts';
import { ailment } from './health.ts';
import type { ContainerInput, ContainerSpec } from './messages.ts';

/** `unavailable`: Docker or the image is not there, and trying again soon would not help. */
export interface Unavailable {
  readonly outcome: 'unavailable';
  readonly reason: string;
  /** Whether Docker itself is missing, and may come back. */
  readonly engine: boolean;
}

export interface Up {
  readonly outcome: 'up';
  readonly containerId: string;
  readonly startedAt: string;
}

export interface Failed {
  readonly outcome: 'failed';
  readonly reason: string;
}

export type LookResult = Up | { readonly outcome: 'down'; readonly containerId: string | null } | Unavailable;
export type StartResult = Up | Failed | Unavailable;
export type WatchResult =
  | { readonly outcome: 'exited' | 'unhealthy'; readonly reason: string }
  | { readonly outcome: 'healthy' }
  | Failed
  | Unavailable;
export type EndResult = { readonly outcome: 'ended' } | Failed | Unavailable;
export interface LogLine {
  readonly stream: 'stdout' | 'stderr';
  readonly text: string;
}

const startTimeoutMs = 60_000;
const stopTimeoutMs = 10_000;
const healthIntervalMs = 5_000;
/** Beyond the time that the container has, for Docker to do its own part. */
const engineTimeoutMs = 10_000;
/** Checks that must fail in a row before a running container counts as unhealthy. */
const failuresToUnhealthy = 3;
/** And how many more until it is restarted. */
const failuresToRestart = 6;
const healthPollFirstMs = 250;
const healthPollMaxMs = 5_000;
const logBytesMax = 256 * 1024;
const dockersOwnNetworks = new Set(['none', 'host', 'bridge', 'default']);

const labels = { address: 'troupe.address', spec: 'troupe.spec' } as const;

/** Says how things stand, and changes nothing. */
export async function look(input: ContainerInput, clock: Clock, signal: AbortSignal): Promise<LookResult> {
  const looked = await ended(input, signal, () =>
    withDeadline(clock, engineTimeoutMs, signal, async (inner): Promise<LookResult> => {
      const seen = await inspect(await connectTo(input.dockerHost), input.spec, inner);
      return seen?.State.Running === true ? upOf(seen) : { outcome: 'down', containerId: seen?.Id ?? null };
    }),
  );
  return looked.outcome === 'failed' ? { ...looked, outcome: 'unavailable', engine: true } : looked;
}

/** Brings the container up, with what it depends on, and waits until it is healthy. */
export async function bringUp(
  input: ContainerInput & { readonly again: boolean },
  clock: Clock,
  signal: AbortSignal,
  port: () => HostPort,
): Promise<StartResult> {
  const withinMs = input.spec.startTimeoutMs ?? startTimeoutMs;
  for (const address of input.dependsOn ?? []) {
    try {
      await port().ask(address, 'start', {}, { signal, timeoutMs: 2 * withinMs });
    } catch (error) {
      signal.throwIfAborted();
      const reason = `it needs ${address}: ${textOf(error)}`;
      return { outcome: 'unavailable', reason, engine: false };
    }
  }
  const progress = { ailment: 'Docker did not finish' };
  return ended(input, signal, () =>
    withDeadline(clock, withinMs, signal, async (inner): Promise<StartResult> => {
      const docker = await connectTo(input.dockerHost);
      let seen = await inspect(docker, input.spec, inner);
      if (seen !== undefined && isOurs(seen) && !seen.State.Running && isOutdated(seen, input.spec)) {
        await docker.getContainer(seen.Id).remove({ abortSignal: inner });
        seen = undefined;
      }
      const id = seen?.Id ?? (await create(docker, input, inner));
      const container = docker.getContainer(id);
      if (seen?.State.Running !== true) await unlessDone(container.start({ abortSignal: inner }));
      else if (input.again) await container.restart({ t: stopSeconds(input.spec), abortSignal: inner });
      return await untilHealthy(docker, input.spec, progress, clock, inner);
    }).catch((error: unknown): StartResult => {
      if (!(error instanceof DeadlineReached)) throw error;
      return { outcome: 'failed', reason: `it was not up within ${withinMs} ms: ${progress.ailment}` };
    }),
  );
}

/** Resolves when a running container stops running or working, or an unhealthy one works again. */
export async function watch(
  input: ContainerInput & { readonly unhealthy: boolean },
  clock: Clock,
  signal: AbortSignal,
): Promise<WatchResult> {
  return ended(input, signal, async (): Promise<WatchResult> => {
    const docker = await connectTo(input.dockerHost);
    const intervalMs = input.spec.healthIntervalMs ?? healthIntervalMs;
    const waiting = new AbortController();
    const stopWaiting = (): void => waiting.abort();
    signal.addEventListener('abort', stopWaiting, { once: true });
    // Docker answers this call when the container ends; the looks below cover a connection that silently broke.
    const exit = docker
      .getContainer(input.spec.containerName)
      .wait({ condition: 'not-running', abortSignal: waiting.signal })
      .then(
        () => {},
        () => {},
      );
    try {
      for (let failures = 0; ; ) {
        const seen = await withDeadline(clock, engineTimeoutMs, signal, (inner) => inspect(docker, input.spec, inner));
        if (seen === undefined) return { outcome: 'exited', reason: 'it was removed from the Docker host' };
        if (!seen.State.Running) return { outcome: 'exited', reason: exitOf(seen) };
        const reason = isJudged(seen) ? await ailment(input.spec, seen, clock, signal) : undefined;
        if (reason === undefined) {
          if (input.unhealthy) return { outcome: 'healthy' };
          failures = 0;
        } else {
          failures += 1;
          if (failures >= (input.unhealthy ? failuresToRestart : failuresToUnhealthy))
            return { outcome: 'unhealthy', reason };
        }
        await Promise.race([wait(clock, intervalMs, waiting.signal).catch(() => {}), exit]);
        signal.throwIfAborted();
      }
    } finally {
      signal.removeEventListener('abort', stopWaiting);
      waiting.abort();
    }
  });
}

/** Ends the container: SIGTERM, then SIGKILL by Docker. */
export async function takeDown(input: ContainerInput, clock: Clock, signal: AbortSignal): Promise<EndResult> {
  return finished(input, clock, signal, async (container, inner) => {
    await unlessDone(container.stop({ t: stopSeconds(input.spec), abortSignal: inner }));
  });
}

/** Ends and removes the container, if it is ours. */
export async function remove(input: ContainerInput, clock: Clock, signal: AbortSignal): Promise<EndResult> {
  return finished(input, clock, signal, async (container, inner) => {
    const seen = await container.inspect({ abortSignal: inner });
    if (!isOurs(seen))
      throw new TroupeError(
        'PERMISSION_DENIED',
        `the container "${input.spec.containerName}" was not made by Troupe; remove it with: docker rm ${input.spec.containerName}`,
      );
    await unlessDone(container.stop({ t: stopSeconds(input.spec), abortSignal: inner }));
    await container.remove({ v: true, force: true, abortSignal: inner });
  });
}

/** The last lines of the container's output, the newest up to a bound. */
export async function readLogs(
  input: ContainerInput & { readonly tail: number },
  clock: Clock,
  signal: AbortSignal,
): Promise<readonly LogLine[]> {
  return withDeadline(clock, engineTimeoutMs, signal, async (inner) => {
    const docker = await connectTo(input.dockerHost);
    const container = docker.getContainer(input.spec.containerName);
    const seen = await container.inspect({ abortSignal: inner });
    const written = await container.logs({ stdout: true, stderr: true, tail: input.tail, abortSignal: inner });
    return linesOf(written, seen.Config.Tty === true);
  });
}

async function create(docker: Docker, input: ContainerInput, signal: AbortSignal): Promise<string> {
  const { spec } = input;
  if (!(await hasImage(docker, spec.image, signal))) {
    if (input.pull !== true) throw new ImageMissing(spec.image);
    await pull(docker, spec.image, signal);
  }
  const { network } = spec;
  const ownNetwork = network !== undefined && !dockersOwnNetworks.has(network);
  if (ownNetwork) await makeNetwork(docker, network, signal);
  const ports = spec.ports ?? [];
  const { id } = await docker.createContainer({
    name: spec.containerName,
    Image: spec.image,
    ...(spec.command === undefined ? {} : { Cmd: [...spec.command] }),
    Env: Object.entries(spec.environment ?? {}).map(([name, value]) => `${name}=${value}`),
    Labels: { [labels.address]: input.address, [labels.spec]: hashOf(spec) },
    ExposedPorts: Object.fromEntries(ports.map(({ container }) => [`${container}/tcp`, {}])),
    HostConfig: {
      PortBindings: Object.fromEntries(
        ports.map(({ host, container }) => [`${container}/tcp`, [{ HostIp: '127.0.0.1', HostPort: String(host) }]]),
      ),
      // Restarts are this actor's, so that they are seen and bounded.
      RestartPolicy: { Name: 'no' },
      ...(network === undefined ? {} : { NetworkMode: network }),
    },
    ...(ownNetwork && spec.alias !== undefined
      ? { NetworkingConfig: { EndpointsConfig: { [network]: { Aliases: [spec.alias] } } } }
      : {}),
    ...(spec.health?.check === 'command'
      ? {
          Healthcheck: {
            Test: ['CMD', ...spec.health.command],
            Interval: (spec.healthIntervalMs ?? healthIntervalMs) * 1_000_000,
            Retries: 1,
          },
        }
      : {}),
    abortSignal: signal,
  });
  return id;
}

async function untilHealthy(
  docker: Docker,
  spec: ContainerSpec,
  progress: { ailment: string },
  clock: Clock,
  signal: AbortSignal,
): Promise<StartResult> {
  for (let delayMs = healthPollFirstMs; ; delayMs = Math.min(2 * delayMs, healthPollMaxMs)) {
    const seen = await inspect(docker, spec, signal);
    if (seen === undefined) return { outcome: 'failed', reason: 'it was removed while it started' };
    if (!seen.State.Running) return { outcome: 'failed', reason: exitOf(seen) };
    const reason = await ailment(spec, seen, clock, signal);
    if (reason === undefined) return upOf(seen);
    progress.ailment = reason;
    await wait(clock, delayMs, signal);
  }
}

async function connectTo(host: string | undefined): Promise<Docker> {
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

async function inspect(
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

async function hasImage(docker: Docker, image: string, signal: AbortSignal): Promise<boolean> {
  try {
    await docker.getImage(image).inspect();
    signal.throwIfAborted();
    return true;
  } catch (error) {
    if (statusOf(error) === 404) return false;
    throw error;
  }
}

async function pull(docker: Docker, image: string, signal: AbortSignal): Promise<void> {
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

async function makeNetwork(docker: Docker, name: string, signal: AbortSignal): Promise<void> {
  try {
    await docker.getNetwork(name).inspect();
    signal.throwIfAborted();
  } catch (error) {
    if (statusOf(error) !== 404) throw error;
    await docker.createNetwork({ Name: name, Driver: 'bridge', CheckDuplicate: true, abortSignal: signal });
  }
}

class ImageMissing extends Error {
  constructor(image: string, why?: string) {
    super(
      why === undefined
        ? `the image "${image}" is not on this Docker host; get it with: docker pull ${image}, or set [infra] pull = true`
        : `the image "${image}" is not on this Docker host and cannot be pulled: ${why}`,
    );
  }
}

/** Runs a task and reads what it throws as a result; the reasons are written for people. */
async function ended<R>(
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

/** Does something to the container; one that is not there is what was wanted. */
async function finished(
  input: ContainerInput,
  clock: Clock,
  signal: AbortSignal,
  task: (container: Docker.Container, signal: AbortSignal) => Promise<void>,
): Promise<EndResult> {
  const withinMs = (input.spec.stopTimeoutMs ?? stopTimeoutMs) + engineTimeoutMs;
  return ended(input, signal, () =>
    withDeadline(clock, withinMs, signal, async (inner): Promise<EndResult> => {
      try {
        await task((await connectTo(input.dockerHost)).getContainer(input.spec.containerName), inner);
      } catch (error) {
        if (statusOf(error) !== 404) throw error;
      }
      return { outcome: 'ended' };
    }),
  );
}

/** Docker answers 304 where there is nothing to do. */
async function unlessDone(call: Promise<unknown>): Promise<void> {
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

function statusOf(error: unknown): number | undefined {
  const status = (error as { statusCode?: unknown } | null)?.statusCode;
  return typeof status === 'number' ? status : undefined;
}

function upOf(seen: Docker.ContainerInspectInfo): Up {
  return { outcome: 'up', containerId: seen.Id, startedAt: seen.State.StartedAt };
}

function exitOf({ State }: Docker.ContainerInspectInfo): string {
  if (State.OOMKilled) return 'it was killed for want of memory';
  return State.Error === '' ? `it ended with exit code ${State.ExitCode}` : State.Error;
}

/** Docker's own check has come to a verdict, or there is none. */
function isJudged(seen: Docker.ContainerInspectInfo): boolean {
  return seen.State.Health?.Status !== 'starting';
}

function isOurs(seen: Docker.ContainerInspectInfo): boolean {
  return seen.Config.Labels[labels.address] !== undefined;
}

function isOutdated(seen: Docker.ContainerInspectInfo, spec: ContainerSpec): boolean {
  return seen.Config.Labels[labels.spec] !== hashOf(spec);
}

function hashOf(spec: ContainerSpec): string {
  return createHash('sha256').update(JSON.stringify(spec)).digest('hex').slice(0, 16);
}

function stopSeconds(spec: ContainerSpec): number {
  return Math.ceil((spec.stopTimeoutMs ?? stopTimeoutMs) / 1_000);
}

/** Without a terminal, each piece of output has a header: 1 byte stream, 3 zero, 4 length (Docker Engine API, attach). */
function linesOf(written: Buffer, terminal: boolean): LogLine[] {
  const kept = { stdout: '', stderr: '' };
  const lines: LogLine[] = [];
  const add = (stream: LogLine['stream'], piece: string): void => {
    const parts = `${kept[stream]}${piece}`.split('\n');
    kept[stream] = parts.pop() ?? '';
    for (const part of parts) lines.push({ stream, text: part });
  };
  if (terminal) add('stdout', written.toString());
  else
    for (let at = 0; at + 8 <= written.length; ) {
      const length = written.readUInt32BE(at + 4);
      add(written[at] === 2 ? 'stderr' : 'stdout', written.subarray(at + 8, at + 8 + length).toString());
      at += 8 + length;
    }
  for (const stream of ['stdout', 'stderr'] as const)
    if (kept[stream] !== '') lines.push({ stream, text: kept[stream] });
  return newest(lines);
}

function newest(lines: readonly LogLine[]): LogLine[] {
  let bytes = 0;
  const from = lines.findLastIndex(({ text }) => {
    bytes += Buffer.byteLength(text) + 32;
    return bytes > logBytesMax;
  });
  return lines.slice(from + 1);
}
