import { type Command, CommanderError } from 'commander';
import { exitCodes } from '../exit-codes.ts';
import { describeFailure } from './failure.ts';
import type { OutputFormat } from './output.ts';
import { createProgram } from './program.ts';

/** Runs one command and sets the process's exit code from `exit-codes.ts`. */
export async function runCommand(words: readonly string[]): Promise<void> {
  // Who reads our answer may have seen enough of it.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(exitCodes.ok);
    throw error;
  });
  let running: Command | undefined;
  try {
    const program = await createProgram(words[0]);
    program.hook('preAction', (_program, command) => {
      running = command;
    });
    await program.parseAsync(words, { from: 'user' });
  } catch (thrown) {
    if (thrown instanceof CommanderError) {
      process.exitCode = thrown.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
      return;
    }
    const format = (running?.opts() as { output?: OutputFormat } | undefined)?.output ?? 'table';
    const { exitCode, text } = describeFailure(thrown, format);
    process.stderr.write(`${text}\n`);
    process.exitCode = exitCode;
  }
}
