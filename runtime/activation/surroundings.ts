import type { Address } from '../address.ts';
import type { Asks } from '../asks.ts';
import type { Clock } from '../clock.ts';
import type { ActorDefinition } from '../define-actor.ts';
import type { Effect, TellEffect } from '../effects.ts';
import type { Delivery, Envelope } from '../envelope.ts';
import type { ToHost } from '../host/messages.ts';
import type { ActorQueue } from '../mailbox/actor-queue.ts';
import type { ActorRecord } from '../mailbox/actor-record.ts';
import type { ResultOutcome } from '../mailbox/results.ts';
import type { Shard } from '../mailbox/shard.ts';
import type { Random } from '../random.ts';
import type { ActivationExit } from '../supervision.ts';
import type { Quarantine, Suspect } from './quarantine.ts';
import type { TiesPort } from './ties.ts';

/** An exit as an activation reports it. */
export type ReportedExit = Omit<ActivationExit, 'address' | 'incarnation'>;

/** What an activation needs of the runtime around it. */
export interface ActivationSurroundings {
  readonly clock: Clock;
  readonly random: Random;
  readonly asks: Asks;
  /** What came of a message is stored, where that is to be: its askers may know. */
  readonly onResult: (id: string, outcome: ResultOutcome) => void;
  readonly post: (message: ToHost) => void;
  /** Turns a tell into an envelope from this actor and the shard it goes to. @throws TroupeError */
  readonly envelopeOf: (effect: TellEffect, from: Address, delivery: Delivery) => { envelope: Envelope; shard: string };
  /** Carries out an effect that needs no commit, or whose commit is done. */
  readonly perform: (effect: Effect, from: Address, incarnation: number) => void;
  readonly ties: () => TiesPort;
  readonly onExit: (exit: ReportedExit) => void;
  readonly count: (name: string, by?: number) => void;
}

export interface ActivationOptions extends ActivationSurroundings {
  readonly number: number;
  readonly address: Address;
  readonly definition: ActorDefinition;
  readonly incarnation: number;
  readonly slot: number;
  readonly shard: Shard;
  readonly queue: ActorQueue;
  readonly stored: ActorRecord | undefined;
  readonly quarantine: Quarantine;
  /** For whose sake this life has a thread to itself. */
  readonly suspect: Suspect | undefined;
  /** Ids of open invocations that the life before had no time to begin. */
  readonly unbegun: ReadonlySet<string>;
  /** A turn began these, and its life was over before its commit. */
  readonly onUnbegun: (ids: readonly string[]) => void;
}
