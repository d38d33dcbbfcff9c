import type { Json } from '../../runtime/envelope.ts';
import { TroupeError } from '../../runtime/errors.ts';
import type { AskOptions, Messaging, OutgoingMessage, TaskView } from '../../runtime/messaging.ts';

/** A runtime that records what reaches it and answers as told. */
export class FakeMessaging implements Messaging {
  readonly told: OutgoingMessage[] = [];
  readonly asked: { readonly message: OutgoingMessage; readonly options: AskOptions }[] = [];
  readonly submitted: { readonly message: OutgoingMessage; readonly options: { readonly timeoutMs?: number } }[] = [];
  /** What `result` answers, by task. */
  readonly results = new Map<string, TaskView>();
  /** Names of the senders that were made. */
  readonly connections: string[] = [];
  /** Answers asks; echoes by default. */
  answer: (message: OutgoingMessage, options: AskOptions) => Json | Promise<Json> = (message) => ({
    echo: message.payload ?? null,
  });
  /** When set, every message fails with it. */
  failure: TroupeError | undefined;
  #onAsk: (() => void) | undefined;
  #onResult: (() => void) | undefined;

  for(connection: string): Messaging {
    this.connections.push(connection);
    return this;
  }

  async tell(message: OutgoingMessage): Promise<{ messageId: string }> {
    if (this.failure !== undefined) throw this.failure;
    this.told.push(message);
    return { messageId: `message-${this.told.length}` };
  }

  async ask(message: OutgoingMessage, options: AskOptions = {}): Promise<Json> {
    if (this.failure !== undefined) throw this.failure;
    this.asked.push({ message, options });
    this.#onAsk?.();
    return await this.answer(message, options);
  }

  async submit(message: OutgoingMessage, options: { readonly timeoutMs?: number } = {}): Promise<{ taskId: string }> {
    if (this.failure !== undefined) throw this.failure;
    this.submitted.push({ message, options });
    return { taskId: `s0.task-${this.submitted.length}` };
  }

  async result(taskId: string): Promise<TaskView> {
    this.#onResult?.();
    const found = this.results.get(taskId);
    if (found === undefined) throw new TroupeError('NOT_FOUND', `there is no result ${taskId}`);
    return found;
  }

  /** Resolves when the next ask has come. */
  nextAsk(): Promise<void> {
    return new Promise((resolve) => {
      this.#onAsk = resolve;
    });
  }

  /** Resolves when somebody looks at a task next. */
  nextResult(): Promise<void> {
    return new Promise((resolve) => {
      this.#onResult = resolve;
    });
  }

  /** Makes asks wait until their signal is aborted; resolves when one was. */
  untilAborted(): Promise<void> {
    return new Promise((resolve) => {
      this.answer = (_message, { signal }) =>
        new Promise((_resolve, reject) => {
          signal?.addEventListener('abort', () => {
            resolve();
            reject(new TroupeError('CANCELLED', 'the caller cancelled', { outcome: 'unknown' }));
          });
        });
    });
  }
}
