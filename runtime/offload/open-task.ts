import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { type ErrorData, textOf } from '../errors.ts';
import type { FromTask, ToTask } from './messages.ts';
import type { OffloadInput } from './task.ts';

export type TaskResult = { readonly value: unknown } | { readonly error: ErrorData };

/**
 * A task under way, as the actor's thread sees it. The data leaves only when the task begins, straight to the thread
 * that runs it, and the result comes straight back: neither passes through the main thread.
 */
export class OpenTask {
  /** The end that the pool's thread gets. */
  readonly farPort: MessagePort;
  readonly #port: MessagePort;

  /** @param onEnd called at most once, not after `close` */
  constructor(input: OffloadInput, onEnd: (result: TaskResult) => void) {
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    this.farPort = port2;
    port1.on('message', (message: FromTask) => {
      if (message.say === 'done') onEnd({ value: message.value });
      else if (message.say === 'failed') onEnd({ error: message.error });
      else
        try {
          port1.postMessage({ data: input.data } satisfies ToTask, [...(input.transfer ?? [])]);
        } catch (thrown) {
          onEnd({
            error: {
              reason: 'INVALID_MESSAGE',
              message: `the data of task "${input.task}" cannot cross threads: ${textOf(thrown)}`,
              outcome: 'not_started',
            },
          });
        }
    });
  }

  close(): void {
    this.#port.close();
  }
}
