import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { Command } from 'commander';
import { systemClock } from '../../runtime/clock.ts';
import { systemRandom } from '../../runtime/random.ts';
import { CommandFailed, usageFault } from '../cli/failure.ts';
import { interruptSignal } from '../cli/interrupt.ts';
import { callAdmin, type NodeOptions, runningNode, withNodeOptions } from '../cli/node-client.ts';
import { type OutputFormat, outputOption, print, printJson, say } from '../cli/output.ts';
import { exitCodes } from '../exit-codes.ts';

/** `troupe faults`: scenarios, single faults, and undoing what an ended run left. */
export function faultsCommand(): Command {
  return new Command('faults')
    .description('break things on purpose, and see whether the promises hold')
    .addCommand(runCommand())
    .addCommand(injectCommand())
    .addCommand(healCommand());
}

function runCommand(): Command {
  return new Command('run')
    .description('run a scenario on a system of its own, heal what it broke, and report')
    .argument('<file>', 'the scenario, such as test/faults/first-light.yaml')
    .option('--report <folder>', 'write report.json, history.ndjson and the node’s log there')
    .addOption(outputOption())
    .action(async (file: string, options: { readonly report?: string; readonly output: OutputFormat }) => {
      const { parseScenario, ScenarioError } = await import('./scenario.ts');
      const { runScenario } = await import('./runner.ts');
      const { summaryOf } = await import('./report.ts');
      const signal = interruptSignal();
      try {
        const scenario = parseScenario(readScenario(file), file);
        const folder = dirname(resolve(file));
        const named = options.report ?? (scenario.report && resolve(folder, scenario.report.folder));
        const report = await runScenario({
          scenario,
          file,
          folder,
          ...(named === undefined ? {} : { reportFolder: resolve(named) }),
          clock: systemClock,
          random: systemRandom,
          signal,
          say,
        });
        if (options.output === 'table') print(summaryOf(report));
        else printJson(report, options.output);
        process.exitCode = report.exitCode;
      } catch (error) {
        if (error instanceof ScenarioError) throw usageFault(error.message);
        throw error;
      }
    });
}

function readScenario(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') throw new CommandFailed(exitCodes.usage, `there is no file ${file}`);
    throw new CommandFailed(exitCodes.usage, `${file} cannot be read (${code})`);
  }
}

const actions = ['kill-thread', 'crash-actor', 'hang-actor'] as const;

function injectCommand(): Command {
  return withNodeOptions(
    new Command('inject')
      .description('break one thing of the running node, which must have been started with --allow-faults')
      .argument('<fault>', actions.join(', '))
      .argument('<target>', 'the number of a thread, or the address of an actor'),
  ).action(async (action: string, target: string, options: NodeOptions) => {
    const known = actions.find((one) => one === action);
    if (known === undefined) {
      const { suggestion } = await import('../config/nearest.ts');
      throw usageFault(`there is no fault ${action}${suggestion(action, actions)}`, `known: ${actions.join(', ')}`);
    }
    if (known === 'kill-thread' && !/^[1-9]\d{0,3}$/.test(target))
      throw usageFault(`${target} is no thread`, 'threads are numbered from 1; troupe tree shows them');
    const body = known === 'kill-thread' ? { slot: Number(target) } : { address: target };
    await callAdmin(runningNode(options), `/admin/v1/faults/actions/${known}`, 'POST', body);
    say(`${known} ${target}: done`);
  });
}

function healCommand(): Command {
  return new Command('heal')
    .description('end the systems that fault runs left behind when they and their watchdog were killed')
    .action(async () => {
      const { abandonedRuns, endRun } = await import('./run-folder.ts');
      const left = abandonedRuns();
      for (const folder of left) await endRun(folder, systemClock);
      print(left.length === 0 ? 'nothing was left behind' : `ended and removed: ${left.join(', ')}`);
    });
}
