/**
 * What the container actor does on a Docker host, each as a function that ends: within its time, or when its signal is
 * aborted. Expected failures are results, so that the statechart decides what follows.
 */

import { createHash } from 'node:crypto';
import type Docker from 'dockerode';
import { type Clock, wait } from '../../runtime/clock.ts';
import { TroupeError, textOf } from '../../runtime/errors.ts';
import type { HostPort } from '../../runtime/host/port.ts';
import { DeadlineReached, withDeadline } from '../deadline.ts';
import {
  connectTo,
  engineTimeoutMs,
  type Failed,
  hasImage,
  ImageMissing,
  inspect,
  makeNetwork,
  outcomeOf,
  pull,
  statusOf,
  type Unavailable,
  unlessDone,
} from './engine.ts';
import { ailment } from './health.ts';
import type { ContainerInput, ContainerSpec } from './messages.ts';

export interface Up {
  readonly outcome: 'up';
  readonly containerId: string;
  readonly startedAt: string;
}

export type LookResult = Up | { readonly outcome: 'down'; readonly containerId: string | null } | Unavailable;
export type StartResult = Up | Failed | Unavailable;
export type WatchResult =
  | { readonly outcome: 'exited' | 'unhealthy'; readonly reason: string }
  | { readonly outcome: 'healthy' }
  | Failed
  | Unavailable;
export type EndResult = { readonly outcome: 'ended' } | Failed | Unavailable;
const startTimeoutMs = 60_000;
const stopTimeoutMs = 10_000;
const healthIntervalMs = 5_000;
/** Checks that must fail in a row before a running container counts as unhealthy. */
const failuresToUnhealthy = 3;
/** And how many more until it is restarted. */
const failuresToRestart = 6;
const healthPollFirstMs = 250;
const healthPollMaxMs = 5_000;
const dockersOwnNetworks = new Set(['none', 'host', 'bridge', 'default']);

const labels = { address: 'troupe.address', spec: 'troupe.spec' } as const;

/** Says how things stand, and changes nothing. */
export async function look(input: ContainerInput, clock: Clock, signal: AbortSignal): Promise<LookResult> {
  const looked = await outcomeOf(input, signal, () =>
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
  return outcomeOf(input, signal, () =>
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
  return outcomeOf(input, signal, async (): Promise<WatchResult> => {
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

/** Does something to the container; one that is not there is what was wanted. */
async function finished(
  input: ContainerInput,
  clock: Clock,
  signal: AbortSignal,
  task: (container: Docker.Container, signal: AbortSignal) => Promise<void>,
): Promise<EndResult> {
  const withinMs = (input.spec.stopTimeoutMs ?? stopTimeoutMs) + engineTimeoutMs;
  return outcomeOf(input, signal, () =>
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
