/**
 * Takes the lease of one shard and keeps it, for as long as the node lives: acquire, hand over, renew, and begin again
 * when it was lost.
 */

import { type Clock, wait, within } from '../clock.ts';
import type { Engine, Lease } from '../engines/engine.ts';
import { textOf } from '../errors.ts';
import { defaults } from '../limits.ts';
import type { Log } from '../log.ts';

export interface LeaseKeeperOptions {
  readonly shard: string;
  readonly engine: Engine;
  readonly clock: Clock;
  readonly log: Log;
  /** This process's node epoch, and the dead node whose leases it may take at once. */
  readonly node: () => number;
  readonly succeeds: number | undefined;
  /** How many commits the shard has had, as far as they are confirmed. */
  readonly seq: () => number;
  /** The lease is ours: load what it covers. @throws what the engine says; the lease is then asked for anew */
  readonly onAcquired: (lease: Lease) => Promise<void>;
  /** The lease was renewed; not called when it was lost meanwhile. @throws what the engine says */
  readonly onRenewed: (lease: Lease) => Promise<void>;
  /** Called about every second while the lease is ours. */
  readonly onTick: () => void;
  /** The lease is not ours any more; called at least once for each that was acquired and not released. */
  readonly onLost: () => void;
}

const tickMs = defaults.fetchPollMs / 2;

export class LeaseKeeper {
  readonly #options: LeaseKeeperOptions;
  #lease: Lease | undefined;
  /** Of the lease that was acquired last. */
  #nonce: string | undefined;
  /** The node epoch under which it was asked for last, and the one before. */
  #epoch: number | undefined;
  #formerEpoch: number | undefined;
  #engineOffsetMs = 0;
  /** Monotonic time after which the lease may have ended. */
  #untilMs = 0;
  #closing = false;
  #kept: Promise<void> | undefined;
  #wake: () => void = () => undefined;

  constructor(options: LeaseKeeperOptions) {
    this.#options = options;
  }

  /** Engine time, milliseconds. */
  now(): number {
    return this.#options.clock.monotonic() + this.#engineOffsetMs;
  }

  open(): void {
    this.#kept = this.#keep();
  }

  /** The lease is worthless: a commit under it was refused. Asks for a new one. */
  forget(): void {
    this.#lease = undefined;
    this.#wake();
  }

  /** Takes and renews nothing from now on; resolves when nothing is under way. */
  async stop(): Promise<void> {
    this.#closing = true;
    this.#wake();
    await this.#kept;
  }

  /** Gives the lease back in order, within the time. */
  async release(withinMs: number): Promise<void> {
    const lease = this.#lease;
    if (lease === undefined) return;
    this.#lease = undefined;
    const { engine, clock, shard } = this.#options;
    const released = engine.leases.release(shard, lease.nonce).catch(() => undefined);
    await within(clock, withinMs, released);
  }

  async #keep(): Promise<void> {
    const { shard, engine, clock, log, node, succeeds } = this.#options;
    for (let attempt = 0; !this.#closing; attempt++) {
      try {
        const ours = this.#ours(succeeds, node());
        const askedAtMs = clock.monotonic();
        const answer = await engine.leases.acquire(shard, {
          node: node(),
          ttlMs: defaults.leaseMs,
          succeeds: ours[attempt % ours.length] as number,
          ...(this.#nonce === undefined ? {} : { held: this.#nonce }),
        });
        if (!('nonce' in answer)) {
          await this.#pause(Math.min(1_000, Math.max(50, answer.heldUntilMs - answer.engineNowMs)));
          continue;
        }
        this.#lease = answer;
        this.#nonce = answer.nonce;
        this.#learn(answer.engineNowMs, askedAtMs);
        await this.#options.onAcquired(answer);
        await this.#renewUntilLost(answer);
      } catch (error) {
        log.warn({ shard, error: textOf(error) }, 'the shard could not be taken; trying again');
        this.#lose();
        await this.#pause(500);
      }
    }
  }

  async #renewUntilLost(lease: Lease): Promise<void> {
    const { shard, engine, clock, log } = this.#options;
    let sinceRenewalMs = 0;
    while (this.#lease === lease && !this.#closing) {
      await this.#pause(tickMs);
      if (this.#lease !== lease || this.#closing) return;
      this.#options.onTick();
      sinceRenewalMs += tickMs;
      if (sinceRenewalMs < defaults.leaseRenewMs) continue;
      sinceRenewalMs = 0;
      const askedAtMs = clock.monotonic();
      const seq = this.#options.seq();
      try {
        const renewed = await engine.leases.renew(shard, lease.nonce, defaults.leaseMs);
        if (this.#lease !== lease) return;
        if (renewed === undefined) {
          log.warn({ shard }, 'the lease was lost');
          return this.#lose();
        }
        // A shard that commits learns it by a refusal; one that does not would go on with what is not stored any more.
        if (renewed.seq < seq) {
          log.error({ shard, seq, found: renewed.seq }, 'the storage engine lost commits of this shard');
          return this.#lose();
        }
        this.#learn(renewed.engineNowMs, askedAtMs);
        await this.#options.onRenewed(lease);
      } catch (error) {
        log.debug({ shard, error: textOf(error) }, 'renewal failed');
        if (clock.monotonic() <= this.#untilMs || this.#lease !== lease) continue;
        log.warn({ shard }, 'the lease could not be renewed in time');
        return this.#lose();
      }
    }
  }

  /**
   * Epochs whose lease may be taken at once, being nobody else's: dropped by us, or given by an answer that was lost, also
   * to a request that came late, when its epoch had lapsed.
   */
  #ours(succeeds: number | undefined, epoch: number): number[] {
    if (epoch !== this.#epoch) [this.#epoch, this.#formerEpoch] = [epoch, this.#epoch];
    return [succeeds, epoch, this.#formerEpoch].filter((one) => one !== undefined);
  }

  #learn(engineNowMs: number, askedAtMs: number): void {
    this.#engineOffsetMs = engineNowMs - this.#options.clock.monotonic();
    this.#untilMs = askedAtMs + defaults.leaseMs;
  }

  #lose(): void {
    this.#lease = undefined;
    this.#options.onLost();
  }

  /** Waits, but wakes when the lease was given up. */
  async #pause(delayMs: number): Promise<void> {
    const wake = new AbortController();
    this.#wake = () => wake.abort();
    await wait(this.#options.clock, delayMs, wake.signal).catch(() => undefined);
  }
}
