import { fromTransition } from 'xstate';
import type { Address } from '../../runtime/address.ts';
import { parseAddress } from '../../runtime/address.ts';
import { type ActorDefinition, defineActor } from '../../runtime/define-actor.ts';
import { TroupeError } from '../../runtime/errors.ts';
import type { Random } from '../../runtime/random.ts';
import type { ActivationExit, Activations, HostExit, HostSlots, StartRequest } from '../../runtime/supervision.ts';

/** A definition that takes no message. */
export function silentDefinition(kind = 'silent'): ActorDefinition {
  return defineActor({ kind, messages: {}, logic: fromTransition((state: null) => state, null) });
}

/** Always the same draw; `0.5` halves each ceiling. */
export function fixedRandom(draw = 0.5): Random {
  return { next: () => draw, id: () => 'id', nonce: () => 'nonce' };
}

export interface FakeActivations extends Activations {
  /** What was asked, in order: `start /a`, `stop /a`. */
  readonly calls: string[];
  /** The live incarnations. */
  readonly live: Map<string, number>;
  readonly requests: StartRequest[];
  /** Addresses that were brought to life while they were alive. */
  readonly doubles: string[];
  /** Starts of these addresses fail while they stand here. */
  readonly broken: Set<string>;
  /** Starts fail for now, as those of an engine that is away do. */
  away: boolean;
  /** Starts of these addresses wait until `release`. */
  readonly held: Set<string>;
  /** What is paused, and why. */
  readonly paused: Map<string, string>;
  release(address: string): void;
  /** What each start and stop waits for before it has an effect; nothing by default. */
  pace: () => Promise<void>;
  /** Whether a stop ends a start under way; else that start comes through, late. */
  stopEndsStart: boolean;
  /** Ends the life of a running actor. */
  exit(address: string, exit?: Partial<Omit<ActivationExit, 'address'>>): void;
}

/** Activations without actors: a start takes one round of the event loop. */
export function createFakeActivations(): FakeActivations {
  const listeners: ((exit: ActivationExit) => void)[] = [];
  const holds = new Map<string, { release: () => void; cancel: (reason: Error) => void }>();
  const incarnations = new Map<string, number>();
  const stops = new Map<string, number>();
  const fake: FakeActivations = {
    calls: [],
    live: new Map(),
    requests: [],
    doubles: [],
    broken: new Set(),
    away: false,
    held: new Set(),
    paused: new Map(),
    pace: async () => {},
    stopEndsStart: true,
    async start(request) {
      const { address } = request;
      fake.calls.push(`start ${address}`);
      fake.requests.push(request);
      if (fake.held.has(address))
        await new Promise<void>((resolve, reject) => holds.set(address, { release: resolve, cancel: reject }));
      const stopsBefore = stops.get(address);
      await fake.pace();
      if (fake.stopEndsStart && stops.get(address) !== stopsBefore) throw new Error('stopped while it was starting');
      if (fake.away) throw new TroupeError('UNAVAILABLE', 'the engine is away', { retryAfterMs: 1_000 });
      if (fake.broken.has(address)) throw new Error('broken on purpose');
      if (fake.live.has(address)) fake.doubles.push(address);
      const incarnation = (incarnations.get(address) ?? 0) + 1;
      incarnations.set(address, incarnation);
      fake.live.set(address, incarnation);
      return { incarnation };
    },
    async stop(address) {
      fake.calls.push(`stop ${address}`);
      stops.set(address, (stops.get(address) ?? 0) + 1);
      holds.get(address)?.cancel(new Error('stopped while it was starting'));
      await fake.pace();
      fake.live.delete(address);
    },
    async pause(address, reason) {
      await fake.pace();
      fake.paused.set(address, reason);
    },
    async resume(address) {
      await fake.pace();
      fake.paused.delete(address);
    },
    pauseOf: (address) => fake.paused.get(address),
    onExit: (listener) => void listeners.push(listener),
    release(address) {
      fake.held.delete(address);
      holds.get(address)?.release();
      holds.delete(address);
    },
    exit(text, exit = {}) {
      const address: Address = parseAddress(text);
      const incarnation = exit.incarnation ?? incarnations.get(address) ?? 0;
      if (fake.live.get(address) === incarnation) fake.live.delete(address);
      for (const listener of listeners) listener({ address, cause: 'failed', charged: true, ...exit, incarnation });
    },
  };
  return fake;
}

export interface FakeHosts extends HostSlots {
  readonly calls: string[];
  exit(slot: number, exit?: Partial<Omit<HostExit, 'slot'>>): void;
}

export function createFakeHosts(): FakeHosts {
  const listeners: ((exit: HostExit) => void)[] = [];
  const incarnations = new Map<number, number>();
  const hosts: FakeHosts = {
    calls: [],
    async start(slot) {
      hosts.calls.push(`start thread ${slot}`);
      const incarnation = (incarnations.get(slot) ?? 0) + 1;
      incarnations.set(slot, incarnation);
      return { incarnation };
    },
    async stop(slot) {
      hosts.calls.push(`stop thread ${slot}`);
    },
    onExit: (listener) => void listeners.push(listener),
    exit(slot, exit = {}) {
      for (const listener of listeners)
        listener({ slot, cause: 'died', ...exit, incarnation: exit.incarnation ?? incarnations.get(slot) ?? 0 });
    },
  };
  return hosts;
}
