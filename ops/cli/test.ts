import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { suggestion } from '../config/nearest.ts';
import { exitCodes } from '../exit-codes.ts';
import { findTestFiles, isLong, namesOf } from '../test-runner/files.ts';
import { missingNeeds } from '../test-runner/needs.ts';
import { checkSteps, runSteps, testSteps } from '../test-runner/steps.ts';
import { CommandFailed } from './failure.ts';
import { say } from './output.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

interface TestOptions {
  readonly all?: true;
  readonly watch?: true;
}

/** Test files, and how the last line of the run calls them. */
interface Suite {
  readonly files: readonly string[];
  readonly said: string;
}

/** `troupe test`: format, lint, types, generated code, then the fast suite; with `--all`, as in CI, every test. */
export function testCommand(): Command {
  return new Command('test')
    .description(
      'format, lint, types, generated code and the fast tests; with --all every test; with a name those of it',
    )
    .argument('[name]', 'a part of the test file’s path, such as supervisor or test/e2e; finds fast and long ones')
    .option('--all', 'the long tests too, which take minutes: kills, faults, torture, troubles of engines')
    .option('--watch', 'run again when a file changes')
    .action(async (name: string | undefined, options: TestOptions) => {
      const every = findTestFiles(root);
      if (every.length === 0) {
        throw new CommandFailed(exitCodes.notFound, 'there are no tests here', 'clone the repository to run its tests');
      }
      const { files, said } = name === undefined ? suiteOf(every, options.all === true) : named(every, name);
      const missing = await missingNeeds(root, say);
      const strict = process.env.CI === 'true';
      for (const need of missing) {
        say(`missing: ${need.name}: ${need.remedy}${strict ? '' : `; skipped: the tests of ${need.tests}`}`);
      }
      if (strict && missing.length > 0) {
        throw new CommandFailed(exitCodes.failed, 'under CI=true nothing that the tests need may be missing');
      }
      const watch = options.watch === true;
      const checks = name === undefined && !watch ? checkSteps(root) : [];
      const failed = await runSteps([...checks, ...testSteps(root, files, watch)], root, say);
      say(`this was ${said}`);
      if (failed.length > 0) throw new CommandFailed(exitCodes.failed, `failed: ${failed.join(', ')}`);
    });
}

function suiteOf(every: readonly string[], all: boolean): Suite {
  if (all) return { files: every, said: `every test: ${every.length} files` };
  const files = every.filter((file) => !isLong(file));
  const rest = every.length - files.length;
  return { files, said: `the fast suite: ${files.length} files; with the ${rest} long ones: troupe test --all` };
}

function named(every: readonly string[], name: string): Suite {
  const files = every.filter((file) => file.includes(name));
  if (files.length > 0) return { files, said: `what has '${name}' in its path: ${files.join(', ')}` };
  throw new CommandFailed(
    exitCodes.notFound,
    `no test file has '${name}' in its path${suggestion(name, namesOf(every))}`,
    'list them: ls test/*',
  );
}
