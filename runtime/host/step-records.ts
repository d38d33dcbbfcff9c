import type { Mark, Turn } from '../activation/stepper.ts';
import { atMostJsonBytes } from '../activation/turn-size.ts';
import type { Json } from '../envelope.ts';
import type { ErrorData } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Cause } from './causes.ts';
import type { FromHost, StepRecord, Timer } from './messages.ts';

/** Turns that leave together, to be committed as one unit. */
export interface UnsentSteps {
  readonly steps: readonly StepRecord[];
  /** The state after each of them; of persistent actors only. */
  readonly marks: readonly (Mark | undefined)[];
}

const nothing: UnsentSteps = { steps: [], marks: [] };

/** The turns of one life that are to be committed, counted from 1, as far as they have not been sent. */
export class StepRecords {
  readonly #persistent: boolean;
  #steps: StepRecord[] = [];
  #marks: (Mark | undefined)[] = [];
  #effects = 0;
  #bytes = 0;
  #number = 0;
  /** Timers of a persistent actor that a turn set or cancelled, and which turn that was. */
  readonly #touched = new Map<string, number>();
  /** Timers that the owner fired and that have not had their turn. */
  #fired = 0;
  #committed = 0;

  constructor(persistent: boolean) {
    this.#persistent = persistent;
  }

  /** Number of the last turn. */
  get number(): number {
    return this.#number;
  }

  /** Whether what has not been sent is as much as one commit should hold. */
  get isFull(): boolean {
    return this.#bytes >= limits.batchBytes || this.#effects >= limits.commitOperations;
  }

  /** `payload`: that of the message that is rejected, which its letter will hold. */
  add(
    turn: Partial<Turn> & { readonly rejected?: ErrorData; readonly payload?: Json },
    cause: Cause,
    mark: Mark | undefined,
  ): void {
    this.#number += 1;
    const { effects = [], rejected, stashed, bytes = 0, payload, invoked = [], concluded = [] } = turn;
    const timersSet = (this.#persistent && turn.timersSet) || [];
    const timersCancelled = (this.#persistent && turn.timersCancelled) || [];
    for (const id of [...timersCancelled, ...timersSet.map((timer) => timer.id)]) this.#touched.set(id, this.#number);
    this.#effects += effects.length;
    this.#bytes += bytes + (rejected === undefined ? 0 : atMostJsonBytes(payload, limits.batchBytes));
    this.#marks.push(mark);
    this.#steps.push({
      number: this.#number,
      cause,
      effects,
      timersSet,
      timersCancelled,
      ...(rejected === undefined ? {} : { rejected }),
      ...(stashed ? { stashed: true } : {}),
      ...(this.#persistent && invoked.length > 0 ? { invoked } : {}),
      ...(this.#persistent && concluded.length > 0 ? { concluded } : {}),
    });
  }

  /** What has not been sent, which it is from now on. */
  take(): UnsentSteps {
    if (this.#steps.length === 0) return nothing;
    const unsent = { steps: this.#steps, marks: this.#marks };
    this.#steps = [];
    this.#marks = [];
    this.#effects = 0;
    this.#bytes = 0;
    return unsent;
  }

  /** Turns up to `number` are committed. */
  committed(number: number): void {
    this.#committed = number;
    this.#forgetTouched();
  }

  /** The owner fired a timer; its turn comes with `takeFired`. */
  fired(): void {
    this.#fired += 1;
  }

  /** The turn of a timer; false when one of which the owner had not heard as it fired has cancelled it or set it anew. */
  takeFired({ id, gen }: Timer): boolean {
    const holds = (this.#touched.get(id) ?? 0) <= gen;
    this.#fired -= 1;
    this.#forgetTouched();
    return holds;
  }

  /** The owner fires nothing any more that committed turns ended, but what it had fired may still wait for its turn. */
  #forgetTouched(): void {
    if (this.#fired > 0) return;
    for (const [id, touched] of this.#touched) if (touched <= this.#committed) this.#touched.delete(id);
  }
}

/** The cause of the turn that a message to the main thread tells of; of several turns, the last. */
export function causeOfSaid(message: FromHost): Cause | undefined {
  if (message.from === 'steps') return message.steps.at(-1)?.cause;
  if (message.from !== 'output') return undefined;
  return typeof message.by === 'string' ? { by: 'message', message: message.by } : message.by;
}
