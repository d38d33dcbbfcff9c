/** All commands. Each lives in a file of its own and loads what is heavy when it runs. */

import { Command } from 'commander';
import { exitCodes, exitMeanings } from '../exit-codes.ts';
import { version } from '../version.ts';

/** Every command, loaded when it is wanted. The order is that of the help. */
const commands: Readonly<Record<string, () => Promise<Command>>> = {
  up: async () => (await import('./up.ts')).upCommand(),
  down: async () => (await import('./down.ts')).downCommand(),
  status: async () => (await import('./status.ts')).statusCommand(),
  tree: async () => (await import('./tree.ts')).treeCommand(),
  actor: async () => (await import('./actor.ts')).actorCommand(),
  tell: async () => (await import('./message.ts')).tellCommand(),
  ask: async () => (await import('./message.ts')).askCommand(),
  stream: async () => (await import('./message.ts')).streamCommand(),
  task: async () => (await import('./task.ts')).taskCommand(),
  stop: async () => (await import('./subtree.ts')).subtreeCommand('stop'),
  restart: async () => (await import('./subtree.ts')).subtreeCommand('restart'),
  pause: async () => (await import('./subtree.ts')).subtreeCommand('pause'),
  resume: async () => (await import('./subtree.ts')).subtreeCommand('resume'),
  parked: async () => (await import('./parked.ts')).parkedCommand(),
  'dead-letters': async () => (await import('./dead-letters.ts')).deadLettersCommand(),
  faults: async () => (await import('../faults/command.ts')).faultsCommand(),
  simulate: async () => (await import('../simulate/command.ts')).simulateCommand(),
  torture: async () => (await import('../torture/command.ts')).tortureCommand(),
  bench: async () => (await import('../bench/command.ts')).benchCommand(),
  upgrade: async () => (await import('./upgrade.ts')).upgradeCommand(),
  data: async () => (await import('./data.ts')).dataCommand(),
  doctor: async () => (await import('./doctor.ts')).doctorCommand(),
  config: async () => (await import('./config.ts')).configCommand(),
  test: async () => (await import('./test.ts')).testCommand(),
  completion: async () => (await import('./completion.ts')).completionCommand(),
};

/**
 * The command line; it throws `CommanderError` instead of ending the process. Given the name of a command it has that
 * one alone, else all.
 */
export async function createProgram(name?: string): Promise<Command> {
  const program = new Command('troupe')
    .description('Actors in a supervision tree, with durable mailboxes, for the back ends of AI agents')
    .version(version(), '-V, --version', 'print the version')
    .helpCommand('help [command]', 'print the help of a command')
    .addHelpText('after', () => `\nExit codes:\n${exitCodeLines().join('\n')}`);
  const alone =
    name !== undefined && name !== 'completion' && Object.hasOwn(commands, name) ? commands[name] : undefined;
  for (const load of alone === undefined ? Object.values(commands) : [alone]) program.addCommand(await load());
  settle(program);
  return program;
}

/** The same manners for every command, however deep. */
function settle(command: Command): void {
  command
    .exitOverride()
    .showSuggestionAfterError()
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'troupe: ')) });
  for (const child of command.commands) settle(child);
}

function exitCodeLines(): string[] {
  return Object.entries(exitCodes).map(
    ([name, code]) => `  ${String(code).padStart(3)}  ${exitMeanings[name as keyof typeof exitCodes]}`,
  );
}
