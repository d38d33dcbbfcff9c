import type { SetTimer, TimerSet } from '../host/messages.ts';
import { jsonBytes } from './turn-size.ts';

/** The timers that an actor has set, as of its last turn, with the bytes that their events take where they are stored. */
export class SetTimers {
  readonly isStored: boolean;
  readonly #bytesOf = new Map<string, number>();
  #bytes = 0;

  constructor(isStored: boolean) {
    this.isStored = isStored;
  }

  get size(): number {
    return this.#bytesOf.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  ids(): Iterable<string> {
    return this.#bytesOf.keys();
  }

  /** Takes up what was set by a former life. */
  restore(timers: readonly SetTimer[]): void {
    for (const { id, bytes } of timers) this.#set(id, bytes);
  }

  /** A turn is over. */
  apply(set: readonly TimerSet[], cancelled: readonly string[]): void {
    for (const id of cancelled) this.drop(id);
    for (const { id, event } of set) this.#set(id, this.isStored ? jsonBytes(event) : 0);
  }

  drop(id: string): void {
    this.#bytes -= this.#bytesOf.get(id) ?? 0;
    this.#bytesOf.delete(id);
  }

  #set(id: string, bytes: number): void {
    this.drop(id);
    this.#bytesOf.set(id, bytes);
    this.#bytes += bytes;
  }
}
