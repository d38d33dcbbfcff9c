import { Command } from 'commander';
import { limits } from '../../runtime/limits.ts';
import type { ParkedView } from '../../runtime/messaging.ts';
import { callAdmin, type NodeOptions, runningNode, withNodeOptions } from './node-client.ts';
import { type OutputFormat, outputOption, print, printJson, say, table } from './output.ts';

interface Page {
  readonly items: readonly ParkedView[];
  readonly nextCursor: string | null;
}

/** `troupe parked`: addresses whose durable mail waits in the store, or that are held, and why. */
export function parkedCommand(): Command {
  return withNodeOptions(
    new Command('parked')
      .description('list the addresses whose durable mail is parked, or that are held, and why')
      .option('--cursor <cursor>', 'go on behind this address')
      .addOption(outputOption()),
  ).action(async (options: NodeOptions & { output: OutputFormat; cursor?: string }) => {
    const query = new URLSearchParams({ limit: String(limits.pageItems) });
    if (options.cursor !== undefined) query.set('cursor', options.cursor);
    const page = (await callAdmin(runningNode(options), `/admin/v1/parked?${query}`)) as Page;
    if (options.output === 'json') return printJson(page);
    if (options.output === 'jsonl') for (const item of page.items) printJson(item, 'jsonl');
    else if (page.items.length === 0) say('nothing is parked or held');
    else printParked(page.items);
    if (page.nextCursor !== null) say(`there are more: --cursor ${page.nextCursor}`);
  });
}

function printParked(parked: readonly ParkedView[]): void {
  print(parkedTable(parked));
  const isShown = (why: string): boolean => parked.some(({ hold }) => hold?.why === why);
  if (isShown('unreadable'))
    say('what the code cannot restore is tried again by: troupe resume ADDRESS; what is wrong: troupe upgrade check');
  if (isShown('hung')) say('what hangs of itself is tried again, once it is mended, by: troupe resume ADDRESS');
}

function parkedTable(parked: readonly ParkedView[]): string {
  return table(
    ['ADDRESS', 'WAITING', 'WHY', 'UNTIL', 'TEXT'],
    parked.map(({ address, waiting, hold }) => [
      address,
      String(waiting),
      hold?.why ?? 'busy',
      hold?.untilMs === undefined ? '-' : new Date(hold.untilMs).toISOString(),
      hold === undefined ? 'its mail comes back as it is handled' : (hold.text.split('\n')[0] ?? ''),
    ]),
  );
}
