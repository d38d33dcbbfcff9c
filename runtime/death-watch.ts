/**
 * Death watch: an actor that watches an address hears, once, when the life that is there ends: the event
 * `troupe.terminated` with the address, the incarnation and the cause.
 *
 * It is a monitor as Erlang has them:
 * 1. One life is watched. Each end of it counts, a restart too; who wants to hear of the next life watches again.
 * 2. A watch of an address with nobody at it is answered at once, cause `absent`. Between two lives it is of the next.
 * 3. Watching what is watched already changes nothing; after `unwatch` no event of that watch is begun, though one may
 *    be on its way.
 * 4. An actor that is put to sleep is not ended, and a watch starts nobody.
 * 5. The watches of an ephemeral actor end with its own life. Those of a persistent one are part of its record and are
 *    taken up by its next life, which hears of what ended meanwhile, cause `unseen`; one that sleeps is awakened for it.
 *    The event is a turn, and its commit ends the watch: what is not committed is told of again.
 */

import type { Address } from './address.ts';
import type { FormerLife } from './effects.ts';
import { limits } from './limits.ts';
import type { Log } from './log.ts';
import type { LifeNews, Lives, Presence, TerminationCause } from './supervision.ts';

/** The end of a watched life. */
export interface Termination {
  readonly address: string;
  /** 0 where there was none. */
  readonly incarnation: number;
  readonly cause: TerminationCause;
}

/** What the logic of a watcher receives. */
export interface TerminatedEvent extends Termination {
  readonly type: 'troupe.terminated';
}

export interface DeathWatchOptions {
  readonly lives: () => Lives | undefined;
  /** Hands the end of a life to a watcher, if that lives. */
  readonly tell: (watcher: Address, termination: Termination) => void;
  /** A child that an actor had spawned has ended for good by itself; `gen`: the wish that it came from. */
  readonly childEnded: (child: Address, gen: number) => void;
  readonly log: Log;
}

/** The watchers of one address, with the incarnation that each watches; `undefined` while that is to come. */
type Watchers = Map<Address, number | undefined>;

export class DeathWatch {
  readonly #options: DeathWatchOptions;
  readonly #byTarget = new Map<Address, Watchers>();
  readonly #byWatcher = new Map<Address, Set<Address>>();
  /** Addresses of which a life to come is watched. */
  readonly #coming = new Set<Address>();
  #lives: Lives | undefined;

  constructor(options: DeathWatchOptions) {
    this.#options = options;
  }

  /** Names those who live now among all that ever did. */
  get session(): string {
    return this.listen()?.session ?? '';
  }

  /** Who is at an address now. */
  presence(target: Address): Presence {
    return this.listen()?.presence(target) ?? { state: 'absent' };
  }

  /**
   * Begins a watch of the life at `target`.
   *
   * @param former the life that is meant, where the watch began before: in a former life of the watcher, say
   */
  watch(watcher: Address, target: Address, former?: FormerLife): void {
    this.listen();
    if (this.#byTarget.get(target)?.has(watcher) === true) return;
    const presence = this.presence(target);
    const isRunning = presence.state === 'running';
    const isThere = former?.session === this.session && isRunning && presence.incarnation === former.incarnation;
    if (former !== undefined && !isThere)
      this.#options.tell(watcher, { address: target, incarnation: former.incarnation, cause: 'unseen' });
    else if (presence.state === 'absent')
      this.#options.tell(watcher, { address: target, incarnation: 0, cause: 'absent' });
    else this.#enter(watcher, target, isRunning ? presence.incarnation : undefined);
  }

  #enter(watcher: Address, target: Address, incarnation: number | undefined): void {
    const targets = this.#byWatcher.get(watcher) ?? new Set();
    if (targets.size >= limits.tiesPerActor) {
      const { log } = this.#options;
      log.warn({ watcher, target, limit: limits.tiesPerActor }, 'an actor watches too many: this watch did not begin');
      return;
    }
    this.#byWatcher.set(watcher, targets.add(target));
    const watchers: Watchers = this.#byTarget.get(target) ?? new Map();
    this.#byTarget.set(target, watchers.set(watcher, incarnation));
    if (incarnation === undefined) this.#coming.add(target);
  }

  unwatch(watcher: Address, target: Address): void {
    const targets = this.#byWatcher.get(watcher);
    if (targets?.delete(target) === true && targets.size === 0) this.#byWatcher.delete(watcher);
    const watchers = this.#byTarget.get(target);
    if (watchers?.delete(watcher) !== true || watchers.size > 0) return;
    this.#byTarget.delete(target);
    this.#coming.delete(target);
  }

  /** How many watches there are. */
  get size(): number {
    return [...this.#byTarget.values()].reduce((sum, watchers) => sum + watchers.size, 0);
  }

  /** Hears of each life from now on, if that is possible yet. */
  listen(): Lives | undefined {
    if (this.#lives === undefined) {
      this.#lives = this.#options.lives();
      this.#lives?.onLife((news) => this.#hear(news));
    }
    return this.#lives;
  }

  #hear({ type, address, role, incarnation, cause, gen }: LifeNews): void {
    const at = address as Address;
    if (gen !== undefined) this.#options.childEnded(at, gen);
    if (type === 'started') this.#bind(at, incarnation);
    else {
      for (const target of [...(this.#byWatcher.get(at) ?? [])]) this.unwatch(at, target);
      this.#fire(at, cause ?? 'stopped', (watched) => watched !== undefined && watched <= incarnation);
    }
    // What stood below it may have gone without a word of its own, or will not come after all.
    const below = type === 'ended' && role !== 'actor' ? this.#byTarget.keys() : this.#coming;
    for (const target of [...below]) if (target === at || target.startsWith(`${at}/`)) this.#look(target);
  }

  /** The life to come that is watched has begun. */
  #bind(target: Address, incarnation: number): void {
    if (!this.#coming.delete(target)) return;
    const watchers = this.#byTarget.get(target);
    for (const [watcher, watched] of watchers ?? []) if (watched === undefined) watchers?.set(watcher, incarnation);
  }

  /** Ends the watches of lives that are not there any more. */
  #look(target: Address): void {
    const presence = this.#lives?.presence(target);
    if (presence === undefined) return;
    const { state } = presence;
    this.#fire(target, 'stopped', (watched) => {
      if (watched === undefined) return state === 'absent';
      return state !== 'running' || watched !== presence.incarnation;
    });
  }

  #fire(target: Address, cause: TerminationCause, isOver: (watched: number | undefined) => boolean): void {
    for (const [watcher, watched] of [...(this.#byTarget.get(target) ?? [])]) {
      if (!isOver(watched)) continue;
      this.unwatch(watcher, target);
      const termination: Termination = {
        address: target,
        incarnation: watched ?? 0,
        cause: watched ? cause : 'absent',
      };
      this.#options.tell(watcher, termination);
    }
  }
}
