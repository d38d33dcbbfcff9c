import { Command } from 'commander';
import type { SubtreeAction } from '../../gateway/index.ts';
import { limits } from '../../runtime/limits.ts';
import type { SubtreeOutcome } from '../../supervisors/index.ts';
import { usageFault } from './failure.ts';
import { callAdmin, type NodeOptions, runningNode, withNodeOptions } from './node-client.ts';
import { type OutputFormat, outputOption, print, printJson, say } from './output.ts';

interface Told {
  readonly description: string;
  readonly done: string;
  /** What the next step is. */
  readonly next: (address: string) => string | undefined;
}

const letGo = (address: string): string => `let it go on with: troupe resume ${address}`;

const told: Readonly<Record<SubtreeAction, Told>> = {
  stop: {
    description: 'stop an actor or a supervisor with all below it, until it is restarted or resumed',
    done: 'stopped',
    next: letGo,
  },
  restart: {
    description: 'end the present life of an actor or a supervisor with all below it, and begin the next',
    done: 'restarted',
    next: () => undefined,
  },
  pause: {
    description: 'let an actor, or all actors below a supervisor, take no messages until they are resumed',
    done: 'paused',
    next: letGo,
  },
  resume: { description: 'undo stop and pause, there and below', done: 'resumed', next: () => undefined },
};

/** `troupe stop`, `restart`, `pause`, `resume`: what an operator may do to a part of the tree. */
export function subtreeCommand(action: SubtreeAction): Command {
  const { description, done, next } = told[action];
  const command = new Command(action)
    .description(description)
    .argument('<address>', 'address of the part, such as /agents or /agents/claude')
    .option(
      '--reason <text>',
      `why, for the log and for whoever meets it (at most ${limits.reasonCharacters} characters)`,
    )
    .addOption(outputOption());
  return withNodeOptions(command).action(
    async (address: string, options: NodeOptions & { output: OutputFormat; reason?: string }) => {
      const { reason = '' } = options;
      if (reason.length > limits.reasonCharacters)
        throw usageFault(`--reason: write at most ${limits.reasonCharacters} characters`);
      const path = `/admin/v1/tree/actions/${action}`;
      const outcome = (await callAdmin(runningNode(options), path, 'POST', { address, reason })) as SubtreeOutcome;
      if (options.output !== 'table') return printJson(outcome, options.output);
      const actors = `${outcome.actors} ${outcome.actors === 1 ? 'actor' : 'actors'}`;
      const now = action === 'restart' || action === 'resume' ? `, now ${outcome.status}` : '';
      print(`${done} ${outcome.address}: ${actors}${now}`);
      const advice = next(outcome.address);
      if (advice !== undefined) say(advice);
    },
  );
}
