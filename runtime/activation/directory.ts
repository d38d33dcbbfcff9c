/**
 * Which actors are awake in this process, and where. It starts and stops lives on host threads, hands the threads'
 * messages to the activation they are about, and reports exits as data. It decides nothing about restarts and sees no
 * mailbox.
 *
 * Invariants:
 * 1. At most one activation of an address is not ended.
 * 2. A new life of a persistent actor starts from what is stored after the last commit of the life before.
 * 3. Messages of a host that was replaced, or of an activation that ended, are dropped.
 */

import type { Address } from '../address.ts';
import type { ActorDefinition } from '../define-actor.ts';
import type { Engine } from '../engines/engine.ts';
import { type ErrorData, TroupeError } from '../errors.ts';
import type { FromHost } from '../host/messages.ts';
import type { Log } from '../log.ts';
import type { Hold } from '../mailbox/parked-row.ts';
import type { Shard } from '../mailbox/shard.ts';
import type { ActivationExit, Activations, HostExit, StartRequest } from '../supervision.ts';
import { Activation } from './activation.ts';
import { HoldOrders } from './hold-orders.ts';
import { chosenSlot, type HostPlaces } from './places.ts';
import { Quarantine, type Suspect } from './quarantine.ts';
import { type ReadRecord, unfitRecord } from './restoring.ts';
import { RunningWaiters } from './running-waiters.ts';
import { storedRecord } from './stored-record.ts';
import type { ActivationSurroundings } from './surroundings.ts';
import { Unbegun } from './unbegun.ts';

export interface DirectoryOptions {
  readonly engine: Engine;
  readonly log: Log;
  readonly hosts: HostPlaces;
  readonly shardOf: (address: Address) => Shard;
  /** Whether an actor has children of its own. */
  readonly hasSpawned: (address: Address) => boolean;
  /** An actor has ended and mail waits for it. */
  readonly onLeftMail: (address: Address) => void;
  readonly surroundings: Omit<ActivationSurroundings, 'post' | 'onExit'>;
}

/** Why a life is not to be before somebody has looked. */
type Unfit = Extract<Hold['why'], 'unreadable' | 'hung'>;

interface Starting {
  readonly resolve: (shape: string) => void;
  readonly reject: (fault: { error: ErrorData; park: Unfit | undefined }) => void;
}

export class Directory implements Activations {
  readonly #options: DirectoryOptions;
  readonly #byAddress = new Map<Address, Activation>();
  readonly #byNumber = new Map<number, Activation>();
  readonly #definitions = new Map<Address, ActorDefinition>();
  readonly #incarnations = new Map<Address, number>();
  readonly #load = new Map<number, number>();
  readonly #starting = new Map<number, Starting>();
  readonly #stopping = new Map<number, () => void>();
  readonly #runningWaiters: RunningWaiters;
  readonly #exitListeners: ((exit: ActivationExit) => void)[] = [];
  readonly #quarantine: Quarantine;
  readonly #holdOrders: HoldOrders;
  readonly #unbegun = new Unbegun();
  #lastNumber = 0;
  #draining = false;

  constructor(options: DirectoryOptions) {
    this.#options = options;
    this.#runningWaiters = new RunningWaiters(options.surroundings.clock);
    this.#holdOrders = new HoldOrders(options.shardOf);
    this.#quarantine = new Quarantine(options.hosts.extra, options.surroundings.clock);
  }

  /** The living activation of an address. */
  get(address: Address): Activation | undefined {
    return this.#byAddress.get(address);
  }

  byNumber(number: number): Activation | undefined {
    return this.#byNumber.get(number);
  }

  all(): Activation[] {
    return [...this.#byAddress.values()];
  }

  /** The definition of the actor that lives, or last lived, at an address. */
  definitionOf(address: Address): ActorDefinition | undefined {
    return this.#byAddress.get(address)?.definition ?? this.#definitions.get(address);
  }

  load(slot: number): number {
    return this.#load.get(slot) ?? 0;
  }

  onExit(listener: (exit: ActivationExit) => void): void {
    this.#exitListeners.push(listener);
  }

  /** Resolves when the actor runs, or after `withinMs`. */
  whenRunning(address: Address, withinMs: number): Promise<void> {
    const isRunning = this.#byAddress.get(address)?.status === 'running';
    return isRunning ? Promise.resolve() : this.#runningWaiters.wait(address, withinMs);
  }

  async start(request: StartRequest): Promise<{ readonly incarnation: number }> {
    const { address, definition } = request;
    if (this.#byAddress.has(address))
      throw new TroupeError('UNAVAILABLE', `${address} is running already`, { retryAfterMs: 100 });
    const shard = this.#options.shardOf(address);
    const { store } = this.#options.engine;
    const reading = definition.persist === 'snapshot' ? await storedRecord(store, shard, address) : undefined;
    const stored = reading?.record;
    const condemned = this.#quarantine.takeCondemned(address);
    const suspect = this.#quarantine.suspectOf(address);
    const slot = (await this.#quarantine.threadFor(address)) ?? (await this.#anySlot());
    const incarnation = Math.max(stored?.incarnation ?? 0, this.#incarnations.get(address) ?? 0) + 1;
    const isTaken = this.#byAddress.has(address);
    if (isTaken || reading?.isCurrent() === false) {
      this.#quarantine.left(address, slot);
      if (condemned !== undefined) this.#quarantine.condemn(address, condemned);
      const text = isTaken ? `${address} is running already` : `the lease of ${shard.name} ended`;
      throw new TroupeError('UNAVAILABLE', text, { retryAfterMs: 100 });
    }
    const activation = this.#enter(request, { slot, suspect }, incarnation, stored, shard);
    const unfit = stored === undefined ? undefined : unfitRecord(stored, definition);
    if (unfit !== undefined || condemned !== undefined) {
      this.#park(activation, unfit ?? condemned ?? '', unfit === undefined ? 'hung' : 'unreadable');
      return { incarnation };
    }
    try {
      const shape = await new Promise<string>((resolve, reject) => {
        this.#starting.set(activation.number, { resolve, reject });
        this.#options.hosts.post(slot, {
          to: 'start',
          activation: activation.number,
          address,
          kind: definition.kind,
          incarnation,
          input: request.input,
          snapshot: stored?.snapshot,
          version: stored?.version,
          ...(stored === undefined ? {} : activation.storedRows()),
        });
      });
      if (stored !== undefined && stored.version === definition.version && stored.shape !== shape)
        this.#options.log.warn(
          { address, kind: definition.kind },
          'the logic has changed since this snapshot was written; it was restored because its state still exists',
        );
      // Its supervisor hears of the end that came first once it has heard of the start.
      if ((activation.status as string) === 'ended') return { incarnation };
      activation.started();
      this.#runningWaiters.runs(address);
    } catch (fault) {
      const { error, park } = fault as Parameters<Starting['reject']>[0];
      if (park !== undefined) {
        this.#park(activation, error.message, park);
        return { incarnation };
      }
      activation.end(undefined);
      this.#leave(activation);
      throw TroupeError.from(error);
    } finally {
      this.#starting.delete(activation.number);
    }
    return { incarnation };
  }

  async stop(address: Address, withinMs: number): Promise<void> {
    const activation = this.#byAddress.get(address);
    if (activation === undefined) return;
    if (activation.status === 'starting')
      this.#options.hosts.post(activation.slot, { to: 'stop', activation: activation.number });
    if (activation.status === 'running') {
      activation.status = 'stopping';
      await new Promise<void>((resolve) => {
        const cancel = this.#options.surroundings.clock.after(withinMs, resolve, { keepAlive: true });
        this.#stopping.set(activation.number, () => {
          cancel();
          resolve();
        });
        this.#options.hosts.post(activation.slot, { to: 'stop', activation: activation.number });
      });
      this.#stopping.delete(activation.number);
      if (activation.persistent) await this.#options.shardOf(address).settled();
    }
    activation.end(undefined);
    this.#leave(activation);
    this.#quarantine.acquit(address);
    this.#definitions.delete(address);
  }

  async pause(address: Address, reason: string): Promise<void> {
    await this.#holdOrders.carryOut(address, ({ mail }) => mail.hold(address, { why: 'paused', text: reason }));
  }

  async resume(address: Address): Promise<void> {
    await this.#holdOrders.carryOut(address, ({ mail }) => mail.release(address));
    const activation = this.#byAddress.get(address);
    // Its supervisor starts it anew, which reads the snapshot once more.
    if (activation?.status === 'parked') activation.end({ cause: 'released', charged: false });
  }

  pauseOf(address: Address): string | undefined {
    const hold = this.#options.shardOf(address).mail.holdOf(address);
    return hold?.why === 'paused' ? hold.text : undefined;
  }

  /** Puts those to sleep that have been idle for their time, and lets those out of quarantine that have behaved. */
  passivateIdle(): void {
    if (this.#draining) return;
    this.#quarantine.review();
    const nowMs = this.#options.surroundings.clock.monotonic();
    for (const activation of this.#byNumber.values())
      if (activation.hasRested(nowMs) && !this.#options.hasSpawned(activation.address)) activation.passivate();
  }

  /** What a host thread said. */
  receive(messages: readonly FromHost[]): void {
    for (const message of messages) {
      if (!('activation' in message) || message.activation === undefined) continue;
      const activation = this.#byNumber.get(message.activation);
      if (activation === undefined) continue;
      switch (message.from) {
        case 'started':
          activation.shaped(message.shape);
          this.#starting.get(activation.number)?.resolve(message.shape);
          // Its thread may be gone before the start has gone on; then that is the end of a life.
          this.#starting.delete(activation.number);
          break;
        case 'startFailed':
          this.#starting
            .get(activation.number)
            ?.reject({ error: message.error, park: message.restore ? 'unreadable' : undefined });
          break;
        case 'steps':
          activation.steps(message);
          break;
        case 'output':
          activation.output(message.effects);
          break;
        case 'handled':
          activation.handled(message.count);
          break;
        case 'failed':
          void activation.failed(message.failure);
          break;
        case 'done':
          activation.end({ cause: 'done', charged: true });
          break;
        case 'passivated':
          activation.passivated(message.asleep);
          break;
        case 'stopped':
          this.#stopping.get(activation.number)?.();
          break;
      }
    }
  }

  /**
   * A host is gone: the lives on it are over. A turn that was being stepped is charged to its message, what a message
   * left running to itself; only a thread that died by itself, in nobody's code, is charged to the supervisors (G7).
   */
  hostLost(exit: HostExit, error: ErrorData): void {
    const inHand = exit.cause === 'killed' ? undefined : exit.inHand;
    const charged = exit.cause === 'died' && inHand === undefined && exit.actor === undefined;
    const threadDeath = `${exit.slot}@${exit.incarnation}`;
    for (const activation of [...this.#byNumber.values()]) {
      if (activation.slot !== exit.slot || activation.status === 'parked') continue;
      this.#stopping.get(activation.number)?.();
      const starting = this.#starting.get(activation.number);
      const suspect = inHand?.activation === activation.number ? inHand.turn : undefined;
      const again = exit.cause !== 'killed' && inHand === undefined && this.#blame(activation, exit, error);
      if (again && starting === undefined) this.#quarantine.condemn(activation.address, error.message);
      if (starting !== undefined)
        starting.reject({ error: { ...error, reason: 'UNAVAILABLE' }, park: again ? 'hung' : undefined });
      else activation.threadLost({ cause: 'thread-lost', charged, error, threadDeath }, suspect);
    }
  }

  /** It may have run code of this actor, of no turn that was fed. Answers whether the actor is to be parked. */
  #blame(activation: Activation, { slot, behalf }: HostExit, error: ErrorData): boolean {
    if (behalf?.activation !== activation.number) return false;
    const { sent, invocation } = behalf;
    if (!sent) return this.#quarantine.blame(activation.address, slot, invocation, activation.hadMail);
    if (invocation !== undefined) activation.threadEndedIn(invocation, error);
    else this.#quarantine.offended(activation.address);
    return false;
  }

  /** A shard is not ours any more: its persistent actors end; they may live elsewhere already. */
  shardLost(shard: Shard): void {
    // Another owner may begin it meanwhile.
    this.#unbegun.forget((address) => this.#options.shardOf(address) === shard);
    for (const activation of this.all()) {
      if (this.#options.shardOf(activation.address) !== shard) continue;
      if (!activation.persistent) {
        activation.forgetDurable();
        continue;
      }
      this.#options.hosts.post(activation.slot, { to: 'stop', activation: activation.number });
      activation.end({ cause: 'lease-lost', charged: false });
    }
  }

  /** Feeds nothing from now on, to the living and to those that come. */
  drain(): void {
    this.#draining = true;
    for (const activation of this.all()) activation.drain();
  }

  #anySlot(): Promise<number> {
    return chosenSlot(this.#options.hosts, (slot) => this.load(slot), this.#options.surroundings.clock);
  }

  #enter(
    request: StartRequest,
    { slot, suspect }: { readonly slot: number; readonly suspect: Suspect | undefined },
    incarnation: number,
    stored: ReadRecord | undefined,
    shard: Shard,
  ): Activation {
    const { address, definition } = request;
    const activation: Activation = new Activation({
      ...this.#options.surroundings,
      number: ++this.#lastNumber,
      address,
      definition,
      incarnation,
      slot,
      shard,
      queue: shard.mail.queueOf(address),
      stored,
      quarantine: this.#quarantine,
      suspect,
      unbegun: this.#unbegun.take(address),
      onUnbegun: (ids) => this.#unbegun.add(address, ids),
      post: (message) => this.#options.hosts.post(slot, message),
      onExit: (exit) => {
        this.#leave(activation);
        if (exit.cause === 'passivated') this.#forget(activation);
        const full: ActivationExit = { address, incarnation, ...exit };
        for (const listener of this.#exitListeners) listener(full);
      },
    });
    if (this.#draining) activation.drain();
    this.#byAddress.set(address, activation);
    this.#byNumber.set(activation.number, activation);
    this.#definitions.set(address, definition);
    this.#incarnations.set(address, incarnation);
    this.#load.set(slot, this.load(slot) + 1);
    return activation;
  }

  #leave(activation: Activation): void {
    if (!this.#byNumber.delete(activation.number)) return;
    this.#starting.get(activation.number)?.reject({
      error: { reason: 'UNAVAILABLE', message: 'the actor was stopped while it started', outcome: 'not_started' },
      park: undefined,
    });
    if (this.#byAddress.get(activation.address) === activation) this.#byAddress.delete(activation.address);
    this.#load.set(activation.slot, this.load(activation.slot) - 1);
    this.#quarantine.left(activation.address, activation.slot);
    const shard = this.#options.shardOf(activation.address);
    shard.mail.releaseQueue(activation.address);
    // Mail that outlived its actor: whoever is responsible for the address hears of it once the exit is known.
    if (shard.mail.hasMail(activation.address)) queueMicrotask(() => this.#options.onLeftMail(activation.address));
  }

  /** Nothing of one that sleeps stays in memory; its record knows its incarnation. */
  #forget({ address, persistent }: Activation): void {
    this.#definitions.delete(address);
    if (persistent) this.#incarnations.delete(address);
    this.#options.surroundings.count('passivations_total');
  }

  #park(activation: Activation, reason: string, why: Unfit): void {
    activation.park(reason);
    this.#quarantine.acquit(activation.address);
    this.#quarantine.left(activation.address, activation.slot);
    this.#options.shardOf(activation.address).mail.hold(activation.address, { why, text: reason });
    this.#options.log.error(
      { address: activation.address, reason },
      'the actor cannot be brought to life: it is parked and its mail is kept',
    );
  }
}
