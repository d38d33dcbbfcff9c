import type { DeadLetter } from '../../runtime/mailbox/dead-letters.ts';
import type { Channels } from './channels.ts';
import { senders } from './states.ts';
import { arrivalOf, type StoredShard } from './stored.ts';
import type { Violations } from './verdict.ts';

/** These stand for work, for a gap, or for what may be a copy: their messages may have been applied. */
const others: ReadonlySet<string> = new Set(['WORK_FAILED', 'LOST', 'STALE_WRITER']);

/** What became a dead letter was not applied, before or after, unless it was replayed; nobody replays in a simulation. */
export class Letters {
  readonly #violations: Violations;
  readonly #channels: Channels;
  /** Ids of the letters by what their messages would leave in a state. */
  readonly #ids = new Map<string, string>();

  constructor(violations: Violations, channels: Channels) {
    this.#violations = violations;
    this.#channels = channels;
  }

  /** A letter was written; `isApplied` tells whether a stored state holds a message. */
  written(shard: string, text: string, isApplied: (key: string) => boolean): void {
    const { envelope, reason } = JSON.parse(text) as DeadLetter;
    const { id, key } = arrivalOf(envelope);
    if (others.has(reason) || key === undefined || repeats(key)) return;
    this.#ids.set(key, id);
    if (isApplied(key) && !this.#channels.wasRolledBack(shard))
      this.#violations.add('letter', `${key} became a letter (${reason}), though it was applied`);
  }

  /** A state was written that holds this message. */
  applied(shard: string, key: string, stored: StoredShard | undefined): void {
    const id = this.#ids.get(key);
    if (id === undefined || this.#channels.wasRolledBack(shard)) return;
    if (stored?.tables.get('dead')?.has(id) === true)
      this.#violations.add('letter', `${key} was applied, though it is a dead letter`);
  }
}

/** Of a repeat one may be applied and the other a letter. */
function repeats(key: string): boolean {
  return key.includes(` ${senders.keyed}`) || key.includes(`${senders.ephemeral}#`);
}
