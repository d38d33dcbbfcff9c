import type { Json } from '../envelope.ts';
import type { ErrorData } from '../errors.ts';
import type { Timer } from '../host/messages.ts';
import { defaults } from '../limits.ts';
import { chargeAttempt, retryDelayMs } from '../mailbox/attempts.ts';
import { errorOfLetter } from '../mailbox/dead-letters.ts';
import type { Mail } from '../mailbox/mail.ts';
import { resultOperations } from '../mailbox/results.ts';
import type { DurableTimers } from './durable-timers.ts';
import type { Hand } from './hand.ts';
import type { GivenUp, InvocationRows } from './invocation-rows.ts';
import type { Outputs } from './outputs.ts';
import type { ActivationOptions } from './surroundings.ts';
import type { TurnRecorder } from './turn-recorder.ts';

export interface ChargesOptions
  extends Pick<ActivationOptions, 'address' | 'shard' | 'random' | 'quarantine' | 'count'> {
  readonly hand: Hand;
  readonly timers: DurableTimers;
  readonly invocations: InvocationRows;
  readonly outputs: Outputs;
  readonly recorder: TurnRecorder;
}

/** What a thread was running when it ended. */
export interface ThreadEnd {
  readonly mail?: Mail;
  readonly timer?: Timer;
  /** What a message had begun, by its id. */
  readonly invocation?: string;
}

/**
 * Charges a failure to what brought it about (G7). What has attempts left is tried again by the next life of the actor,
 * which its supervisor starts with a delay; what has none ends among the dead letters.
 */
export class Charges {
  readonly #options: ChargesOptions;
  /** Engine time before which the message at the head is not tried again. */
  retryAt: { readonly untilMs: number; readonly text: string } | undefined;

  constructor(options: ChargesOptions) {
    this.#options = options;
  }

  /** The message in hand: a durable one goes back to the head of the queue, or among the dead letters. */
  message(mail: Mail | undefined, error: ErrorData): void {
    if (mail?.place === undefined) return;
    const { address, shard, random, quarantine, hand, count } = this.#options;
    const charged = chargeAttempt(mail, error, shard.now(), random);
    if (charged.spent) {
      quarantine.clear(address);
      shard.letter([mail], 'ATTEMPTS_SPENT');
      return;
    }
    count('redeliveries_total');
    hand.addFirst(mail);
    shard.mail.attempted(mail);
    if (charged.delayMs > 0) this.retryAt = { untilMs: shard.now() + charged.delayMs, text: error.message };
  }

  /** What a sender's message had begun: it is run again, or struck out of the state. Answers whether it was that. */
  invocation(id: string, error: ErrorData): boolean {
    const { shard, invocations } = this.#options;
    const charged = invocations.charge(id, error, shard.now());
    if (charged !== undefined) this.#store(charged);
    return charged !== undefined;
  }

  /** What a thread ended in is charged likewise, and has a thread to itself from now on. */
  threadEnd(end: ThreadEnd, error: ErrorData): void {
    this.#chargeThreadEnd(end, error);
    this.#options.quarantine.offended(this.#options.address);
  }

  #chargeThreadEnd({ mail, timer, invocation }: ThreadEnd, error: ErrorData): void {
    const { address, quarantine, invocations, timers } = this.#options;
    if (mail?.place !== undefined) quarantine.suspect(address, { by: 'message', id: mail.envelope.id });
    this.message(mail, error);
    if (timer !== undefined) {
      quarantine.suspect(address, { by: 'timer', id: timer.id });
      this.timer(timer.id, timer.gen, error);
      if (!timers.has(timer)) quarantine.clear(address, timer.id);
    }
    if (invocation === undefined || !this.invocation(invocation, error)) return;
    if (invocations.goesOn(invocation)) quarantine.suspect(address, { by: 'invocation', id: invocation });
    else quarantine.clear(address, invocation);
  }

  /** A timer of a persistent actor: it is due again a little later, or is no more. */
  timer(id: string, gen: number, error: ErrorData): void {
    const { address, shard, random, timers } = this.#options;
    const timer = timers.get(id, gen);
    if (timer === undefined) return;
    const atMs = shard.now();
    const errors = [...(timer.errors ?? []), { atMs, message: `timer "${id}": ${error.message}` }];
    if (errors.length < defaults.messageAttempts) {
      timers.failed({ ...timer, errors }, atMs + retryDelayMs(errors.length, random));
      this.#store({});
      return;
    }
    timers.drop(id);
    const { type, payload = {} } = timer.event as { readonly type: string; readonly payload?: Json };
    const envelope = { id: random.id(), to: address, type, payload, delivery: 'at-least-once', attempt: 1 } as const;
    this.#store({ letter: { envelope, reason: 'WORK_FAILED', errors, atMs } });
  }

  /** Commits what changed, with the letter about what was given up. */
  #store({ letter, unanswered }: GivenUp): void {
    const { shard, recorder, outputs } = this.#options;
    const operations = recorder.again();
    if (letter === undefined) {
      shard.submit({ operations, mails: [] });
      return;
    }
    const error = errorOfLetter(letter);
    const writing = shard.writing(letter);
    operations.push(...writing.operations);
    if (unanswered !== undefined) operations.push(...resultOperations(unanswered, { error }, letter.atMs));
    const onCommitted = (): void => {
      writing.committed();
      if (unanswered !== undefined) outputs.refuse(unanswered, error);
    };
    shard.submit({ operations, mails: [], onCommitted });
  }
}
