/**
 * Blame for what kills the whole process: nobody is left then to say which message was in hand. After two take-overs in
 * a row whose former owner had died, the messages that may have been in hand are handled one at a time on the node, each
 * named in a row before its turn and struck out by the commit that takes it. Whoever finds a name there after a death
 * charges an attempt to that message, and to no other.
 *
 * Only messages are tried: a timer or a started invocation that kills its process is charged to nobody.
 */

import type { Address } from '../address.ts';
import type { Lease, ShardStore, StoreOperation } from '../engines/engine.ts';
import type { Mail } from './mail.ts';

/** Take-overs in a row, each after a death, from which on messages are tried. */
const trialFrom = 2;

interface TrialRow {
  readonly address: Address;
  readonly id: string;
}

/** Lets one trial turn run at a time on this node. */
export class TrialGate {
  readonly #waiting: (() => void)[] = [];
  #busy = false;

  /** Calls back when it is this one's turn; it ends with `leave`. */
  enter(run: () => void): void {
    this.#waiting.push(run);
    if (!this.#busy) this.#next();
  }

  leave(): void {
    this.#next();
  }

  #next(): void {
    const run = this.#waiting.shift();
    this.#busy = run !== undefined;
    run?.();
  }
}

export interface TrialOptions {
  readonly lease: Lease;
  readonly gate: TrialGate;
  readonly commit: (operations: readonly StoreOperation[], onCommitted?: () => void) => void;
}

/** What the store says of it. */
export interface TrialMemory {
  /** The count of take-overs at which all that may have been in hand had been handled. */
  readonly forgiven: number;
  readonly suspect: TrialRow | undefined;
}

/** @throws what the engine says */
export async function readTrialMemory(store: ShardStore, shard: string): Promise<TrialMemory> {
  const forgiven = await store.get(shard, 'meta', 'forgiven');
  const suspect = await store.get(shard, 'meta', 'trial');
  return {
    forgiven: Number(forgiven ?? 0),
    suspect: suspect === undefined ? undefined : (JSON.parse(suspect) as TrialRow),
  };
}

/** What the commit holds that decides the fate of a tried message. */
export const strikeOut: StoreOperation = { op: 'delete', table: 'meta', key: 'trial' };

/** The trials of one shard under one lease. */
export class Trial {
  readonly #options: TrialOptions;
  readonly #isDue: boolean;
  /** A name is left of a life that ended in order, or goes on. */
  readonly #isStale: boolean;
  #suspect: TrialRow | undefined;
  /** What may have been in hand when the former owner ended: mail, and addresses whose rows are not read yet. */
  readonly #candidates = new Set<Mail>();
  readonly #unread = new Set<Address>();
  #state: 'before' | 'begun' | 'over' = 'before';

  constructor(options: TrialOptions, { forgiven, suspect }: TrialMemory) {
    this.#options = options;
    const { clean, uncleanInRow } = options.lease;
    this.#suspect = clean ? undefined : suspect;
    this.#isStale = clean && suspect !== undefined;
    this.#isDue = uncleanInRow - (forgiven <= uncleanInRow ? forgiven : 0) >= trialFrom;
  }

  /** Whether messages are handled one at a time. */
  get isOn(): boolean {
    return this.#isDue && this.#state !== 'over';
  }

  /** The shard is taken over: this mail was adopted, and these addresses have parked mail that may be handled. */
  begin(adopted: readonly Mail[], parked: readonly Address[]): void {
    this.#state = 'begun';
    if (this.#isStale) this.#options.commit([strikeOut]);
    for (const mail of adopted) this.#candidates.add(mail);
    for (const address of parked) this.#unread.add(address);
    this.#endIfNothingIsLeft();
  }

  /** The first rows of an address were read. */
  read(address: Address, mails: readonly Mail[]): void {
    if (this.#unread.delete(address)) for (const mail of mails) this.#candidates.add(mail);
  }

  /** Mail went back to its rows. */
  forgotten(address: Address, mails: readonly Mail[]): void {
    if (mails.some((mail) => this.#candidates.delete(mail))) this.#unread.add(address);
    for (const mail of mails) this.#candidates.delete(mail);
  }

  /** The fate of mail is being committed, or it is in the hand of nobody. */
  taken(mails: readonly Mail[]): void {
    for (const mail of mails) this.#candidates.delete(mail);
    this.#endIfNothingIsLeft();
  }

  /** Whether this message was in hand at the last death. It is asked once, and the name is struck out. */
  takeSuspect({ envelope }: Mail): boolean {
    if (this.#suspect?.id !== envelope.id) return false;
    this.#suspect = undefined;
    return true;
  }

  /** Waits until nothing else is tried on this node. It ends with `left`. */
  enter(run: () => void): void {
    this.#options.gate.enter(run);
  }

  /** Names the message that is to be tried; calls back when that is stored. */
  name({ envelope }: Mail, onStored: () => void): void {
    const row: TrialRow = { address: envelope.to, id: envelope.id };
    this.#options.commit([{ op: 'put', table: 'meta', key: 'trial', value: JSON.stringify(row) }], onStored);
  }

  /** The trial is over, or nothing was there to try. */
  left(): void {
    this.#options.gate.leave();
  }

  #endIfNothingIsLeft(): void {
    if (this.#state !== 'begun' || this.#candidates.size + this.#unread.size > 0) return;
    this.#state = 'over';
    const { commit, lease } = this.#options;
    if (lease.uncleanInRow > 0)
      commit([{ op: 'put', table: 'meta', key: 'forgiven', value: String(lease.uncleanInRow) }]);
  }
}
