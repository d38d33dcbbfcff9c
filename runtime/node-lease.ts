/**
 * This process's right to live in a namespace: one node epoch at a time, kept by renewing a lease in the engine.
 *
 * 1. An epoch is used only while its lease holds, as far as this process's monotonic clock and the last answer of the
 *    engine tell: a successor may have closed its channels. A node that slept past it accepts nothing durable until it
 *    has entered again, as a new epoch.
 * 2. Where another node has entered meanwhile, this one is over: `onLost` is called once, and nothing is accepted
 *    any more. What it had in memory is refused by the fence of each shard, not here.
 * 3. Who has entered is another node, unless an answer to an entry of ours was lost: then it is one once it renews its
 *    lease, which nobody does for an epoch that nobody knows.
 */

import { type Cancel, type Clock, wait } from './clock.ts';
import type { Engine } from './engines/engine.ts';
import { TroupeError, textOf } from './errors.ts';
import { defaults } from './limits.ts';
import type { Log } from './log.ts';

export interface NodeLeaseOptions {
  readonly engine: Pick<Engine, 'nodes'>;
  /** For the person who finds the namespace taken. */
  readonly label: string;
  readonly clock: Clock;
  readonly log: Log;
  /** The engine says that the lease is over, once for an epoch: nothing may be written under it any more. */
  readonly onLapsed: () => void;
  /** The node goes on under a new epoch: the lease of the former one had lapsed. */
  readonly onEpoch: () => void;
  /** Another node, named by its label, has taken the namespace. */
  readonly onLost: (heldBy: string) => void;
}

/** How often a lapsed node tries to enter again. */
const lookMs = 500;
/** The end of a lease of which the engine says that it is over. */
const lapsed = Number.NEGATIVE_INFINITY;

/** What is known of those who had the place before. */
export interface Predecessors {
  /** Epoch of a node of which the caller knows that it is dead: its place and its leases are taken at once. */
  readonly succeeds?: number;
  /** Labels of dead nodes that were killed before anybody knew their epochs: the end of their lease is waited for. */
  readonly killed?: readonly string[];
}

/**
 * Enters the namespace.
 *
 * @throws TroupeError `UNAVAILABLE` when another node lives there, naming it
 */
export async function enterNamespace(
  { nodes }: Pick<Engine, 'nodes'>,
  label: string,
  clock: Clock,
  { succeeds, killed = [] }: Predecessors = {},
): Promise<EnteredNamespace> {
  for (let untilMs = Number.POSITIVE_INFINITY; ; ) {
    const askedAtMs = clock.monotonic();
    const joined = await nodes.join({
      ttlMs: defaults.leaseMs,
      label,
      ...(succeeds === undefined ? {} : { succeeds }),
    });
    if ('epoch' in joined) return { epoch: joined.epoch, untilMs: askedAtMs + defaults.leaseMs };
    const leftMs = Math.max(0, joined.heldUntilMs - joined.engineNowMs);
    // Killed between its entry and its note of it: nobody renews that lease. A namesake that lives does.
    if (!killed.includes(joined.heldBy) || joined.heldUntilMs > untilMs)
      throw new TroupeError(
        'UNAVAILABLE',
        `this namespace is in use by ${joined.heldBy}; stop that node, or choose another --namespace`,
        { retryAfterMs: leftMs },
      );
    untilMs = joined.heldUntilMs;
    await wait(clock, leftMs + lookMs);
  }
}

export interface EnteredNamespace {
  readonly epoch: number;
  /** Monotonic time after which the lease may have ended. */
  readonly untilMs: number;
}

export class NodeLease {
  readonly #options: NodeLeaseOptions;
  #entered: EnteredNamespace;
  #renewedAtMs: number;
  #lost = false;
  /** An entry of ours was not answered; until when the lease lasts that stands in the way since. */
  #unheard: { heldUntilMs?: number } | undefined;
  #busy = false;
  #stop: Cancel = () => undefined;

  constructor(options: NodeLeaseOptions, entered: EnteredNamespace) {
    this.#options = options;
    this.#entered = entered;
    this.#renewedAtMs = entered.untilMs - defaults.leaseMs;
  }

  get epoch(): number {
    return this.#entered.epoch;
  }

  /** @throws TroupeError `UNAVAILABLE` while the epoch must not be used */
  demand(): void {
    if (!this.#lost && this.#options.clock.monotonic() < this.#entered.untilMs) return;
    const message = this.#lost
      ? 'another node has taken this namespace; this one ends'
      : 'this node was out of touch with the storage engine for longer than its lease; it is entering again';
    throw new TroupeError('UNAVAILABLE', message, { retryAfterMs: 1_000 });
  }

  /** Begins to renew. */
  keep(): void {
    this.#stop = this.#options.clock.every(lookMs, () => void this.#look());
  }

  /** Ends renewing. */
  stop(): void {
    this.#stop();
  }

  /** Gives the namespace back; nothing happens when it is not ours any more. */
  async leave(): Promise<void> {
    this.stop();
    if (!this.#lost) await this.#options.engine.nodes.leave(this.epoch);
  }

  async #look(): Promise<void> {
    const { clock, log } = this.#options;
    const askedAtMs = clock.monotonic();
    const due = askedAtMs >= Math.min(this.#renewedAtMs + defaults.leaseRenewMs, this.#entered.untilMs);
    if (!due || this.#busy || this.#lost) return;
    this.#busy = true;
    try {
      await this.#renew(askedAtMs);
      this.#renewedAtMs = askedAtMs;
    } catch (error) {
      log.debug({ error: textOf(error) }, 'the node lease could not be renewed; trying again');
    } finally {
      this.#busy = false;
    }
  }

  async #renew(askedAtMs: number): Promise<void> {
    const { engine, label, log, onLapsed, onEpoch, onLost } = this.#options;
    const { epoch } = this.#entered;
    // What has lapsed stays so, also where the clock of the engine goes back: nothing is written under it any more.
    if (this.#entered.untilMs !== lapsed) {
      if (await engine.nodes.renew(epoch, defaults.leaseMs)) {
        this.#entered = { epoch, untilMs: askedAtMs + defaults.leaseMs };
        return;
      }
      // Whoever enters next, be it this node without hearing of it, may close what is written under the epoch.
      this.#entered = { epoch, untilMs: lapsed };
      onLapsed();
    }
    const joined = await engine.nodes.join({ ttlMs: defaults.leaseMs, label, succeeds: epoch }).catch((error) => {
      // Each entry whose answer is lost may have taken the place anew.
      this.#unheard = {};
      throw error;
    });
    if ('epoch' in joined) {
      this.#unheard = undefined;
      log.warn({ epoch: joined.epoch }, 'the node lease had lapsed; the node goes on under a new epoch');
      this.#entered = { epoch: joined.epoch, untilMs: askedAtMs + defaults.leaseMs };
      onEpoch();
      return;
    }
    const { heldUntilMs } = joined;
    if (this.#unheard !== undefined && heldUntilMs === (this.#unheard.heldUntilMs ?? heldUntilMs)) {
      this.#unheard.heldUntilMs = heldUntilMs;
      return;
    }
    this.#lost = true;
    this.stop();
    log.error({ heldBy: joined.heldBy }, 'another node has taken this namespace');
    onLost(joined.heldBy);
  }
}
