import * as z from 'zod';
import type { Clock } from '../../runtime/clock.ts';
import { limits } from '../../runtime/limits.ts';
import type { TaskView } from '../../runtime/messaging.ts';
import { invalid } from '../admission.ts';
import type { Sender } from '../dispatch.ts';
import { watchTask } from '../task-watch.ts';
import { disconnectOf, type HttpApp } from './app.ts';
import { toProblem } from './problem.ts';
import { durationOf, rawOf } from './requests.ts';
import { anyProblem, keyHeader, submitAnswer, taskBody, taskSchema } from './schemas.ts';

/** What a client that looks again and again is told to wait, in seconds. */
const lookAgainSeconds = 1;

const waitField = z.string().optional().meta({
  description: 'How long to wait for its end, with its unit, at most 60s; without it the answer comes at once',
  example: '30s',
});

/** Tasks: durable asks whose answer is kept and can be fetched by id. `closing` ends whoever waits for one. */
export function addTaskRoutes(app: HttpApp, sender: Sender, clock: Clock, closing: AbortSignal): void {
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
        querystring: z.strictObject({ wait: waitField }),
        response: { 200: taskSchema, default: anyProblem },
      },
    },
    async ({ params, query }, reply) => {
      const read = () => sender.result(params.taskId);
      const waitMs = waitOf(query.wait);
      const task = waitMs === 0 ? await read() : await ended(read, waitMs, clock, [closing, disconnectOf(reply)]);
      if (task.status === 'waiting') reply.header('retry-after', String(lookAgainSeconds));
      return taskIn(task);
    },
  );
}

/** @throws TroupeError `INVALID_MESSAGE` */
function waitOf(wait: string | undefined): number {
  if (wait === undefined) return 0;
  const waitMs = durationOf('wait', wait);
  if (waitMs < 0 || waitMs > limits.taskWaitMaxMs)
    throw invalid('wait', `must be 0 to ${limits.taskWaitMaxMs / 1_000} s; ask again for longer`);
  return waitMs;
}

/** The task when it has ended, or as it is when the time or the patience of somebody is over. */
async function ended(
  read: () => Promise<TaskView>,
  waitMs: number,
  clock: Clock,
  enders: readonly AbortSignal[],
): Promise<TaskView> {
  const late = new AbortController();
  const cancel = clock.after(waitMs, () => late.abort());
  const enough = AbortSignal.any([...enders, late.signal]);
  let task: TaskView | undefined;
  const keep = (seen: TaskView): void => {
    task = seen;
  };
  try {
    await watchTask(read, keep, clock, enough);
  } catch (thrown) {
    if (!enough.aborted) throw thrown;
  } finally {
    cancel();
  }
  return task ?? (await read());
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
