import * as z from 'zod';
import type { TaskView } from '../../runtime/messaging.ts';
import type { Sender } from '../dispatch.ts';
import type { HttpApp } from './app.ts';
import { toProblem } from './problem.ts';
import { rawOf } from './requests.ts';
import { anyProblem, keyHeader, submitAnswer, taskBody, taskSchema } from './schemas.ts';

/** What a client that looks again and again is told to wait, in seconds. */
const lookAgainSeconds = 1;

/** Tasks: durable asks whose answer is kept and can be fetched by id. */
export function addTaskRoutes(app: HttpApp, sender: Sender): void {
  app.post(
    '/v1/tasks',
    {
      schema: {
        summary: 'Send a durable message whose answer is kept for 24 hours after it came; fetch it by its id',
        headers: keyHeader,
        body: taskBody,
        response: { 202: submitAnswer, default: anyProblem },
      },
    },
    async (request, reply) => {
      const accepted = await sender.submit(rawOf(request, request.body));
      return reply.code(202).header('location', `/v1/tasks/${accepted.taskId}`).send(accepted);
    },
  );
  app.get(
    '/v1/tasks/:taskId',
    {
      schema: {
        summary: 'What is known of a task: whether it waits, its answer, or why it failed',
        params: z.object({ taskId: z.string() }),
        response: { 200: taskSchema, default: anyProblem },
      },
    },
    async ({ params }, reply) => {
      const task = await sender.result(params.taskId);
      if (task.status === 'waiting') reply.header('retry-after', String(lookAgainSeconds));
      return taskIn(task);
    },
  );
}

function taskIn({ taskId, status, value, error, atMs, expiresAtMs }: TaskView): z.infer<typeof taskSchema> {
  return {
    taskId,
    status,
    ...(status === 'done' ? { reply: value ?? null } : {}),
    ...(error === undefined ? {} : { error: toProblem(error) }),
    ...(atMs === undefined ? {} : { endTime: new Date(atMs).toISOString() }),
    ...(expiresAtMs === undefined ? {} : { expireTime: new Date(expiresAtMs).toISOString() }),
  };
}
