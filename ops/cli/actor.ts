import { Command } from 'commander';
import type { ActorView } from '../../runtime/messaging.ts';
import { callAdmin, type NodeOptions, runningNode, withNodeOptions } from './node-client.ts';
import { type OutputFormat, outputOption, pairs, print, printJson } from './output.ts';
import { stateText } from './tree.ts';

/** `troupe actor`: one actor with its state, context and mailbox. */
export function actorCommand(): Command {
  return withNodeOptions(
    new Command('actor')
      .description('show one actor: state, context, incarnation, restarts, mailbox')
      .argument('<address>', 'address of the actor, such as /agents/claude')
      .addOption(outputOption()),
  ).action(async (address: string, options: NodeOptions & { output: OutputFormat }) => {
    const path = `/admin/v1/actors/${encodeURIComponent(address)}`;
    const actor = (await callAdmin(runningNode(options), path)) as ActorView & { restarts?: number };
    if (options.output !== 'table') return printJson(actor, options.output);
    const { mailbox } = actor;
    print(
      pairs([
        ['address', actor.address],
        ['kind', actor.kind],
        ['status', actor.reason === undefined ? actor.status : `${actor.status}: ${actor.reason}`],
        ['state', stateText(actor.state)],
        ['incarnation', String(actor.incarnation)],
        ...(actor.restarts === undefined ? [] : [['restarts', String(actor.restarts)] as const]),
        ['persist', actor.persist],
        ['thread', String(actor.thread)],
        [
          'mailbox',
          `${mailbox.inHand} in hand, ${mailbox.waiting} waiting in memory, ${mailbox.durableWaiting} durable in all`,
        ],
        ...(actor.context === undefined ? [] : [['context', JSON.stringify(actor.context, null, 2)] as const]),
      ]),
    );
  });
}
