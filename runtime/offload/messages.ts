/** What passes between an actor's thread and the thread that runs its task, over a port of their own. */

import type { MessagePort } from 'node:worker_threads';
import type { ErrorData } from '../errors.ts';

/** How a task reaches a thread of the pool. */
export interface TaskOrder {
  /** URL of the app module. */
  readonly app: string;
  readonly task: string;
  readonly id: string;
  readonly port: MessagePort;
}

export type FromTask =
  /** Send the data: the task begins. */
  | { readonly say: 'begins' }
  | { readonly say: 'done'; readonly value: unknown }
  | { readonly say: 'failed'; readonly error: ErrorData };

export interface ToTask {
  readonly data: unknown;
}
