import type { Directory } from './activation/directory.ts';
import { type Address, nameOf, parentOf, parseAddress } from './address.ts';
import { ephemeralFault } from './capacity.ts';
import { DeathWatch } from './death-watch.ts';
import type { ActorDefinition } from './define-actor.ts';
import { deliveryFailedEnvelope, failureOfRefusal, hearsOfFailures } from './delivery-failed.ts';
import type { Effect, SpawnEffect, TellEffect } from './effects.ts';
import type { Json } from './envelope.ts';
import { type ErrorData, errorTable, TroupeError, textOf, toErrorData } from './errors.ts';
import type { FromHost, ToHost } from './host/messages.ts';
import type { Log } from './log.ts';
import { ephemeralMail } from './mailbox/mail.ts';
import type { Random } from './random.ts';
import type { Router } from './router.ts';
import type { SupervisionPort } from './supervision.ts';

export interface ActorSendsOptions {
  readonly router: Router;
  readonly directory: Directory;
  readonly supervision: () => SupervisionPort;
  readonly definitionOf: (kind: string) => ActorDefinition | undefined;
  readonly post: (slot: number, message: ToHost) => void;
  readonly random: Random;
  readonly log: Log;
  readonly count: (name: string) => void;
}

/** What actors, and what they invoked, send beyond their own thread, and what they want of the tree. */
export class ActorSends {
  readonly #options: ActorSendsOptions;
  /** Asks of each slot that are under way, by request number. */
  readonly #open = new Map<number, Map<number, AbortController>>();

  readonly deathWatch: DeathWatch;

  constructor(options: ActorSendsOptions) {
    this.#options = options;
    this.deathWatch = new DeathWatch({
      lives: () => options.supervision().lives,
      log: options.log,
      childEnded(child, gen) {
        const parent = parentOf(child);
        if (parent !== undefined) options.directory.get(parent)?.childEnded(nameOf(child), gen);
      },
      tell(watcher, termination) {
        const { directory, post } = options;
        const activation = directory.get(watcher);
        if (activation?.status === 'running')
          post(activation.slot, { to: 'terminated', activation: activation.number, termination });
        // One that sleeps takes its watches up when it wakes, and hears of it then.
        else if (directory.definitionOf(watcher)?.persist !== 'none')
          options
            .supervision()
            .ensure(watcher)
            .catch(() => undefined);
      },
    });
  }

  /** A message that left a thread; answered with `settled` where a request number is given. */
  receive(slot: number, { activation, request, kind, message, timeoutMs }: Extract<FromHost, { from: 'send' }>): void {
    const { router, directory } = this.#options;
    const from = activation === undefined ? undefined : directory.byNumber(activation)?.address;
    const abort = new AbortController();
    if (request !== undefined) this.#requests(slot).set(request, abort);
    const sent: Promise<Json> =
      kind === 'tell'
        ? router.tell(message, from).then(() => null)
        : router.ask(message, { signal: abort.signal, ...(timeoutMs === undefined ? {} : { timeoutMs }) }, from);
    const settle = (result: { readonly value: Json } | { readonly error: ErrorData }): void => {
      if (request === undefined || !this.#requests(slot).delete(request)) return;
      this.#options.post(slot, { to: 'settled', request, result });
    };
    sent.then(
      (value) => settle({ value }),
      (error: unknown) => {
        if (kind === 'tell') this.#refused(from, message.to, message.type, error);
        settle({ error: toErrorData(error, 'UNAVAILABLE') });
      },
    );
  }

  /** The signal of a request was aborted on its thread. */
  cancel(slot: number, request: number): void {
    this.#requests(slot).get(request)?.abort();
  }

  /** A thread is gone: nobody waits for its answers. */
  hostLost(slot: number): void {
    const requests = this.#requests(slot);
    this.#open.delete(slot);
    for (const abort of requests.values()) abort.abort();
  }

  /** Effects that reach beyond the actor, after their commit where there is one. */
  perform(effect: Effect, from: Address, incarnation?: number): void {
    const { router, supervision } = this.#options;
    const failed = (error: unknown): void =>
      this.#options.log.warn({ from, effect: effect.type, error: textOf(error) }, 'an effect could not be carried out');
    switch (effect.type) {
      case 'troupe.tell':
        router
          .tell(
            {
              to: effect.address,
              type: effect.messageType,
              payload: effect.payload as Json,
              delivery: effect.delivery ?? 'at-most-once',
            },
            from,
          )
          .catch((error: unknown) => {
            this.#refused(from, effect.address, effect.messageType, error);
            this.#tellSender(from, effect, error);
          });
        return;
      case 'troupe.spawn':
        this.#spawn(effect, from, incarnation).catch(failed);
        return;
      case 'troupe.stop':
        supervision().stopChild(from, effect.name, effect.gen).catch(failed);
        return;
      case 'troupe.watch':
      case 'troupe.unwatch':
        try {
          const target = parseAddress(effect.address);
          if (effect.type === 'troupe.watch') this.deathWatch.watch(from, target, effect.former);
          else this.deathWatch.unwatch(from, target);
        } catch (error) {
          failed(error);
        }
    }
  }

  async #spawn({ name, kind, input, gen }: SpawnEffect, from: Address, incarnation?: number): Promise<void> {
    const { supervision, definitionOf, directory } = this.#options;
    const definition = definitionOf(kind);
    if (definition === undefined) throw new TroupeError('INVALID_MESSAGE', `the app has no actor of kind "${kind}"`);
    this.deathWatch.listen();
    const wish = { ...(gen === undefined ? {} : { gen }), ...(incarnation === undefined ? {} : { incarnation }) };
    try {
      await supervision().spawn(from, { name, definition, input, ...wish });
    } catch (error) {
      const owner = directory.get(from);
      // What ended with the owner's life, its next one wishes for anew; the rest is not wanted any more.
      const isOver = errorTable[toErrorData(error).reason].retry !== 'later' && owner?.incarnation === incarnation;
      if (isOver && gen !== undefined) owner?.childEnded(name, gen);
      throw error;
    }
  }

  #requests(slot: number): Map<number, AbortController> {
    let requests = this.#open.get(slot);
    if (requests === undefined) {
      requests = new Map();
      this.#open.set(slot, requests);
    }
    return requests;
  }

  /** In memory, as the message was. Those that turns send without a commit are told of on their thread. */
  #tellSender(from: Address, { address: to, messageType: type }: TellEffect, error: unknown): void {
    const { directory, random } = this.#options;
    const sender = directory.get(from);
    if (sender?.status !== 'running' || !hearsOfFailures(sender.definition)) return;
    if (ephemeralFault(sender) !== undefined) return;
    const failure = failureOfRefusal({ to, type }, error);
    sender.deliver(ephemeralMail(deliveryFailedEnvelope(random.id(), from, from, 'at-most-once', failure)));
  }

  #refused(from: Address | undefined, to: string, type: string, error: unknown): void {
    this.#options.count('delivery_failed_total');
    this.#options.log.warn({ from, to, type, error: textOf(error) }, 'a tell was refused');
  }
}
