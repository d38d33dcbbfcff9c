/** `tell`, `ask` and `stream`: messages to actors from the command line. */

import { Argument, Command, InvalidArgumentError, Option } from 'commander';
import type { Client, ClientMessage } from '../../gateway/client.ts';
import { type Delivery, lanes, type Priority } from '../../runtime/envelope.ts';
import { defaults } from '../../runtime/limits.ts';
import { formatDuration, parseDurationMs } from '../config/values.ts';
import { interruptSignal } from './interrupt.ts';
import { type NodeOptions, reachable, runningNode, withNodeOptions } from './node-client.ts';
import { type OutputFormat, outputOption, print, printJson } from './output.ts';
import { readPayload } from './payload.ts';

/** What every way of sending has. */
export interface MessageOptions extends NodeOptions {
  readonly output: OutputFormat;
  readonly delivery?: Delivery;
  readonly priority?: Priority;
  readonly key?: string;
  readonly header: Readonly<Record<string, string>>;
}

interface TellOptions extends MessageOptions {
  readonly delay?: number;
}

interface AskOptions extends MessageOptions {
  readonly timeout: number;
}

export function tellCommand(): Command {
  return messageCommand('tell', 'send a message that nobody answers; prints its id')
    .addOption(
      new Option('--delay <time>', 'time until it may be handled, such as 5s or 2h; makes it durable').argParser(
        readDuration,
      ),
    )
    .action(
      run(async (client, message, { output: format, delay: delayMs }: TellOptions) => {
        const accepted = await client.tell({ ...message, ...(delayMs === undefined ? {} : { delayMs }) });
        if (format === 'table') print(accepted.messageId);
        else printJson(accepted, format);
      }),
    );
}

export function askCommand(): Command {
  return withTimeout(messageCommand('ask', 'send a message and print its answer')).action(
    run(async (client, message, { output: format, timeout: timeoutMs }: AskOptions) => {
      const reply = await client.ask(message, { timeoutMs, signal: interruptSignal() });
      if (format === 'table' && typeof reply === 'string') print(reply);
      else printJson(reply, format);
    }),
  );
}

export function streamCommand(): Command {
  return withTimeout(messageCommand('stream', 'send a message and print the parts of its answer as they come')).action(
    run(async (client, message, { output: format, timeout: timeoutMs }: AskOptions) => {
      const chunks: unknown[] = [];
      const onChunk = (chunk: unknown): void => {
        if (format === 'json') chunks.push(chunk);
        else if (format === 'table' && typeof chunk === 'string') process.stdout.write(chunk);
        else printJson(format === 'jsonl' ? { chunk } : chunk, 'jsonl');
      };
      const reply = await client.stream(message, { timeoutMs, signal: interruptSignal(), onChunk });
      if (format === 'json') printJson({ chunks, reply });
      else if (format === 'jsonl') printJson({ reply }, 'jsonl');
      else printJson(reply);
    }),
  );
}

function messageCommand(name: string, description: string): Command {
  return withMessage(name, description).addOption(
    new Option('--delivery <class>', 'how far its life is kept').choices(['at-most-once', 'at-least-once']),
  );
}

/** A command that sends a message: its arguments, and the options that every way of sending has. */
export function withMessage(name: string, description: string): Command {
  return withNodeOptions(
    new Command(name)
      .description(description)
      .argument('<to>', 'address of the actor, such as /agents/claude')
      .argument('<type>', 'type of the message, such as plan')
      .addArgument(new Argument('[payload]', 'JSON, @FILE, or - for stdin').default(undefined, '{}'))
      .option('--key <key>', 'idempotency key: of its repeats within 24 h one is handled; makes it durable')
      .addOption(new Option('--priority <class>', 'who goes first among what waits for the actor').choices(lanes))
      .option('--header <name=value>', 'a header of the message; may be repeated', readHeader, {})
      .addOption(outputOption()),
  );
}

function withTimeout(command: Command): Command {
  return command.addOption(
    new Option('--timeout <time>', 'how long to wait for the answer, such as 500ms or 2m')
      .argParser(readDuration)
      .default(defaults.askTimeoutMs, formatDuration(defaults.askTimeoutMs)),
  );
}

export function readDuration(text: string): number {
  const durationMs = parseDurationMs(text);
  if (durationMs === undefined) throw new InvalidArgumentError('Write a time with its unit, such as 500ms, 30s, 2m.');
  return durationMs;
}

function readHeader(text: string, former: Readonly<Record<string, string>>): Record<string, string> {
  const cut = text.indexOf('=');
  if (cut < 1) throw new InvalidArgumentError('Write name=value.');
  return { ...former, [text.slice(0, cut).toLowerCase()]: text.slice(cut + 1) };
}

/** Reads the message of a command and hands it over with a client of the running node. */
export function run<Options extends MessageOptions>(
  perform: (client: Client, message: ClientMessage, options: Options) => Promise<void>,
) {
  return async (to: string, type: string, payload: string | undefined, options: Options): Promise<void> => {
    const message: ClientMessage = {
      to,
      type,
      payload: await readPayload(payload),
      ...(options.delivery === undefined ? {} : { delivery: options.delivery }),
      ...(options.priority === undefined ? {} : { priority: options.priority }),
      ...(options.key === undefined ? {} : { idempotencyKey: options.key }),
      headers: options.header,
    };
    await withClient(options, (client) => perform(client, message, options));
  };
}

/** Connects to the running node for as long as `work` takes. */
export async function withClient(options: NodeOptions, work: (client: Client) => Promise<void>): Promise<void> {
  const node = runningNode(options);
  const { connect } = await import('../../gateway/client.ts');
  const client = connect(reachable(node.grpc), node.token === undefined ? {} : { token: node.token });
  try {
    await work(client);
  } finally {
    client.close();
  }
}
