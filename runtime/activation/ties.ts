/**
 * What a persistent actor is tied to: the children that it wants, and the lives that it watches. Its record keeps them,
 * so that its next life has the same children and hears of what ended meanwhile.
 *
 * Invariants:
 * 1. Rows change with a turn and are stored by its commit; what is then done about them may be repeated.
 * 2. Each wish for a child has a number that no other wish of this actor ever had, in any of its lives: a late or
 *    repeated order is told by it.
 * 3. The row of a watch goes with the commit of the turn that was told of the end, so that it is told of once.
 */

import { type Address, childOf, parseAddress } from '../address.ts';
import type { Effect, SpawnEffect, WatchEffect } from '../effects.ts';
import type { Cause } from '../host/causes.ts';
import { limits } from '../limits.ts';
import type { Presence } from '../supervision.ts';

/** A child that is wanted. */
export interface ChildRow {
  readonly name: string;
  readonly gen: number;
  readonly kind: string;
  readonly input?: unknown;
}

/** A life that is watched; incarnation 0: the next one. */
export interface WatchRow {
  readonly address: string;
  readonly incarnation: number;
  /** The process in which that life was: incarnations of ephemeral actors begin anew with each. */
  readonly session: string;
}

/** The ties of an actor, as stored. */
export interface TiesRow {
  /** Number of its last wish. */
  readonly lastGen: number;
  readonly children: readonly ChildRow[];
  readonly watches: readonly WatchRow[];
}

/** What ties need to know of those who live. */
export interface TiesPort {
  /** Names those who live now among all that ever did. */
  readonly session: string;
  presence(address: Address): Presence;
}

export class Ties {
  readonly #port: () => TiesPort;
  readonly #children: Map<string, ChildRow>;
  readonly #watches: Map<string, WatchRow>;
  #lastGen: number;
  /** Of their rows, as they are stored with each commit. */
  #childBytes = 0;
  #isChanged = false;

  constructor(port: () => TiesPort, stored: TiesRow | undefined) {
    this.#port = port;
    this.#children = new Map(stored?.children.map((row) => [row.name, row]));
    this.#watches = new Map(stored?.watches.map((row) => [row.address, row]));
    this.#lastGen = stored?.lastGen ?? 0;
    for (const row of this.#children.values()) this.#childBytes += bytesOf(row);
  }

  /** Whether there is something that is not stored yet; asking settles it. */
  takeChanged(): boolean {
    const isChanged = this.#isChanged;
    this.#isChanged = false;
    return isChanged;
  }

  /** The rows to be stored; `undefined` where there were never any. */
  row(): TiesRow | undefined {
    if (this.#lastGen === 0 && this.#watches.size === 0) return undefined;
    for (const row of this.#watches.values())
      if (row.incarnation === 0) this.#watches.set(row.address, this.#found(row));
    return { lastGen: this.#lastGen, children: [...this.#children.values()], watches: [...this.#watches.values()] };
  }

  /**
   * Notes what an effect of a turn changes; answers what is to be done after its commit, if anything.
   *
   * @throws RangeError when the actor would have too many children or watches, TroupeError `INVALID_ADDRESS`
   */
  take(effect: Effect): Effect | undefined {
    switch (effect.type) {
      case 'troupe.spawn':
        return this.#spawn(effect);
      case 'troupe.stop': {
        const row = this.#children.get(effect.name);
        if (row === undefined) return undefined;
        this.#drop(row);
        return { ...effect, gen: row.gen };
      }
      case 'troupe.watch':
        return this.#watch(effect);
      case 'troupe.unwatch':
        if (this.#watches.delete(effect.address)) this.#isChanged = true;
        return effect;
      default:
        return effect;
    }
  }

  /** A turn was told of the end of a watched life. */
  told(cause: Cause): void {
    if (cause.by !== 'watch') return;
    const watched = this.#watches.get(cause.address)?.incarnation;
    if (watched === undefined || (watched !== cause.incarnation && watched !== 0 && cause.incarnation !== 0)) return;
    this.#watches.delete(cause.address);
    this.#isChanged = true;
  }

  /** A child has ended for good by itself; answers whether it was wanted. */
  childEnded(name: string, gen: number): boolean {
    const row = this.#children.get(name);
    if (row?.gen !== gen) return false;
    this.#drop(row);
    return true;
  }

  /** What brings a new life to where the one before was. */
  resume(): Effect[] {
    const spawns = Array.from(this.#children.values(), (row): Effect => ({ type: 'troupe.spawn', ...row }));
    const watches = Array.from(this.#watches.values(), (row): Effect => watchOf(row));
    return [...spawns, ...watches];
  }

  #drop(row: ChildRow): void {
    this.#children.delete(row.name);
    this.#childBytes -= bytesOf(row);
    this.#isChanged = true;
  }

  #spawn(effect: SpawnEffect): Effect | undefined {
    const { name, kind, input } = effect;
    if (this.#children.has(name)) return undefined;
    childOf('/', name);
    const row: ChildRow = { name, gen: this.#lastGen + 1, kind, ...(input === undefined ? {} : { input }) };
    const bytes = this.#childBytes + bytesOf(row);
    if (this.#children.size >= limits.tiesPerActor || bytes > limits.payloadBytes)
      throw new RangeError(
        `a persistent actor has at most ${limits.tiesPerActor} spawned children, with ${limits.payloadBytes} bytes of input`,
      );
    this.#lastGen = row.gen;
    this.#childBytes = bytes;
    this.#children.set(name, row);
    this.#isChanged = true;
    return { ...effect, gen: row.gen };
  }

  #watch(effect: WatchEffect): Effect {
    const known = this.#watches.get(effect.address);
    if (known !== undefined) return watchOf(known);
    if (this.#watches.size >= limits.tiesPerActor)
      throw new RangeError(`an actor watches at most ${limits.tiesPerActor} lives`);
    const row = this.#found({ address: parseAddress(effect.address), incarnation: 0, session: this.#port().session });
    this.#watches.set(row.address, row);
    this.#isChanged = true;
    return watchOf(row);
  }

  /** Looks whether the life that is to come is there. */
  #found(row: WatchRow): WatchRow {
    const presence = this.#port().presence(row.address as Address);
    if (presence.state !== 'running') return row;
    return { ...row, incarnation: presence.incarnation, session: this.#port().session };
  }
}

function bytesOf(row: ChildRow): number {
  return Buffer.byteLength(JSON.stringify(row));
}

function watchOf({ address, incarnation, session }: WatchRow): WatchEffect {
  return { type: 'troupe.watch', address, ...(incarnation === 0 ? {} : { former: { incarnation, session } }) };
}
