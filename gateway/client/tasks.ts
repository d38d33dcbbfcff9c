import { type SubmitRequest, type Task, TaskStatus } from '../../proto/gen/troupe/v1/task.ts';
import { TroupeError } from '../../runtime/errors.ts';
import type { TaskView } from '../../runtime/messaging.ts';
import { fromRpcStatus } from '../grpc/status.ts';
import { askRequest, type ClientMessage, readPayload } from './requests.ts';

/** Tasks have no delivery of their own: they are durable. */
export type ClientTask = Omit<ClientMessage, 'delivery'>;

export function submitRequest(task: ClientTask, timeoutMs: number | undefined): SubmitRequest {
  const { delivery: _, ...request } = askRequest(task, timeoutMs);
  return request;
}

/** @throws TroupeError `UNAVAILABLE` when the answer holds no task */
export function readTask(task: Task | undefined): TaskView {
  const status = task === undefined ? undefined : statuses[task.status];
  if (task === undefined || status === undefined)
    throw new TroupeError('UNAVAILABLE', 'the answer holds no task: is the node of a newer version?');
  return {
    taskId: task.taskId,
    status,
    ...(task.reply === undefined ? {} : { value: readPayload(task.reply.form) }),
    ...(task.error === undefined ? {} : { error: fromRpcStatus(task.error).toData() }),
    ...(task.endTime === undefined ? {} : { atMs: task.endTime.getTime() }),
    ...(task.expireTime === undefined ? {} : { expiresAtMs: task.expireTime.getTime() }),
  };
}

const statuses: Readonly<Record<TaskStatus, TaskView['status'] | undefined>> = {
  [TaskStatus.TASK_STATUS_UNSPECIFIED]: undefined,
  [TaskStatus.TASK_STATUS_WAITING]: 'waiting',
  [TaskStatus.TASK_STATUS_DONE]: 'done',
  [TaskStatus.TASK_STATUS_FAILED]: 'failed',
};
