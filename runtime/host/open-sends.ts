/**
 * The asks and tells that code on this thread has sent and not heard of, and the port through which it sends them.
 * The actor in whose name code runs is followed through its awaits.
 */

import { AsyncLocalStorage } from 'node:async_hooks';
import type { Json } from '../envelope.ts';
import { type ErrorData, TroupeError } from '../errors.ts';
import type { OutgoingMessage } from '../messaging.ts';
import type { FromHost } from './messages.ts';
import { type HostPort, installHostPort } from './port.ts';

interface Open {
  readonly activation: number | undefined;
  settle(result: { readonly value: Json } | { readonly error: ErrorData }): void;
}

export class OpenSends {
  readonly #post: (message: FromHost) => void;
  readonly #open = new Map<number, Open>();
  #lastRequest = 0;

  constructor(post: (message: FromHost) => void) {
    this.#post = post;
    lastInstalled = this;
    installHostPort(threadPort);
  }

  /** Runs a task in the name of an activation. */
  within(activation: number, task: () => void): void {
    origin.run({ sends: this, activation }, task);
  }

  settled(request: number, result: { readonly value: Json } | { readonly error: ErrorData }): void {
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
          if ('value' in result) resolve(result.value);
          else reject(TroupeError.from(result.error));
        },
      };
      const abort = (): void => this.#cancel(request, open);
      signal?.addEventListener('abort', abort, { once: true });
      this.#open.set(request, open);
      this.#post({ from: 'send', activation, request, kind, message, timeoutMs });
    });
  }

  #cancel(request: number, open: Open): void {
    if (!this.#open.delete(request)) return;
    this.#post({ from: 'cancelSend', request });
    open.settle({ error: cancelled('unknown').toData() });
  }
}

function cancelled(outcome: 'not_started' | 'unknown'): TroupeError {
  return new TroupeError('CANCELLED', 'the asking actor let go of the ask', { outcome });
}

/** In whose name the running code was started. */
const origin = new AsyncLocalStorage<{ readonly sends: OpenSends; readonly activation: number }>();

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
};

function sendFromHere(
  kind: 'ask' | 'tell',
  message: OutgoingMessage,
  timeoutMs: number | undefined,
  signal: AbortSignal | undefined,
): Promise<Json> {
  const here = origin.getStore();
  const sends = here?.sends ?? lastInstalled;
  if (sends === undefined) throw new Error('no host runs here');
  return sends.send(here?.activation, kind, message, timeoutMs, signal);
}
