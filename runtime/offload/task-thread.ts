/** Entry of a thread of the pool: finds the task in the app module and runs it. */

import { once } from 'node:events';
import type { MessagePort, Transferable } from 'node:worker_threads';
import { type ErrorData, TroupeError, textOf, toErrorData } from '../errors.ts';
import { loadApp } from '../host/load-app.ts';
import type { FromTask, TaskOrder, ToTask } from './messages.ts';
import type { TaskContext } from './task.ts';

type Runnable = (data: unknown, context: TaskContext) => unknown;

/** Runs one task; resolves with whether it succeeded. The result, or the error, has left by the port then. */
export default async function runTask(order: TaskOrder): Promise<boolean> {
  const { port, task, id } = order;
  const say = (message: FromTask, moved: Transferable[] = []): void => port.postMessage(message, moved);
  try {
    const run = await runnable(order);
    say({ say: 'begins' });
    const { data } = await dataFrom(port);
    const moved = new Set<Transferable>();
    const value = await run(data, {
      id,
      move(item) {
        moved.add(item);
        return item;
      },
    });
    say({ say: 'done', value }, [...moved]);
    return true;
  } catch (thrown) {
    say({ say: 'failed', error: errorOf(task, thrown) });
    return false;
  } finally {
    port.close();
  }
}

async function runnable({ app, task }: TaskOrder): Promise<Runnable> {
  const declared = (await loadApp(app)).tasks?.[task];
  if (typeof declared === 'function') return declared as Runnable;
  if (declared === undefined) throw new TroupeError('NOT_FOUND', `the app declares no task "${task}"`);
  const name = declared.export ?? 'default';
  const found = ((await import(declared.module)) as Record<string, unknown>)[name];
  if (typeof found !== 'function')
    throw new TroupeError('NOT_FOUND', `${declared.module} exports no function "${name}" for task "${task}"`);
  return found as Runnable;
}

/** @throws TroupeError `CANCELLED` when the actor's thread is gone */
async function dataFrom(port: MessagePort): Promise<ToTask> {
  const gone = new AbortController();
  port.once('close', () => gone.abort());
  try {
    const [message] = (await once(port, 'message', { signal: gone.signal })) as [ToTask];
    return message;
  } catch {
    throw new TroupeError('CANCELLED', 'the actor let go of the task before it began');
  }
}

function errorOf(task: string, thrown: unknown): ErrorData {
  if (thrown instanceof TroupeError) return thrown.toData();
  return toErrorData(new Error(`the task "${task}" failed: ${textOf(thrown)}`));
}
