/**
 * The runtime of one node: wires router, shards, directory and host threads together. It knows no wire format and no
 * supervisor; the tree is attached as a port.
 */

import { Directory } from './activation/directory.ts';
import { ActorSends } from './actor-sends.ts';
import type { Address } from './address.ts';
import { Asks } from './asks.ts';
import { Awakening } from './awakening.ts';
import { durableCapacity, durableFault } from './capacity.ts';
import { type Cancel, type Clock, systemClock, wait, within } from './clock.ts';
import type { TellEffect } from './effects.ts';
import { patientEngine } from './engines/patient-engine.ts';
import { type EngineTrouble, type WatchedEngine, watchedEngine } from './engines/watched-engine.ts';
import type { Envelope, Json } from './envelope.ts';
import { shuttingDown, TroupeError } from './errors.ts';
import { createFaultDoor } from './fault-door.ts';
import { createHosts, type Hosts } from './host/hosts.ts';
import type { FromHost, ToHost } from './host/messages.ts';
import { placesOn } from './host-places.ts';
import { RuntimeInspection } from './inspection.ts';
import { defaults } from './limits.ts';
import { type Log, silentLog } from './log.ts';
import { nodeWriter } from './mailbox/batch.ts';
import { ChannelWriter } from './mailbox/channel.ts';
import { DeadLetterOffice } from './mailbox/dead-letter-office.ts';
import { InTransit } from './mailbox/in-transit.ts';
import { type ResultOutcome, shardOfResult } from './mailbox/results.ts';
import { Shard } from './mailbox/shard.ts';
import { createShardOf, shardNames } from './mailbox/shards.ts';
import { TrialGate } from './mailbox/trial.ts';
import type { DeadLetterActions, FaultControl, Inspection, Messaging } from './messaging.ts';
import { type EnteredNamespace, enterNamespace, NodeLease } from './node-lease.ts';
import { Offloads } from './offload/offloads.ts';
import { withOwners } from './owners.ts';
import { systemRandom } from './random.ts';
import { Router } from './router.ts';
import type { RuntimeOptions } from './runtime-options.ts';
import { endStalledAsks } from './stalled-asks.ts';
import { type Activations, errorOfHost, type HostExit, type HostSlots, type SupervisionPort } from './supervision.ts';

export interface Runtime {
  /** The supervisors' side. */
  readonly activations: Activations;
  readonly hosts: HostSlots;
  readonly inspection: Inspection;
  readonly deadLetters: DeadLetterActions;
  /** The fault door; the caller decides whether it is open. */
  readonly faults: FaultControl;
  /** Epoch of this life of the node. */
  readonly nodeEpoch: number;
  /** What the node's calls of its engine fail with now. */
  engineTrouble(): EngineTrouble | undefined;
  /** Attaches the tree; before that every address is absent. */
  supervise(port: SupervisionPort): void;
  /** Takes the shards. Resolves when all are held. */
  open(): Promise<void>;
  /** A sender: what it tells without awaiting stays in order. */
  messaging(): Messaging;
  /** Stops taking messages in and finishes what is in hand, at the latest after `withinMs` (G9). */
  drain(withinMs: number): Promise<void>;
  /** Gives leases back and ends the threads. Call after `drain` and after the tree has stopped. */
  close(): Promise<void>;
}

/**
 * Enters the namespace and builds a runtime.
 *
 * @throws TroupeError `UNAVAILABLE` when another node lives there, naming it
 */
export async function createRuntime(options: RuntimeOptions): Promise<Runtime> {
  const clock = options.clock ?? systemClock;
  const engine = watchedEngine(patientEngine(options.engine, clock), clock);
  const label = options.label ?? 'a node without a name';
  const entered = await enterNamespace(engine, label, clock, options);
  return new NodeRuntime({ ...options, clock, engine, label }, entered);
}

/** How long closing waits for an engine that does not answer. */
const closeMs = 2_000;
/** How often idle actors are looked for. */
const sweepMs = 1_000;

/** The options with what every node has. */
interface NodeOptions extends RuntimeOptions {
  readonly engine: WatchedEngine;
  readonly label: string;
}

class NodeRuntime implements Runtime {
  readonly activations: Directory;
  readonly hosts: Hosts;
  readonly inspection: RuntimeInspection;
  readonly deadLetters: DeadLetterOffice;
  readonly faults: FaultControl;
  readonly #options: NodeOptions;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #asks: Asks;
  readonly #router: Router;
  readonly #shardNameOf: (address: Address) => string;
  readonly #shards = new Map<string, Shard>();
  readonly #counters = new Map<string, number>();
  readonly #inTransit = new InTransit();
  readonly #awakening: Awakening;
  readonly #sends: ActorSends;
  readonly #offloads: Offloads;
  #channels: ChannelWriter;
  #supervision: SupervisionPort | undefined;
  readonly #lease: NodeLease;
  #stopStalled: Cancel = () => undefined;
  #draining = false;
  #stopSweeping: () => void = () => undefined;

  constructor(options: NodeOptions, entered: EnteredNamespace) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#log = options.log ?? silentLog;
    const random = options.random ?? systemRandom;
    const shardCount = options.shards ?? defaults.shards;
    this.#shardNameOf = createShardOf(shardCount);
    this.#lease = new NodeLease(
      {
        engine: options.engine,
        label: options.label,
        clock: this.#clock,
        log: this.#log,
        onLapsed: () => this.#channels.close(),
        onEpoch: () => this.#changeChannels(),
        onLost: (heldBy) => options.onNamespaceLost?.(heldBy),
      },
      entered,
    );
    this.#asks = new Asks(this.#clock);
    const count = (name: string, by = 1): void => {
      this.#counters.set(name, (this.#counters.get(name) ?? 0) + by);
    };
    this.hosts = createHosts({
      app: options.appUrl,
      count: options.threads ?? 2,
      clock: this.#clock,
      log: this.#log,
      ...(options.watchdogMs === undefined ? {} : { watchdogMs: options.watchdogMs }),
      ...(options.heapLimitMb === undefined ? {} : { heapLimitMb: options.heapLimitMb }),
      ...(options.spawnHost === undefined ? {} : { spawn: options.spawnHost }),
      addressOf: (activation) => this.activations.byNumber(activation)?.address,
      onMessages: (slot, _incarnation, messages) => this.#receive(slot, messages),
    });
    const trials = new TrialGate();
    for (const name of shardNames(shardCount))
      this.#shards.set(
        name,
        new Shard({
          name,
          engine: options.engine,
          clock: this.#clock,
          random,
          log: this.#log,
          trials,
          node: () => this.nodeEpoch,
          succeeds: options.succeeds,
          shardOf: this.#shardNameOf,
          onWork: (address) => this.#awakening.work(address),
          onLost: (shard) => this.activations.shardLost(this.#shard(shard)),
          onWritten: (shard) => this.#shards.get(shard)?.wake(),
          onResult: (id, outcome) => this.#result(id, outcome),
          capacityOf: (address) => durableCapacity(address, this.activations, this.#supervision),
          onArrived: ({ envelope, place }) => {
            if (place?.at === 'channel' && place.writer === nodeWriter(this.nodeEpoch))
              this.#inTransit.left(envelope.to);
          },
          count,
        }),
      );
    this.activations = new Directory({
      engine: options.engine,
      log: this.#log,
      hosts: placesOn(this.hosts),
      shardOf: (address) => this.#shardOf(address),
      hasSpawned: (address) => this.#port().hasSpawned(address),
      onLeftMail: (address) => this.#awakening.work(address),
      surroundings: {
        clock: this.#clock,
        random,
        asks: this.#asks,
        envelopeOf: (effect, from) => this.#committedEnvelope(effect, from),
        perform: (...given) => this.#sends.perform(...given),
        onResult: (id, outcome) => this.#result(id, outcome),
        ties: () => this.#sends.deathWatch,
        count,
      },
    });
    this.#router = new Router({
      clock: this.#clock,
      random,
      asks: this.#asks,
      directory: this.activations,
      supervision: () => this.#port(),
      node: () => this.nodeEpoch,
      engineNow: (address) => this.#shardOf(address).now(),
      shardNameOf: (address) => this.#shardNameOf(address),
      resultsOf: (shard) => this.#shards.get(shard)?.results,
      holdOf: (address) => this.#shardOf(address).mail.holdOf(address),
      commits: (address) => this.#shardOf(address).commits,
      trouble: () => this.engineTrouble(),
      sendDurable: (envelope) => this.#sendDurable(envelope),
      durableFault: (envelope, definition) =>
        durableFault(envelope, definition, this.#shardOf(envelope.to), this.#inTransit.count(envelope.to)),
    });
    this.#awakening = new Awakening({
      clock: this.#clock,
      log: this.#log,
      directory: this.activations,
      shardOf: (address) => this.#shardOf(address),
      supervision: () => this.#port(),
    });
    this.#sends = new ActorSends({
      router: this.#router,
      directory: this.activations,
      supervision: () => this.#port(),
      definitionOf: (kind) => options.app.definitions.find((definition) => definition.kind === kind),
      post: (slot, message) => this.hosts.post(slot, message),
      random,
      log: this.#log,
      count,
    });
    const post = (slot: number, message: ToHost): boolean => this.hosts.post(slot, message);
    this.#offloads = new Offloads({ ...options, clock: this.#clock, log: this.#log, post });
    this.deadLetters = new DeadLetterOffice({
      store: options.engine.store,
      shards: this.#shards,
      shardOf: (address) => this.#shardNameOf(address),
      count,
    });
    this.inspection = new RuntimeInspection({
      clock: this.#clock,
      directory: this.activations,
      hosts: this.hosts,
      shards: this.#shards,
      shardOf: (address) => this.#shardOf(address),
      deadLetters: this.deadLetters,
      asks: this.#asks,
      counters: () => ({ ...Object.fromEntries(this.#counters), ...this.#offloads.counters() }),
    });
    this.faults = createFaultDoor(this.activations, this.hosts);
    this.#channels = this.#newChannels();
    this.hosts.onExit((exit) => this.#hostLost(exit));
  }

  get nodeEpoch(): number {
    return this.#lease.epoch;
  }

  engineTrouble(): EngineTrouble | undefined {
    return this.#options.engine.trouble();
  }

  supervise(port: SupervisionPort): void {
    const { store } = this.#options.engine;
    this.#supervision = withOwners(port, { directory: this.activations, store, shardOf: (at) => this.#shardOf(at) });
  }

  async open(): Promise<void> {
    this.#lease.keep();
    this.#stopStalled = endStalledAsks({
      asks: this.#asks,
      clock: this.#clock,
      trouble: () => this.engineTrouble(),
      stalled: (address) =>
        this.activations.definitionOf(address)?.persist === 'snapshot' && !this.#shardOf(address).commits,
    });
    this.#stopSweeping = this.#clock.every(sweepMs, () => this.activations.passivateIdle());
    for (const shard of this.#shards.values()) shard.open();
    await Promise.all([...this.#shards.values()].map((shard) => shard.whenHeld()));
  }

  messaging(): Messaging {
    return {
      tell: (message) => this.#router.tell(message),
      ask: (message, options) => this.#router.ask(message, options),
      submit: (message, options) => this.#router.submit(message, options),
      result: (taskId) => this.#router.result(taskId),
    };
  }

  async drain(withinMs: number): Promise<void> {
    if (this.#draining) return;
    this.#draining = true;
    this.#router.drain();
    this.#awakening.end();
    const shards = [...this.#shards.values()];
    for (const shard of shards) shard.stopIntake();
    this.activations.drain();
    const until = this.#clock.monotonic() + withinMs;
    const busy = (): boolean =>
      this.#asks.openCount > 0 ||
      this.#channels.waitingCount > 0 ||
      this.activations.all().some((activation) => activation.mailbox().inHand > 0) ||
      shards.some((shard) => shard.outboxCount > 0);
    while (busy() && this.#clock.monotonic() < until) await wait(this.#clock, 20);
    this.#asks.refuseAll({ ...shuttingDown, outcome: 'unknown' });
    const leftMs = Math.max(closeMs, until - this.#clock.monotonic());
    await within(this.#clock, leftMs, Promise.all(shards.map((shard) => shard.settled())));
  }

  async close(): Promise<void> {
    this.#stopSweeping();
    this.#lease.stop();
    this.#stopStalled();
    this.#channels.close();
    await Promise.all([...this.#shards.values()].map((shard) => shard.close(closeMs)));
    await this.hosts.close();
    await this.#offloads.close();
    await within(this.#clock, closeMs, this.#lease.leave());
  }

  #shard(name: string): Shard {
    const shard = this.#shards.get(name);
    if (shard === undefined) throw new Error(`there is no shard ${name}`);
    return shard;
  }

  #shardOf(address: Address): Shard {
    return this.#shard(this.#shardNameOf(address));
  }

  #port(): SupervisionPort {
    if (this.#supervision === undefined)
      throw new TroupeError('UNAVAILABLE', 'the node is starting', { retryAfterMs: 500 });
    return this.#supervision;
  }

  #newChannels(): ChannelWriter {
    const wake = (shard: string): void => this.#shards.get(shard)?.wake();
    return new ChannelWriter({
      writer: nodeWriter(this.nodeEpoch),
      transport: this.#options.engine.transport,
      clock: this.#clock,
      onSent: wake,
      onWritten: wake,
    });
  }

  /** The former channels are closed with their epoch: what they did not get acknowledged is refused. */
  #changeChannels(): void {
    this.#channels.close();
    this.#channels = this.#newChannels();
  }

  async #sendDurable(envelope: Envelope): Promise<void> {
    this.#lease.demand();
    this.#inTransit.entered(envelope.to);
    try {
      await this.#channels.send(this.#shardNameOf(envelope.to), envelope);
    } catch (error) {
      this.#inTransit.left(envelope.to);
      throw error;
    }
  }

  #result(id: string, outcome: ResultOutcome): void {
    this.#shards.get(shardOfResult(id) ?? '')?.results.announce(id, outcome);
    if ('value' in outcome) this.#asks.answer(id, outcome.value);
    else this.#asks.refuse(id, outcome.error);
  }

  #receive(slot: number, messages: readonly FromHost[]): void {
    // Sends first: one that comes with its actor's end still has a sender.
    for (const message of messages) {
      if (message.from === 'send') this.#sends.receive(slot, message);
      else if (message.from === 'offload') this.#offloads.receive(slot, message);
      else if (message.from === 'cancelSend')
        for (const calls of [this.#sends, this.#offloads]) calls.cancel(slot, message.request);
      else if (message.from === 'inspected') this.inspection.receive(message);
    }
    this.activations.receive(messages);
  }

  #committedEnvelope(effect: TellEffect, from: Address): { envelope: Envelope; shard: string } {
    const envelope = this.#router.committedEnvelope(
      {
        to: effect.address,
        type: effect.messageType,
        payload: effect.payload as Json,
        delivery: 'at-least-once',
      },
      from,
    );
    return { envelope, shard: this.#shardNameOf(envelope.to) };
  }

  #hostLost(exit: HostExit): void {
    this.#sends.hostLost(exit.slot);
    this.#offloads.hostLost(exit.slot);
    this.activations.hostLost(exit, errorOfHost(exit));
  }
}
