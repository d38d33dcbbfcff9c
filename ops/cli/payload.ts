import { createReadStream } from 'node:fs';
import type { Json } from '../../runtime/envelope.ts';
import { TroupeError, textOf } from '../../runtime/errors.ts';
import { limits } from '../../runtime/limits.ts';
import { exitCodes } from '../exit-codes.ts';
import { CommandFailed, usageFault } from './failure.ts';

/**
 * The payload of a message: the argument itself, `-` for stdin, `@FILE` for a file; `{}` without one.
 * The node checks its size and its fields; here it only has to be JSON.
 */
export async function readPayload(argument: string | undefined): Promise<Json> {
  const text = await textOfArgument(argument);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw usageFault(`the payload is not JSON: ${textOf(error)}`, `write it in single quotes, such as '{"n":1}'`);
  }
}

async function textOfArgument(argument: string | undefined): Promise<string> {
  if (argument === undefined) return '{}';
  if (argument === '-') return collect(process.stdin);
  if (!argument.startsWith('@')) return argument;
  const path = argument.slice(1);
  try {
    return await collect(createReadStream(path));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    throw new CommandFailed(exitCodes.notFound, `the payload's file cannot be read: ${textOf(error)}`);
  }
}

async function collect(stream: AsyncIterable<Buffer | string>): Promise<string> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of stream) {
    const buffer = Buffer.from(piece);
    bytes += buffer.length;
    if (bytes > limits.transportBytes)
      throw new TroupeError('PAYLOAD_TOO_LARGE', `the payload is larger than ${limits.payloadBytes} bytes`);
    pieces.push(buffer);
  }
  return Buffer.concat(pieces).toString('utf8');
}
