import { Command } from 'commander';
import { systemClock, wait } from '../../runtime/clock.ts';
import { parseDurationMs } from '../config/values.ts';
import { lockOwner } from '../data-lock.ts';
import { exitCodes } from '../exit-codes.ts';
import { findNode } from '../node-file.ts';
import { isAlive } from '../process-identity.ts';
import { CommandFailed, usageFault } from './failure.ts';
import { dataFolder, type NodeOptions, withNodeOptions } from './node-client.ts';
import { say } from './output.ts';

interface DownOptions extends NodeOptions {
  readonly timeout: string;
  readonly force?: true;
}

const pollMs = 50;

/** `troupe down`: asks the node to drain and waits until its process has ended. */
export function downCommand(): Command {
  return withNodeOptions(
    new Command('down')
      .description('stop the node: it drains, then its process ends')
      .option('--timeout <time>', 'how long to wait for its end', '1m')
      .option('--force', 'kill it when it has not ended in time'),
  ).action(async (options: DownOptions) => {
    const timeoutMs = parseDurationMs(options.timeout);
    if (timeoutMs === undefined) throw usageFault('--timeout: write a time with its unit, such as 30s');
    const folder = dataFolder(options);
    const node = findNode(folder) ?? lockOwner(folder);
    if (node === undefined)
      throw new CommandFailed(exitCodes.unreachable, `no node is running on ${folder}`, 'start it with: troupe up');
    const ended = async (withinMs: number): Promise<boolean> => {
      const untilMs = systemClock.monotonic() + withinMs;
      while (isAlive(node)) {
        if (systemClock.monotonic() >= untilMs) return false;
        await wait(systemClock, pollMs);
      }
      return true;
    };
    signal(node.pid, 'SIGTERM');
    if (await ended(timeoutMs)) return say(`process ${node.pid} has ended`);
    if (options.force !== true)
      throw new CommandFailed(
        exitCodes.failed,
        `process ${node.pid} has not ended within ${options.timeout}`,
        'wait longer, or kill it with: troupe down --force',
      );
    signal(node.pid, 'SIGKILL');
    await ended(timeoutMs);
    say(`process ${node.pid} was killed; the next start takes over what it had in hand`);
  });
}

/** Signals a process; one that has just ended is no error. */
function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return;
    throw new CommandFailed(
      exitCodes.refused,
      `process ${pid} belongs to someone else`,
      'stop it as the user who started it',
    );
  }
}
