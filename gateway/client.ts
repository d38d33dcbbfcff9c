/** A small typed gRPC client: what the CLI, the faults and the benches speak. Errors come back as `TroupeError`s. */

import { credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import { ActorServiceClient, type Payload } from '../proto/gen/troupe/v1/actor.ts';
import { AdminServiceClient } from '../proto/gen/troupe/v1/admin.ts';
import { type GetResponse, PayloadForm, TaskServiceClient, TaskStatus } from '../proto/gen/troupe/v1/task.ts';
import { type Clock, systemClock } from '../runtime/clock.ts';
import type { Json } from '../runtime/envelope.ts';
import { TroupeError } from '../runtime/errors.ts';
import { limits } from '../runtime/limits.ts';
import type { TaskView } from '../runtime/messaging.ts';
import { ChannelClient } from './client/channel.ts';
import {
  askRequest,
  type ClientAskOptions,
  type ClientMessage,
  type ClientTell,
  readPayload,
  tellRequest,
} from './client/requests.ts';
import { type ClientTask, readTask, submitRequest } from './client/tasks.ts';
import { fromGrpcStatus } from './grpc/status.ts';

export interface ClientOptions {
  readonly token?: string;
  readonly clock?: Clock;
  /** A connection of its own; without it, clients of one process share one per address. Default false. */
  readonly ownConnection?: boolean;
}

export interface Client {
  tell(message: ClientTell): Promise<{ readonly messageId: string }>;
  ask(message: ClientMessage, options?: Omit<ClientAskOptions, 'onChunk'>): Promise<Json>;
  /** Resolves with the final answer, after its chunks were handed to `onChunk`. */
  stream(message: ClientMessage, options?: ClientAskOptions): Promise<Json>;
  /** Many messages over one call, tells in order; the fast way. */
  channel(): ChannelClient;
  /** A durable ask whose answer is kept for 24 hours. It has to be started within the timeout, if there is one. */
  submit(task: ClientTask, options?: { readonly timeoutMs?: number }): Promise<{ readonly taskId: string }>;
  /** What is known of a task now. @throws TroupeError `NOT_FOUND` */
  result(taskId: string): Promise<TaskView>;
  /**
   * The task when it has ended.
   *
   * @throws TroupeError `NOT_FOUND`, `DEADLINE_EXCEEDED` when it has not ended in time (the task itself goes on)
   */
  whenEnded(
    taskId: string,
    options?: { readonly timeoutMs?: number; readonly signal?: AbortSignal },
  ): Promise<TaskView>;
  /** Injects a fault; the node must have been started with `--allow-faults`. */
  crashActor(address: string): Promise<void>;
  hangActor(address: string): Promise<void>;
  killThread(slot: number): Promise<void>;
  /** Resolves when the connection stands. @throws TroupeError `UNAVAILABLE` */
  ready(withinMs: number): Promise<void>;
  close(): void;
}

/** Time that the server's own, typed answer may take beyond the ask's timeout before the transport gives up. */
const transportGraceMs = 1_000;

/** A client of the node at `address` (`host:port`); connects on first use. */
export function connect(address: string, options: ClientOptions = {}): Client {
  const clock = options.clock ?? systemClock;
  const channelOptions = {
    'grpc.max_receive_message_length': limits.transportBytes,
    'grpc.enable_channelz': 0,
    'grpc.enable_retries': 0,
    // A node that starts again is found again soon; the default backs off up to two minutes.
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 2_000,
    ...(options.ownConnection === true ? { 'grpc.use_local_subchannel_pool': 1 } : {}),
  };
  const actors = new ActorServiceClient(address, credentials.createInsecure(), channelOptions);
  let admin: AdminServiceClient | undefined;
  let tasks: TaskServiceClient | undefined;
  const taskClient = (): TaskServiceClient => {
    tasks ??= new TaskServiceClient(address, credentials.createInsecure(), channelOptions);
    return tasks;
  };
  const adminClient = (): AdminServiceClient => {
    admin ??= new AdminServiceClient(address, credentials.createInsecure(), channelOptions);
    return admin;
  };
  const metadata = (): Metadata => {
    const values = new Metadata();
    if (options.token !== undefined) values.set('authorization', `Bearer ${options.token}`);
    return values;
  };
  const call = <Response>(
    start: (callback: (error: ServiceError | null, response: Response) => void) => { cancel(): void },
    signal?: AbortSignal,
  ): Promise<Response> =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(new TroupeError('CANCELLED', 'the caller cancelled'));
      const abort = (): void => running.cancel();
      const running = start((error, response) => {
        signal?.removeEventListener('abort', abort);
        if (error === null) resolve(response);
        else reject(fromGrpcStatus(error));
      });
      signal?.addEventListener('abort', abort, { once: true });
    });
  const callOptions = (timeoutMs: number | undefined) =>
    timeoutMs === undefined ? {} : { deadline: clock.now() + Math.max(0, timeoutMs) + transportGraceMs };

  return {
    tell: (message) => call((callback) => actors.tell(tellRequest(message), metadata(), callback)),
    async ask(message, { timeoutMs, signal } = {}) {
      const request = askRequest(message, timeoutMs);
      const response = await call<{ payload: Payload['form'] }>(
        (callback) => actors.ask(request, metadata(), callOptions(timeoutMs), callback),
        signal,
      );
      return readPayload(response.payload);
    },
    stream(message, { timeoutMs, signal, onChunk } = {}) {
      return new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(new TroupeError('CANCELLED', 'the caller cancelled'));
        const responses = actors.stream(askRequest(message, timeoutMs), metadata(), callOptions(timeoutMs));
        const abort = (): void => responses.cancel();
        signal?.addEventListener('abort', abort, { once: true });
        responses.on('data', ({ part }) => {
          if (part?.$case === 'chunk') onChunk?.(readPayload(part.chunk.form));
          else if (part?.$case === 'reply') resolve(readPayload(part.reply.form));
        });
        responses.on('error', (error: ServiceError) => reject(fromGrpcStatus(error)));
        responses.on('close', () => signal?.removeEventListener('abort', abort));
        responses.on('end', () =>
          reject(new TroupeError('UNAVAILABLE', 'the stream ended without an answer', { outcome: 'unknown' })),
        );
      });
    },
    channel: () => new ChannelClient(actors.channel(metadata())),
    submit: (task, { timeoutMs } = {}) =>
      call((callback) => taskClient().submit(submitRequest(task, timeoutMs), metadata(), callback)),
    async result(taskId) {
      const request = { taskId, form: PayloadForm.PAYLOAD_FORM_JSON };
      const { task } = await call<GetResponse>((callback) => taskClient().get(request, metadata(), callback));
      return readTask(task);
    },
    whenEnded(taskId, { timeoutMs, signal } = {}) {
      return new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(new TroupeError('CANCELLED', 'the caller cancelled'));
        const request = { taskId, form: PayloadForm.PAYLOAD_FORM_JSON };
        const deadline = timeoutMs === undefined ? {} : { deadline: clock.now() + timeoutMs };
        const responses = taskClient().watch(request, metadata(), deadline);
        const abort = (): void => responses.cancel();
        signal?.addEventListener('abort', abort, { once: true });
        responses.on('data', ({ task }) => {
          if (task?.status !== TaskStatus.TASK_STATUS_WAITING) resolve(readTask(task));
        });
        responses.on('error', (error: ServiceError) => reject(fromGrpcStatus(error)));
        responses.on('close', () => signal?.removeEventListener('abort', abort));
        responses.on('end', () =>
          reject(new TroupeError('UNAVAILABLE', 'the watch ended before the task', { outcome: 'unknown' })),
        );
      });
    },
    async crashActor(target) {
      await call((callback) => adminClient().crashActor({ address: target }, metadata(), callback));
    },
    async hangActor(target) {
      await call((callback) => adminClient().hangActor({ address: target }, metadata(), callback));
    },
    async killThread(slot) {
      await call((callback) => adminClient().killThread({ slot }, metadata(), callback));
    },
    ready: (withinMs) =>
      new Promise((resolve, reject) => {
        actors.waitForReady(clock.now() + withinMs, (error) =>
          error === undefined ? resolve() : reject(new TroupeError('UNAVAILABLE', `no node answers at ${address}`)),
        );
      }),
    close() {
      actors.close();
      admin?.close();
      tasks?.close();
    },
  };
}

export type { ChannelClient } from './client/channel.ts';
export type { ClientAskOptions, ClientMessage, ClientTell } from './client/requests.ts';
export type { ClientTask } from './client/tasks.ts';
