/** How a command ends when it does not end well: a text that says what to do next, and a code from the one table. */

import { errorTable, TroupeError } from '../../runtime/errors.ts';
import { ConfigError } from '../config/fault.ts';
import { type ExitCode, exitCodeOf, exitCodes } from '../exit-codes.ts';
import type { OutputFormat } from './output.ts';

/** A command that failed for a reason of its own. */
export class CommandFailed extends Error {
  override readonly name: string = 'CommandFailed';
  readonly exitCode: ExitCode;
  readonly advice: string | undefined;

  constructor(exitCode: ExitCode, message: string, advice?: string) {
    super(message);
    this.exitCode = exitCode;
    this.advice = advice;
  }
}

/** A mistake in what was typed. */
export function usageFault(message: string, advice?: string): CommandFailed {
  return new CommandFailed(exitCodes.usage, message, advice);
}

/** The exit code of a failure, and what stderr says: lines for people, one JSON document with `-o json` and `jsonl`. */
export function describeFailure(thrown: unknown, format: OutputFormat): { exitCode: ExitCode; text: string } {
  const { exitCode, lines, data } = read(thrown);
  const [first, ...rest] = lines;
  return {
    exitCode,
    text:
      format === 'table'
        ? [`troupe: ${first}`, ...rest.map((line) => `  ${line}`)].join('\n')
        : JSON.stringify({ error: { ...data, exitCode } }),
  };
}

function read(thrown: unknown): { exitCode: ExitCode; lines: string[]; data: object } {
  if (thrown instanceof TroupeError) {
    const fields = (thrown.fields ?? []).map(({ path, message }) => `${path}: ${message}`);
    const advice: string = errorTable[thrown.reason].advice;
    return {
      exitCode: exitCodeOf(thrown.reason),
      lines: [`${thrown.reason}: ${thrown.message}`, ...fields, ...(thrown.message.includes(advice) ? [] : [advice])],
      data: { ...thrown.toData(), advice },
    };
  }
  if (thrown instanceof CommandFailed) {
    const advice = thrown.advice === undefined ? [] : [thrown.advice];
    return {
      exitCode: thrown.exitCode,
      lines: [thrown.message, ...advice],
      data: { message: thrown.message, ...(thrown.advice === undefined ? {} : { advice: thrown.advice }) },
    };
  }
  if (thrown instanceof ConfigError) {
    const told = thrown.faults.map((fault) => `${fault.where}: ${fault.message}`);
    return {
      exitCode: exitCodes.usage,
      lines: told.length === 1 ? told : ['the configuration cannot be used', ...told],
      data: { message: 'the configuration cannot be used', faults: thrown.faults },
    };
  }
  if ((thrown as Error | null)?.name === 'AbortError')
    return { exitCode: exitCodes.interrupted, lines: ['interrupted'], data: { message: 'interrupted' } };
  const text = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
  return { exitCode: exitCodes.failed, lines: text.split('\n'), data: { message: text } };
}
