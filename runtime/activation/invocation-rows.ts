import type { Address } from '../address.ts';
import type { Effect } from '../effects.ts';
import type { Envelope } from '../envelope.ts';
import type { ErrorData } from '../errors.ts';
import type { OpenInvocation, StepRecord } from '../host/messages.ts';
import { defaults } from '../limits.ts';
import type { DeadLetter } from '../mailbox/dead-letters.ts';
import type { Attempted, Mail } from '../mailbox/mail.ts';
import { jsonBytes } from './turn-size.ts';

/** An open invocation as the record of its actor holds it. */
export interface InvocationRow extends Omit<OpenInvocation, 'bytes' | 'message'> {
  /** The message that it goes back to, where there is one. */
  readonly message?: Pick<Envelope, 'id' | 'type' | 'from'>;
  /** That message has its answer. */
  readonly answered?: boolean;
  /** Its failures that the logic did not handle. */
  readonly errors: readonly Attempted[];
}

/** What a failure put an end to; nothing where it is tried again. */
export interface GivenUp {
  readonly letter?: DeadLetter;
  /** Id of the message that it goes back to, and that has no answer yet. */
  readonly unanswered?: string;
}

/** The open invocations of a persistent actor, on their way to its record. */
export class InvocationRows {
  readonly #address: Address;
  readonly #rows: Map<string, InvocationRow>;
  readonly #unbegun: ReadonlySet<string>;

  /**
   * @param stored those of the life before: each of them begins another attempt
   * @param unbegun except these
   */
  constructor(address: Address, stored: readonly InvocationRow[], unbegun: ReadonlySet<string>) {
    this.#address = address;
    this.#unbegun = unbegun;
    const attemptOf = ({ id, attempt }: InvocationRow): number => (unbegun.has(id) ? attempt : attempt + 1);
    this.#rows = new Map(stored.map((row) => [row.id, { ...row, attempt: attemptOf(row) }]));
  }

  list(): InvocationRow[] {
    return [...this.#rows.values()];
  }

  /** What a new life is to be told of them. */
  open(): OpenInvocation[] {
    return this.list().map((row) => {
      const { errors: _, answered: __, message, ...open } = row;
      const unbegun = this.#unbegun.has(row.id) ? ({ unbegun: true } as const) : {};
      return { ...open, ...unbegun, bytes: jsonBytes(row), ...(message === undefined ? {} : { message: message.id }) };
    });
  }

  /** Sources of those that the life before had begun and that are to go on. */
  begunBefore(): string[] {
    return this.list().flatMap(({ id, src, struck }) => (struck || this.#unbegun.has(id) ? [] : src));
  }

  /** Whether this one is open, and not given up. */
  goesOn(id: string): boolean {
    const row = this.#rows.get(id);
    return row !== undefined && !row.struck;
  }

  /** Whether one of them goes on. */
  some(): boolean {
    return this.list().some(({ struck }) => !struck);
  }

  /** A turn is recorded; `mail` was in hand. Answers whether something is to be stored. */
  step({ cause, invoked = [], concluded = [], effects }: StepRecord, mail: Mail | undefined): boolean {
    const former = cause.by === 'invocation' ? this.#rows.get(cause.invocation ?? '') : undefined;
    for (const id of concluded) this.#rows.delete(id);
    for (const { name, src, id, sent, attempt } of invoked) {
      const message = mail === undefined ? former?.message : referenceTo(mail);
      const answered = mail === undefined && former?.answered;
      this.#rows.set(id, {
        name,
        src,
        id,
        sent,
        attempt,
        ...(message === undefined ? {} : { message }),
        ...(answered ? { answered } : {}),
        errors: [],
      });
    }
    const isHeard = this.#rows.size > 0 && effects.filter((effect) => this.#heard(effect)).length > 0;
    return isHeard || invoked.length + concluded.length > 0;
  }

  /** Charges a failure to the invocation that it came from; `undefined` where that is none of a sender's. */
  charge(id: string, error: ErrorData, nowMs: number): GivenUp | undefined {
    const row = this.#rows.get(id);
    if (!row?.sent || row.struck) return undefined;
    const { name, src, message, answered } = row;
    const errors = [...row.errors, { atMs: nowMs, message: `invocation "${name}": ${error.message}` }];
    if (errors.length < defaults.messageAttempts) {
      this.#rows.set(id, { ...row, errors });
      return {};
    }
    this.#rows.set(id, { name, src, id, sent: true, attempt: row.attempt, struck: true, errors: [] });
    const envelope: Envelope = {
      id,
      to: this.#address,
      type: message?.type ?? 'troupe.invocation',
      payload: { invocation: name, ...(message === undefined ? {} : { message: message.id }) },
      delivery: 'at-least-once',
      attempt: 1,
      ...(message?.from === undefined ? {} : { from: message.from }),
    };
    const letter: DeadLetter = { envelope, reason: 'WORK_FAILED', errors, atMs: nowMs };
    return { letter, ...(message === undefined || answered ? {} : { unanswered: message.id }) };
  }

  /** Notes an answer that was given in a turn; whether it was one to the message of an open invocation. */
  #heard(effect: Effect): boolean {
    if (effect.type !== 'troupe.reply' && effect.type !== 'troupe.fail') return false;
    const answered = this.list().filter((row) => row.message?.id === effect.to && row.answered !== true);
    for (const row of answered) this.#rows.set(row.id, { ...row, answered: true });
    return answered.length > 0;
  }
}

function referenceTo({ envelope: { id, type, from } }: Mail): InvocationRow['message'] {
  return { id, type, ...(from === undefined ? {} : { from }) };
}
