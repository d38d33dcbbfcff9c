/**
 * A stage for actors without a host: each runs in a bare `createActor` under its address, asks between them go through
 * the host port of this thread, and each answer settles the ask of its message.
 */

import { type AnyActorLogic, type AnyActorRef, createActor } from 'xstate';
import type { Effect } from '../../runtime/effects.ts';
import type { Json } from '../../runtime/envelope.ts';
import { TroupeError } from '../../runtime/errors.ts';
import { type HostPort, installHostPort } from '../../runtime/host/port.ts';
import { systemRandom } from '../../runtime/random.ts';

export interface AskOptions {
  readonly deadlineMs?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly onChunk?: (chunk: unknown) => void;
  readonly signal?: AbortSignal;
}

interface OpenAsk {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
  readonly onChunk: ((chunk: unknown) => void) | undefined;
}

export class Stage implements Disposable {
  readonly #actors = new Map<string, AnyActorRef>();
  readonly #asks = new Map<string, OpenAsk>();
  readonly #options: Parameters<typeof createActor>[1];

  constructor(options: { readonly clock?: NonNullable<Parameters<typeof createActor>[1]>['clock'] } = {}) {
    this.#options = options.clock === undefined ? {} : { clock: options.clock };
    installHostPort(this.port);
  }

  readonly port: HostPort = {
    ask: async (address, type, payload, options) =>
      JSON.parse(
        JSON.stringify(
          await this.ask(address, type, payload, options?.signal === undefined ? {} : { signal: options.signal }),
        ),
      ) as Json,
    invocation: () => ({ id: 'staged', attempt: 1 }),
    offload: async () => {
      throw new TroupeError('NOT_FOUND', 'a stage has no tasks');
    },
    tell: async (address, type, payload) => this.tell(address, type, payload),
  };

  start(address: string, logic: AnyActorLogic, input?: unknown): AnyActorRef {
    const actor = createActor(logic, { ...this.#options, input });
    const heard = new WeakSet<AnyActorRef>();
    const listen = (source: AnyActorRef, inHand: () => string): void => {
      heard.add(source);
      source.on('*', (event) => this.#carryOut(event as Effect, inHand()));
    };
    let inHand = '';
    listen(actor, () => inHand);
    actor.subscribe({
      next: (snapshot) => {
        const { children } = snapshot as { children?: Record<string, AnyActorRef> };
        for (const child of Object.values(children ?? {})) if (!heard.has(child)) listen(child, () => '');
      },
      error: (error) => {
        for (const ask of this.#asks.values()) ask.reject(error);
      },
    });
    const send = actor.send.bind(actor);
    actor.send = (event: { readonly message?: { readonly id: string } }) => {
      inHand = event.message?.id ?? '';
      send(event as never);
    };
    this.#actors.set(address, actor);
    actor.start();
    return actor;
  }

  actor(address: string): AnyActorRef {
    const actor = this.#actors.get(address);
    if (actor === undefined) throw new TroupeError('NOT_FOUND', `no actor at ${address}`);
    return actor;
  }

  /** The state value of an actor. */
  state(address: string): unknown {
    return (this.actor(address).getSnapshot() as { value: unknown }).value;
  }

  tell(address: string, type: string, payload: unknown): void {
    const message = { id: systemRandom.id(), headers: {}, attempt: 1 };
    this.actor(address).send({ type, payload, message } as never);
  }

  async ask(address: string, type: string, payload: unknown = {}, options: AskOptions = {}): Promise<unknown> {
    const actor = this.actor(address);
    const message = {
      id: systemRandom.id(),
      headers: options.headers ?? {},
      attempt: 1,
      ...(options.deadlineMs === undefined ? {} : { deadlineMs: options.deadlineMs }),
    };
    return new Promise((resolve, reject) => {
      this.#asks.set(message.id, { resolve, reject, onChunk: options.onChunk });
      options.signal?.addEventListener('abort', () => {
        if (!this.#asks.delete(message.id)) return;
        actor.send({ type: 'troupe.cancelled', message: { id: message.id } } as never);
        reject(new TroupeError('CANCELLED', 'the caller cancelled'));
      });
      actor.send({ type, payload, message } as never);
    });
  }

  [Symbol.dispose](): void {
    for (const actor of this.#actors.values()) actor.stop();
  }

  #carryOut(event: Effect, inHand: string): void {
    if (event.type !== 'troupe.reply' && event.type !== 'troupe.fail' && event.type !== 'troupe.chunk') return;
    const id = event.to ?? inHand;
    const ask = this.#asks.get(id);
    if (event.type === 'troupe.chunk') {
      ask?.onChunk?.(event.value);
      return;
    }
    this.#asks.delete(id);
    if (event.type === 'troupe.reply') ask?.resolve(event.value);
    else
      ask?.reject(
        new TroupeError(
          event.reason,
          event.text,
          event.retryAfterMs === undefined ? {} : { retryAfterMs: event.retryAfterMs },
        ),
      );
  }
}
