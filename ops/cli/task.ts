import { Command, Option } from 'commander';
import { TroupeError } from '../../runtime/errors.ts';
import type { TaskView } from '../../runtime/messaging.ts';
import { formatDuration } from '../config/values.ts';
import { exitCodeOf, exitCodes } from '../exit-codes.ts';
import { CommandFailed } from './failure.ts';
import { interruptSignal } from './interrupt.ts';
import { type MessageOptions, readDuration, run, withClient, withMessage } from './message.ts';
import { type NodeOptions, withNodeOptions } from './node-client.ts';
import { type OutputFormat, outputOption, pairs, print, printJson, say } from './output.ts';

interface SubmitOptions extends MessageOptions {
  readonly timeout?: number;
}

interface GetOptions extends NodeOptions {
  readonly output: OutputFormat;
  readonly wait?: number;
}

/** `troupe task`: durable asks whose answer is kept for 24 hours and fetched by id. */
export function taskCommand(): Command {
  return new Command('task')
    .description('messages whose answer is kept for 24 hours: submit, get')
    .addCommand(submitCommand())
    .addCommand(getCommand());
}

function submitCommand(): Command {
  return withMessage('submit', 'send a durable message whose answer is kept; prints the id of the task')
    .addOption(
      new Option(
        '--timeout <time>',
        'time within which it has to be started, such as 2h; without it there is no limit',
      ).argParser(readDuration),
    )
    .action(
      run(async (client, task, { output: format, timeout: timeoutMs }: SubmitOptions) => {
        const accepted = await client.submit(task, timeoutMs === undefined ? {} : { timeoutMs });
        if (format !== 'table') return printJson(accepted, format);
        print(accepted.taskId);
        say(`fetch its answer with: troupe task get ${accepted.taskId}`);
      }),
    );
}

function getCommand(): Command {
  return withNodeOptions(
    new Command('get')
      .description('show a task: its answer, or why it failed; a task that failed sets the exit code of its error')
      .argument('<id>', 'id of the task, as submit printed it')
      .addOption(
        new Option('--wait <time>', 'wait until it has ended, at most so long, such as 30s').argParser(readDuration),
      )
      .addOption(outputOption()),
  ).action(async (id: string, options: GetOptions) => {
    await withClient(options, async (client) => {
      const { wait: timeoutMs, output: format } = options;
      try {
        const signal = interruptSignal();
        const task = await (timeoutMs === undefined ? client.result(id) : client.whenEnded(id, { timeoutMs, signal }));
        if (format === 'table') print(taskText(task));
        else printJson(task, format);
        if (task.error !== undefined) process.exitCode = exitCodeOf(task.error.reason);
      } catch (error) {
        throw format === 'table' ? told(error, id, timeoutMs) : error;
      }
    });
  });
}

/** The advice that goes with these reasons is about actors and asks; here it is about a task. */
function told(error: unknown, id: string, timeoutMs = 0): unknown {
  if (!(error instanceof TroupeError)) return error;
  if (error.reason === 'NOT_FOUND') return new CommandFailed(exitCodes.notFound, error.message);
  if (error.reason === 'DEADLINE_EXCEEDED')
    return new CommandFailed(
      exitCodes.deadline,
      `the task has not ended within ${formatDuration(timeoutMs)}`,
      `it goes on; look again with: troupe task get ${id}`,
    );
  return error;
}

function taskText({ taskId, status, value, error, atMs, expiresAtMs }: TaskView): string {
  const timeOf = (timeMs: number): string => new Date(timeMs).toISOString();
  return pairs([
    ['task', taskId],
    ['status', status],
    ...(atMs === undefined ? [] : [['ended', timeOf(atMs)] as const]),
    ...(expiresAtMs === undefined ? [] : [['kept until', timeOf(expiresAtMs)] as const]),
    ...(error === undefined ? [] : [['error', `${error.reason}: ${error.message}`] as const]),
    ...(status === 'done'
      ? [['answer', typeof value === 'string' ? value : JSON.stringify(value ?? null, null, 2)] as const]
      : []),
  ]);
}
