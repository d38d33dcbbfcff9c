/**
 * Idempotency keys: of the messages to an address under one key, the first to come claims the key, and only it is ever
 * handled. The claim is a commit of its own, before the message is queued; so two of one key can't both be applied, and a
 * message that comes again after a kill finds its own claim.
 *
 * A key is looked up before the messages behind it go on: they wait in line, and order stays.
 */

import type { Address } from '../address.ts';
import { type Clock, wait } from '../clock.ts';
import type { ShardStore, StoreOperation } from '../engines/engine.ts';
import type { MessageKey } from '../envelope.ts';
import { defaults, limits } from '../limits.ts';
import type { Mail } from './mail.ts';
import { expiryMember } from './results.ts';

interface Claim {
  readonly hash: string;
  /** Of the message that has the key. */
  readonly id: string;
}

export interface KeyGateOptions {
  readonly shard: string;
  readonly store: ShardStore;
  readonly clock: Clock;
  /** Engine time, milliseconds. */
  readonly now: () => number;
  readonly commit: (operations: StoreOperation[]) => void;
  /** The message may be handled. */
  readonly onPass: (mail: Mail) => void;
  /** The message repeats the one of this id. */
  readonly onRepeat: (mail: Mail, first: string) => void;
  /** The key stands for another message. */
  readonly onMisuse: (mail: Mail) => void;
}

const retryMs = 200;

const rowOf = (to: Address, { name }: MessageKey): string => `${to} ${name}`;

export class KeyGate {
  readonly #options: KeyGateOptions;
  /** Messages behind a lookup, by address. */
  readonly #lines = new Map<Address, Mail[]>();
  /** Claims that were met lately; those that are not stored yet are always among them. */
  readonly #known = new Map<string, Claim>();
  #open = true;

  constructor(options: KeyGateOptions) {
    this.#options = options;
  }

  close(): void {
    this.#open = false;
  }

  /** Whether a key was met lately. */
  knows(to: Address, key: MessageKey): boolean {
    return this.#known.has(rowOf(to, key));
  }

  /** Lets mail pass in order, each key once. */
  arrived(mail: Mail): void {
    const line = this.#lines.get(mail.envelope.to);
    if (line !== undefined) line.push(mail);
    else if (mail.envelope.key === undefined) this.#options.onPass(mail);
    else {
      this.#lines.set(mail.envelope.to, [mail]);
      void this.#work(mail.envelope.to);
    }
  }

  async #work(address: Address): Promise<void> {
    const line = this.#lines.get(address) ?? [];
    for (let mail = line.shift(); mail !== undefined && this.#open; mail = line.shift()) {
      const { key } = mail.envelope;
      if (key === undefined) this.#options.onPass(mail);
      else await this.#decide(mail, key);
    }
    this.#lines.delete(address);
  }

  async #decide(mail: Mail, key: MessageKey): Promise<void> {
    const { onPass, onRepeat, onMisuse } = this.#options;
    const { id, to } = mail.envelope;
    const row = rowOf(to, key);
    const claim = this.#known.get(row) ?? (await this.#stored(row));
    if (!this.#open) return;
    if (claim === undefined) this.#claim(row, { hash: key.hash, id });
    else this.#remember(row, claim);
    if (claim === undefined || claim.id === id) onPass(mail);
    else if (claim.hash === key.hash) onRepeat(mail, claim.id);
    else onMisuse(mail);
  }

  #claim(row: string, claim: Claim): void {
    this.#remember(row, claim);
    const expiresAtMs = this.#options.now() + defaults.resultKeptMs;
    this.#options.commit([
      { op: 'put', table: 'idem', key: row, value: JSON.stringify(claim) },
      { op: 'rank', index: 'expiry', member: expiryMember('idem', row), score: expiresAtMs },
    ]);
  }

  #remember(row: string, claim: Claim): void {
    this.#known.delete(row);
    this.#known.set(row, claim);
    const [oldest] = this.#known.keys();
    if (this.#known.size > limits.rememberedKeys && oldest !== undefined) this.#known.delete(oldest);
  }

  /** Asks until the engine answers: to guess would apply a message twice. */
  async #stored(row: string): Promise<Claim | undefined> {
    const { store, shard, clock } = this.#options;
    while (this.#open) {
      try {
        const text = await store.get(shard, 'idem', row);
        return text === undefined ? undefined : (JSON.parse(text) as Claim);
      } catch {
        await wait(clock, retryMs);
      }
    }
    return undefined;
  }
}
