import { Command } from 'commander';
import type { ReadinessCheck } from '../../gateway/index.ts';
import { exitCodes } from '../exit-codes.ts';
import { adminResponse, type NodeOptions, runningNode, withNodeOptions } from './node-client.ts';
import { type OutputFormat, outputOption, paint, pairs, print, printJson } from './output.ts';

/** `troupe status`: exits 0 when the node is ready, 1 when it runs and is not. */
export function statusCommand(): Command {
  return withNodeOptions(
    new Command('status').description('say whether the node is ready, and where it listens').addOption(outputOption()),
  ).action(async (options: NodeOptions & { output: OutputFormat }) => {
    const node = runningNode(options);
    const response = await adminResponse(node, '/readyz');
    const ready = response.ok;
    const { checks } = (await response.json()) as { checks: ReadinessCheck[] };
    const troubles = checks.filter(({ ok }) => !ok).map(({ name, detail }) => `${name}: ${detail ?? 'not ready'}`);
    if (!ready) process.exitCode = exitCodes.failed;
    const { pid, engine, durability, grpc, http, admin } = node;
    if (options.output !== 'table')
      return printJson(
        { ready, pid, engine, durability, grpc, http, admin, ...(troubles.length === 0 ? {} : { troubles }) },
        options.output,
      );
    print(
      pairs([
        ['ready', ready ? paint('yes', 'green') : paint('no', 'red')],
        ...troubles.map((trouble) => ['trouble', paint(trouble, 'red')] as const),
        ['process', String(pid)],
        ['engine', node.engineDescription],
        ['durability', durability],
        ...node.warnings.map((warning) => ['warning', paint(warning, 'yellow')] as const),
        ['grpc', grpc],
        ['http', `http://${http}`],
        ['admin', `http://${admin}`],
      ]),
    );
  });
}
