import type { DeadLetter } from '../../runtime/mailbox/dead-letters.ts';
import type { Channels } from './channels.ts';
import { type States, senders } from './states.ts';
import { arrivalOf, type StoredShard } from './stored.ts';
import type { Violations } from './verdict.ts';

/** These stand for work, for a gap, or for what may be a copy: their messages may have been applied. */
const others: ReadonlySet<string> = new Set(['WORK_FAILED', 'LOST', 'STALE_WRITER']);

/** What became a dead letter was not applied, before or after, unless it was replayed. */
export class Letters {
  readonly #violations: Violations;
  readonly #channels: Channels;
  /** Ids of the letters by what their messages would leave in a state. */
  readonly #ids = new Map<string, { readonly id: string; readonly sender: string }>();
  readonly #states: States;
  readonly #keys = new Map<string, string>();
  readonly #reasons = new Map<string, string>();

  constructor(violations: Violations, channels: Channels, states: States) {
    this.#violations = violations;
    this.#channels = channels;
    this.#states = states;
  }

  /** A letter was written. */
  written(shard: string, text: string): void {
    const { envelope, reason } = JSON.parse(text) as DeadLetter;
    const { id, key } = arrivalOf(envelope);
    if (others.has(reason) || key === undefined || repeats(key)) return;
    const { sender } = envelope.payload as { readonly sender: string };
    this.#ids.set(key, { id, sender });
    this.#keys.set(id, key);
    this.#reasons.set(key, reason);
    if (this.#states.holds(key) && !this.#isDoubtful(shard, sender))
      this.#violations.add('letter', `${key} became a letter (${reason}), though it was applied`);
  }

  /** Why this message became a dead letter, the last time. */
  reasonOf(key: string): string | undefined {
    return this.#reasons.get(key);
  }

  /** A letter is gone, and its message sent again: answers with what that would leave in a state. */
  replayed(id: string): string | undefined {
    const key = this.#keys.get(id);
    if (key !== undefined) this.#ids.delete(key);
    return key;
  }

  /** A state was written that holds this message. */
  applied(shard: string, key: string, stored: StoredShard | undefined): void {
    const letter = this.#ids.get(key);
    if (letter === undefined || this.#isDoubtful(shard, letter.sender)) return;
    if (stored?.tables.get('dead')?.has(letter.id) === true)
      this.#violations.add('letter', `${key} was applied, though it is a dead letter`);
  }

  /** What the engine took back may have been told again, under another id. */
  #isDoubtful(shard: string, sender: string): boolean {
    return this.#channels.wasRolledBack(shard) || this.#states.isDoubtful(sender);
  }
}

/** Of a repeat one may be applied and the other a letter. */
function repeats(key: string): boolean {
  return key.includes(` ${senders.keyed}`) || key.includes(`${senders.ephemeral}#`);
}
