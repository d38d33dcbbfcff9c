import { Command, Option } from 'commander';
import { TroupeError } from '../../runtime/errors.ts';
import { limits } from '../../runtime/limits.ts';
import { deadLetterReasons } from '../../runtime/mailbox/dead-letters.ts';
import type { DeadLetterDetail, DeadLetterOutcome, DeadLetterView } from '../../runtime/messaging.ts';
import { exitCodes } from '../exit-codes.ts';
import { CommandFailed, usageFault } from './failure.ts';
import { callAdmin, type NodeOptions, runningNode, withNodeOptions } from './node-client.ts';
import { type OutputFormat, outputOption, pairs, print, printJson, say, table } from './output.ts';

interface FilterOptions {
  readonly address?: string;
  readonly reason?: string;
  readonly type?: string;
  readonly before?: string;
  readonly after?: string;
}

interface ListOptions extends NodeOptions, FilterOptions {
  readonly output: OutputFormat;
  readonly cursor?: string;
  readonly limit?: string;
}

interface ActionOptions extends NodeOptions, FilterOptions {
  readonly output: OutputFormat;
  readonly limit?: string;
  readonly all?: true;
  readonly dryRun?: true;
}

interface Page {
  readonly items: readonly DeadLetterView[];
  readonly nextCursor: string | null;
}

/** `troupe dead-letters`: messages that ended unhandled; look at them, send them once more, or throw them away. */
export function deadLettersCommand(): Command {
  return new Command('dead-letters')
    .description('messages that ended unhandled: list, show, replay, discard')
    .addCommand(listCommand())
    .addCommand(showCommand())
    .addCommand(actionCommand('replay', 'send their messages once more, under the same ids'))
    .addCommand(actionCommand('discard', 'remove them for good'));
}

async function call(options: NodeOptions & { readonly output: OutputFormat }, path: string, body?: object) {
  const node = runningNode(options);
  try {
    return await callAdmin(node, `/admin/v1/dead-letters${path}`, body === undefined ? 'GET' : 'POST', body);
  } catch (error) {
    // The advice that goes with this reason is about addresses; the message has that for letters.
    if (options.output === 'table' && error instanceof TroupeError && error.reason === 'NOT_FOUND')
      throw new CommandFailed(exitCodes.notFound, error.message);
    throw error;
  }
}

function withFilterOptions(command: Command): Command {
  return command
    .option('--address <pattern>', 'their addresses, such as "/agents/*" or "/agents/**"')
    .addOption(new Option('--reason <reason>', 'why they ended').choices(deadLetterReasons))
    .option('--type <type>', 'their message type')
    .option('--before <time>', 'written before this time, such as 2026-11-21T08:00:00Z')
    .option('--after <time>', 'written at this time or later');
}

function listCommand(): Command {
  return withNodeOptions(
    withFilterOptions(new Command('list').description('list dead letters by ascending id'))
      .option('--limit <count>', `how many, at most ${limits.pageItems}`)
      .option('--cursor <cursor>', 'go on behind this id')
      .addOption(outputOption()),
  ).action(async (options: ListOptions) => {
    const query = new URLSearchParams(filterOf(options));
    if (options.cursor !== undefined) query.set('cursor', options.cursor);
    if (options.limit !== undefined) query.set('limit', String(wholeNumber(options.limit, limits.pageItems)));
    const page = (await call(options, `?${query}`)) as Page;
    if (options.output === 'json') return printJson(page);
    if (options.output === 'jsonl') for (const item of page.items) printJson(item, 'jsonl');
    else if (page.items.length === 0) say('there are no such dead letters');
    else print(letterTable(page.items));
    if (page.nextCursor !== null) say(`there are more: --cursor ${page.nextCursor}`);
  });
}

function showCommand(): Command {
  return withNodeOptions(
    new Command('show')
      .description('show one dead letter with its errors and its payload')
      .argument('<id>', 'id of the letter, which is that of its message')
      .addOption(outputOption()),
  ).action(async (id: string, options: NodeOptions & { output: OutputFormat }) => {
    const letter = (await call(options, `/${encodeURIComponent(id)}`)) as DeadLetterDetail;
    if (options.output !== 'table') return printJson(letter, options.output);
    print(
      pairs([
        ['id', letter.id],
        ['address', letter.address],
        ['type', letter.type],
        ...(letter.from === undefined ? [] : [['from', letter.from] as const]),
        ['reason', letter.reason],
        ['written', timeOf(letter.atMs)],
        ['attempts', String(letter.attempts)],
        ...letter.errors.map(({ atMs, message }) => ['error', `${timeOf(atMs)}  ${message}`] as const),
        ...(letter.headers === undefined ? [] : [['headers', JSON.stringify(letter.headers)] as const]),
        ['payload', JSON.stringify(letter.payload, null, 2)],
      ]),
    );
  });
}

function actionCommand(action: 'replay' | 'discard', description: string): Command {
  return withNodeOptions(
    withFilterOptions(
      new Command(action)
        .description(description)
        .argument('[ids...]', 'ids of the letters; without any, a filter says which'),
    )
      .option('--limit <count>', `how many a filter may take, at most ${limits.deadLettersPerAction} (the default)`)
      .option('--all', 'every letter, without a filter')
      .option('--dry-run', 'only say which')
      .addOption(outputOption()),
  ).action(async (ids: string[], options: ActionOptions) => {
    const body = { ...orderOf(ids, options), dryRun: options.dryRun === true };
    const outcome = (await call(options, `/actions/${action}`, body)) as DeadLetterOutcome;
    if (options.output === 'table') printOutcome(action, outcome);
    else printJson(outcome, options.output);
    for (const { id, why } of outcome.skipped) say(`${id}: ${skippedTexts[why]}`);
    if ('filter' in body && outcome.matched === body.limit) say('there may be more: run it again');
    if (outcome.skipped.some(({ why }) => why === 'NOT_FOUND')) process.exitCode = exitCodes.notFound;
    else if (outcome.skipped.length > 0) process.exitCode = exitCodes.failed;
  });
}

const skippedTexts: Readonly<Record<DeadLetterOutcome['skipped'][number]['why'], string>> = {
  NOT_FOUND: 'there is no such letter',
  LOST: 'it stands for lost messages and cannot be replayed',
  WORK_FAILED: 'its message was handled and cannot be replayed',
};

/** The ids or the filter of an action; neither is refused, so that a slip of the hand does not mean everything. */
function orderOf(ids: readonly string[], options: ActionOptions) {
  const filter = filterOf(options);
  const filtered = Object.keys(filter).length > 0;
  if (ids.length > 0) {
    if (filtered || options.all === true || options.limit !== undefined)
      throw usageFault('name ids, or say which with a filter, but not both');
    if (ids.length > limits.deadLettersPerAction)
      throw usageFault(`at most ${limits.deadLettersPerAction} ids at once`);
    return { ids };
  }
  if (filtered === (options.all === true))
    throw usageFault(
      filtered ? '--all goes without a filter' : 'this would mean every dead letter',
      'name ids, filter with --address, --reason, --type, --before or --after, or say --all',
    );
  const limit = options.limit === undefined ? limits.deadLettersPerAction : options.limit;
  return { filter, limit: typeof limit === 'number' ? limit : wholeNumber(limit, limits.deadLettersPerAction) };
}

function filterOf({ address, reason, type, before, after }: FilterOptions): Record<string, string> {
  return {
    ...(address === undefined ? {} : { address }),
    ...(reason === undefined ? {} : { reason }),
    ...(type === undefined ? {} : { type }),
    ...(before === undefined ? {} : { before }),
    ...(after === undefined ? {} : { after }),
  };
}

function wholeNumber(text: string, most: number): number {
  const count = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  if (count < 1 || count > most) throw usageFault(`--limit: write a whole number from 1 to ${most}`);
  return count;
}

function letterTable(letters: readonly DeadLetterView[]): string {
  return table(
    ['ID', 'WRITTEN', 'ADDRESS', 'TYPE', 'REASON', 'ATTEMPTS', 'LAST ERROR'],
    letters.map((letter) => [
      letter.id,
      timeOf(letter.atMs),
      letter.address,
      letter.type,
      letter.reason,
      String(letter.attempts),
      letter.errors.at(-1)?.message.split('\n')[0]?.slice(0, 100) ?? '-',
    ]),
  );
}

function printOutcome(action: 'replay' | 'discard', { ids, dryRun }: DeadLetterOutcome): void {
  const done = action === 'replay' ? 'replayed' : 'discarded';
  const count = `${ids.length} dead ${ids.length === 1 ? 'letter' : 'letters'}`;
  print([dryRun ? `${count} would be ${done}` : `${count} ${done}`, ...ids.map((id) => `  ${id}`)].join('\n'));
}

const timeOf = (atMs: number): string => new Date(atMs).toISOString();
