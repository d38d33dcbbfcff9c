import { TroupeError } from '../errors.ts';
import { limits } from '../limits.ts';

/** What a task can hand over instead of copying it. */
export type Movable = ArrayBuffer;

/** What a task is told besides its data. */
export interface TaskContext {
  /**
   * Names this piece of work: what the actor gave, else a name of its own for each start. A task that an actor's
   * restart runs again has the same id only where the actor gave one.
   */
  readonly id: string;
  /** Marks a buffer of the result to be moved out instead of copied, and returns it. */
  move<T extends Movable>(item: T): T;
}

/**
 * CPU work that actors may offload: takes data that a structured clone can carry and returns, or resolves to, such data.
 * It shares nothing with the actors: it runs in another thread, which may be ended at any time.
 */
export type TaskFunction = (data: never, context: TaskContext) => unknown;

/** A task that stands in a module of its own, so that only the pool's threads import it. */
export interface TaskModule {
  /** URL of the module, such as `new URL('./resize.ts', import.meta.url).href`. */
  readonly module: string;
  /** Name of the export; default `default`. */
  readonly export?: string;
}

export type Task = TaskFunction | TaskModule;

/** The tasks of an app, by name. */
export type Tasks = Readonly<Record<string, Task>>;

/** The data that a task takes. */
export type DataOf<T extends Task> = T extends (data: infer D, ...more: never[]) => unknown ? D : unknown;

/** What a task gives back. */
export type ResultOf<T extends Task> = T extends (...given: never[]) => infer R ? Awaited<R> : unknown;

/** What an actor gives with a task. */
export interface OffloadInput {
  /** Name of a task that the app declares. */
  readonly task: string;
  /**
   * What the task takes, copied by structured clone. The input of a persistent actor is part of its snapshot, which
   * holds JSON only: give it a reference there, and let the task fetch the data.
   */
  readonly data?: unknown;
  /**
   * Buffers in `data` that are moved instead of copied, for actors that live in memory. They are gone here once the
   * task begins; where it was refused, or cancelled before, they are untouched.
   */
  readonly transfer?: readonly ArrayBuffer[];
  /**
   * Names this piece of work, for a task that has effects outside, such as the id of the message that asked for it.
   * Work may run more than once: what was under way at a crash of a persistent actor starts again with its restore.
   */
  readonly id?: string;
  /** Until when the result must be there, waiting included, in milliseconds; default 60,000, at most one hour. */
  readonly timeoutMs?: number;
}

/** @throws TroupeError `INVALID_MESSAGE` */
export function checkTasks(tasks: Tasks): void {
  for (const [name, task] of Object.entries(tasks)) {
    if (!/^[A-Za-z0-9._~-]+$/.test(name) || name.length > limits.addressSegmentCharacters)
      throw new TroupeError(
        'INVALID_MESSAGE',
        `"${name}" is no name for a task; use at most ${limits.addressSegmentCharacters} of A-Z a-z 0-9 . _ ~ -`,
      );
    if (typeof task !== 'function' && !URL.canParse(task.module))
      throw new TroupeError(
        'INVALID_MESSAGE',
        `the module of task "${name}" is no URL; write new URL('./file.ts', import.meta.url).href`,
      );
  }
}
