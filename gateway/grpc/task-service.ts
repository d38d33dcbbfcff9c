/** troupe.v1.TaskService: translates, and leaves everything else to the dispatch. */

import type { ServerWritableStream } from '@grpc/grpc-js';
import {
  PayloadForm,
  type Task,
  type TaskServiceServer,
  TaskStatus,
  type WatchRequest,
  type WatchResponse,
} from '../../proto/gen/troupe/v1/task.ts';
import type { Clock } from '../../runtime/clock.ts';
import { shuttingDown, TroupeError, toErrorData } from '../../runtime/errors.ts';
import type { TaskView } from '../../runtime/messaging.ts';
import { invalid } from '../admission.ts';
import type { Dispatch, Sender } from '../dispatch.ts';
import { watchTask } from '../task-watch.ts';
import { cancellable, unary } from './calls.ts';
import { type Form, payloadIn, rawOf, readable } from './forms.ts';
import { toGrpcStatus, toRpcStatus } from './status.ts';

export interface TaskServiceOptions {
  readonly dispatch: Dispatch;
  readonly clock: Clock;
  /** Aborted when the server stops: whoever watches is told to go elsewhere. */
  readonly closing: AbortSignal;
}

export function taskService({ dispatch, clock, closing }: TaskServiceOptions): TaskServiceServer {
  const sender = dispatch.connect('grpc-tasks');
  return {
    submit: unary(async ({ request }) => sender.submit(rawOf(request))),
    get: unary(async ({ request }) => {
      const { taskId, form } = readable(request);
      const wanted = formOf(form);
      return { task: taskIn(wanted, await sender.result(taskId)) };
    }),
    watch: (call) => void watch(call, sender, clock, closing),
  };
}

async function watch(
  call: ServerWritableStream<WatchRequest, WatchResponse>,
  sender: Sender,
  clock: Clock,
  closing: AbortSignal,
): Promise<void> {
  try {
    const { taskId, form } = readable(call.request);
    const wanted = formOf(form);
    await cancellable(call, (cancelled) =>
      watchTask(
        () => sender.result(taskId),
        (task) => call.write({ task: taskIn(wanted, task) }),
        clock,
        AbortSignal.any([cancelled, closing]),
      ),
    );
    call.end();
  } catch (thrown) {
    const error = closing.aborted ? TroupeError.from(shuttingDown) : thrown;
    if (!call.cancelled) call.emit('error', toGrpcStatus(toErrorData(error)));
  }
}

function formOf(form: PayloadForm): Form {
  switch (form) {
    case PayloadForm.PAYLOAD_FORM_UNSPECIFIED:
    case PayloadForm.PAYLOAD_FORM_VALUE:
      return 'value';
    case PayloadForm.PAYLOAD_FORM_JSON:
      return 'json';
    default:
      throw invalid('form', 'must be PAYLOAD_FORM_VALUE or PAYLOAD_FORM_JSON');
  }
}

const statuses = {
  waiting: TaskStatus.TASK_STATUS_WAITING,
  done: TaskStatus.TASK_STATUS_DONE,
  failed: TaskStatus.TASK_STATUS_FAILED,
} as const;

function taskIn(form: Form, { taskId, status, value, error, atMs, expiresAtMs }: TaskView): Task {
  return {
    taskId,
    status: statuses[status],
    reply: status === 'done' ? { form: payloadIn(form, value ?? null) } : undefined,
    error: error === undefined ? undefined : toRpcStatus(error),
    endTime: atMs === undefined ? undefined : new Date(atMs),
    expireTime: expiresAtMs === undefined ? undefined : new Date(expiresAtMs),
  };
}
