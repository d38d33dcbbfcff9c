/**
 * What the stored states of actors hold: each message once, in its order, and never less than before.
 */

import { type Run, type Runs, runsOf } from '../torture/runs.ts';
import type { Channels } from './channels.ts';
import { decodedActor, keyOf } from './stored.ts';
import type { Violations } from './verdict.ts';

/**
 * How a sender signs what is not judged like the rest. Suffixes: ephemeral messages, repeats of an invocation, delayed
 * messages, which keep no order, and those that may be set aside, which keep it among themselves. Prefix: all messages
 * of one idempotency key.
 */
export const senders = { ephemeral: '?', repeating: '??', unordered: '~', waiting: '=', keyed: 'key ' } as const;

export class States {
  readonly #violations: Violations;
  readonly #channels: Channels;
  readonly #shardOf: (address: string) => string;
  readonly #applied = new Set<string>();
  readonly #replayed = new Set<string>();
  readonly #runs = new Map<string, Runs>();
  /** The last number of a sender on one channel that an actor applied. */
  readonly #last = new Map<string, number>();

  constructor(violations: Violations, channels: Channels, shardOf: (address: string) => string) {
    this.#violations = violations;
    this.#channels = channels;
    this.#shardOf = shardOf;
  }

  get addresses(): readonly string[] {
    return [...this.#runs.keys()];
  }

  /** Whether a stored state holds this message. */
  holds(key: string): boolean {
    return this.#applied.has(key);
  }

  /** This message was a dead letter, and is sent again: it keeps no order. */
  replayed(key: string | undefined): void {
    if (key !== undefined) this.#replayed.add(key);
  }

  wasReplayed(key: string): boolean {
    return this.#replayed.has(key);
  }

  /** An actor's state was written; gives the keys that are new in it. */
  changed(address: string, text: string): string[] {
    const runs = decodedActor(text)?.runs ?? {};
    const before = this.#runs.get(address) ?? {};
    const fresh: string[] = [];
    this.#runs.set(address, runs);
    for (const sender of Object.keys(before)) if (runs[sender] === undefined) this.#lost(address, sender);
    for (const [sender, list] of Object.entries(runs)) {
      if (list === before[sender]) continue;
      const added = addedTo(runsOf(before[sender]), runsOf(list));
      if (added === undefined) this.#lost(address, sender);
      for (const n of added ?? []) {
        const key = keyOf(address, sender, n);
        fresh.push(key);
        this.#apply(address, sender, n, key);
      }
    }
    return fresh;
  }

  /** The engine took back what these actors had stored. */
  rolledBack(shard: string, stored: (address: string) => string | undefined): void {
    for (const [address, runs] of [...this.#runs]) {
      if (this.#shardOf(address) !== shard) continue;
      for (const [sender, list] of Object.entries(runs))
        for (const n of addedTo([], runsOf(list)) ?? []) this.#applied.delete(keyOf(address, sender, n));
      for (const place of [...this.#last.keys()]) if (place.startsWith(`${address} `)) this.#last.delete(place);
      this.#runs.delete(address);
      const text = stored(address);
      if (text !== undefined) this.changed(address, text);
    }
  }

  #apply(address: string, sender: string, n: number, key: string): void {
    const isReplayed = this.#replayed.has(key);
    // Where the replay was taken back, the letter is there once more.
    const doubtful = this.isDoubtful(sender) || (isReplayed && this.#channels.wasRolledBack(this.#shardOf(address)));
    if (this.#applied.has(key) && !doubtful && !sender.endsWith(senders.repeating))
      this.#violations.add(sender.startsWith(senders.keyed) ? 'idempotency' : 'once', `${key} was applied twice`);
    this.#applied.add(key);
    if (isReplayed) return;
    // Channels of one node's epochs have no order between them; a relay is another sender after each restart.
    const place = `${address} ${sender} ${this.#channels.writerOf(key)}`;
    const last = this.#last.get(place) ?? -1;
    this.#last.set(place, n);
    const ordered =
      !sender.startsWith('relay') && !sender.endsWith(senders.repeating) && !sender.endsWith(senders.unordered);
    if (n < last && ordered && !doubtful) this.#violations.add('order', `${key} was applied after #${last}`);
  }

  /** A sender whose own state was rolled back has told its numbers before. */
  isDoubtful(sender: string): boolean {
    if (sender.startsWith('/')) return this.#channels.wasRolledBack(this.#shardOf(sender));
    return sender.startsWith('relay') && this.#channels.wasRolledBack(this.#shardOf('/relay'));
  }

  #lost(address: string, sender: string): void {
    this.#violations.add('once', `the stored state of ${address} lost what it held of ${sender}`);
  }
}

/** The numbers that runs have gained at their end; `undefined` when something else changed. */
function addedTo(before: readonly Run[], now: readonly Run[]): number[] | undefined {
  const added: number[] = [];
  for (const [index, [first, upTo]] of now.entries()) {
    const known = before[index];
    if (known === undefined) for (let n = first; n <= upTo; n += 1) added.push(n);
    else if (known[0] !== first || upTo < known[1]) return undefined;
    else if (upTo > known[1]) {
      if (index < before.length - 1) return undefined;
      for (let n = known[1] + 1; n <= upTo; n += 1) added.push(n);
    }
  }
  return now.length < before.length ? undefined : added;
}
