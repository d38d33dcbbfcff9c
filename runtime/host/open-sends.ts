/**
 * What has left this thread and is not settled: the asks and tells of code that runs beside actors, with the port
 * through which it sends them (the actor in whose name code runs is followed through its awaits), and the tells of
 * actors' turns.
 *
 * 1. While a tell to an address is on its way by the main thread, later ones go that way too, or they would overtake it
 *    when their actor comes to live on this thread (G2).
 * 2. Request numbers are not used again by a later life of the same slot, so a late answer meets no stranger.
 */

import { AsyncLocalStorage } from 'node:async_hooks';
import type { Json } from '../envelope.ts';
import { type ErrorData, TroupeError } from '../errors.ts';
import { defaults, limits } from '../limits.ts';
import type { Log } from '../log.ts';
import type { OutgoingMessage } from '../messaging.ts';
import { OpenTask, type TaskResult } from '../offload/open-task.ts';
import type { OffloadInput } from '../offload/task.ts';
import type { Random } from '../random.ts';
import type { Behalf } from './causes.ts';
import type { FromHost } from './messages.ts';
import { type HostPort, installHostPort } from './port.ts';

/** Leaves room for as many requests of one life as no thread will make. */
const requestsPerLife = 2 ** 32;

interface Open {
  readonly activation: number | undefined;
  settle(result: TaskResult): void;
}

export interface OpenSendsOptions {
  readonly log: Log;
  readonly random: Random;
  readonly post: (message: FromHost) => void;
  /** The tell of a turn was refused. */
  readonly onRefused: (activation: number, message: OutgoingMessage, error: ErrorData) => void;
  /** Whether what an activation invokes is part of its snapshot. */
  readonly isPersistent: (activation: number) => boolean;
}

export class OpenSends {
  readonly #options: OpenSendsOptions;
  readonly #open = new Map<number, Open>();
  /** Addresses to which tells of turns are on their way, and how many. */
  readonly #outside = new Map<string, number>();
  #lastRequest: number;

  constructor(incarnation: number, options: OpenSendsOptions) {
    this.#options = options;
    this.#lastRequest = incarnation * requestsPerLife;
    lastInstalled = this;
    installHostPort(threadPort);
  }

  /** Runs a task in the name of an activation. */
  within(behalf: Behalf, task: () => void): void {
    origin.run({ sends: this, behalf }, task);
  }

  /** On whose behalf the running code was started. */
  here(): Behalf | undefined {
    const here = origin.getStore();
    return here?.sends === this ? here.behalf : undefined;
  }

  /** Whether a tell to this address is on its way by the main thread. */
  isOutside(address: string): boolean {
    return this.#outside.size > 0 && this.#outside.has(address);
  }

  /** Sends the tell of a turn; nobody waits for it. */
  tell(activation: number, from: string, message: OutgoingMessage): void {
    const { to } = message;
    this.#outside.set(to, (this.#outside.get(to) ?? 0) + 1);
    this.#lastRequest += 1;
    this.#open.set(this.#lastRequest, {
      activation: undefined,
      settle: (result) => {
        const left = (this.#outside.get(to) ?? 1) - 1;
        if (left > 0) this.#outside.set(to, left);
        else this.#outside.delete(to);
        if (!('error' in result)) return;
        this.#options.log.warn({ from, to, type: message.type, reason: result.error.reason }, 'a tell was refused');
        this.#options.onRefused(activation, message, result.error);
      },
    });
    const request = this.#lastRequest;
    this.#options.post({ from: 'send', activation, request, kind: 'tell', message, timeoutMs: undefined });
  }

  settled(request: number, result: TaskResult): void {
    const open = this.#open.get(request);
    this.#open.delete(request);
    open?.settle(result);
  }

  /** The activation is over: nobody waits for its answers any more. */
  cancelOf(activation: number): void {
    for (const [request, open] of this.#open) if (open.activation === activation) this.#cancel(request, open);
  }

  send(
    activation: number | undefined,
    kind: 'ask' | 'tell',
    message: OutgoingMessage,
    timeoutMs: number | undefined,
    signal: AbortSignal | undefined,
  ): Promise<Json> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) return reject(cancelled('not_started'));
      this.#lastRequest += 1;
      const request = this.#lastRequest;
      const open: Open = {
        activation,
        settle(result) {
          signal?.removeEventListener('abort', abort);
          if ('value' in result) resolve(result.value as Json);
          else reject(TroupeError.from(result.error));
        },
      };
      const abort = (): void => this.#cancel(request, open);
      signal?.addEventListener('abort', abort, { once: true });
      this.#open.set(request, open);
      this.#options.post({ from: 'send', activation, request, kind, message, timeoutMs });
    });
  }

  offload(activation: number | undefined, input: OffloadInput, signal: AbortSignal | undefined): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) return reject(cancelled('not_started'));
      if (activation !== undefined && (input.transfer?.length ?? 0) > 0 && this.#options.isPersistent(activation))
        return reject(keptBuffers(input.task));
      this.#lastRequest += 1;
      const request = this.#lastRequest;
      const task = new OpenTask(input, (result) => this.settled(request, result));
      const open: Open = {
        activation,
        settle(result) {
          task.close();
          signal?.removeEventListener('abort', abort);
          if ('value' in result) resolve(result.value);
          else reject(TroupeError.from(result.error));
        },
      };
      const abort = (): void => this.#cancel(request, open);
      signal?.addEventListener('abort', abort, { once: true });
      this.#open.set(request, open);
      this.#options.post({
        from: 'offload',
        activation,
        request,
        task: input.task,
        id: input.id ?? this.#options.random.id(),
        timeoutMs: Math.min(Math.max(1, input.timeoutMs ?? defaults.offloadTimeoutMs), limits.offloadTimeoutMaxMs),
        port: task.farPort,
      });
    });
  }

  #cancel(request: number, open: Open): void {
    if (!this.#open.delete(request)) return;
    this.#options.post({ from: 'cancelSend', request });
    open.settle({ error: cancelled('unknown').toData() });
  }
}

function keptBuffers(task: string): TroupeError {
  return new TroupeError(
    'INVALID_MESSAGE',
    `task "${task}" cannot take buffers from a persistent actor: its snapshot holds JSON only; give a reference, and let the task fetch the data`,
  );
}

function cancelled(outcome: 'not_started' | 'unknown'): TroupeError {
  return new TroupeError('CANCELLED', 'the actor let go of what it had asked for', { outcome });
}

/** In whose name the running code was started. */
const origin = new AsyncLocalStorage<{ readonly sends: OpenSends; readonly behalf: Behalf }>();

/** For code that no actor started, such as a timer of the app module. */
let lastInstalled: OpenSends | undefined;

const threadPort: HostPort = {
  ask: (address, type, payload, options) =>
    sendFromHere('ask', { to: address, type, payload: payload as Json }, options?.timeoutMs, options?.signal),
  async tell(address, type, payload, options) {
    const delivery = options?.delivery;
    const message = { to: address, type, payload: payload as Json, ...(delivery === undefined ? {} : { delivery }) };
    await sendFromHere('tell', message, undefined, undefined);
  },
  invocation() {
    const { invocation, attempt } = origin.getStore()?.behalf ?? {};
    if (invocation === undefined || attempt === undefined)
      throw new Error('invocation() is for code that a machine has invoked or spawned');
    return { id: invocation, attempt };
  },
  offload(input, options) {
    const { sends, activation } = here();
    return sends.offload(activation, input, options?.signal);
  },
};

function sendFromHere(
  kind: 'ask' | 'tell',
  message: OutgoingMessage,
  timeoutMs: number | undefined,
  signal: AbortSignal | undefined,
): Promise<Json> {
  const { sends, activation } = here();
  return sends.send(activation, kind, message, timeoutMs, signal);
}

function here(): { readonly sends: OpenSends; readonly activation: number | undefined } {
  const store = origin.getStore();
  const sends = store?.sends ?? lastInstalled;
  if (sends === undefined) throw new Error('no host runs here');
  return { sends, activation: store?.behalf.activation };
}
