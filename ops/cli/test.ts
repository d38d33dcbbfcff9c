import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { suggestion } from '../config/nearest.ts';
import { exitCodes } from '../exit-codes.ts';
import { findTestFiles, namesOf } from '../test-runner/files.ts';
import { missingNeeds } from '../test-runner/needs.ts';
import { checkSteps, runSteps, testStep } from '../test-runner/steps.ts';
import { CommandFailed } from './failure.ts';
import { say } from './output.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

interface TestOptions {
  readonly watch?: true;
}

/** `troupe test`: what a change has to pass, here and in CI: format, lint, types, generated code, then every test. */
export function testCommand(): Command {
  return new Command('test')
    .description('format, lint, types, generated code and every test; with a name, the tests whose file name has it')
    .argument('[name]', 'a part of the test file’s path, such as supervisor or test/e2e')
    .option('--watch', 'run again when a file changes')
    .action(async (name: string | undefined, options: TestOptions) => {
      const all = findTestFiles(root);
      if (all.length === 0) {
        throw new CommandFailed(exitCodes.notFound, 'there are no tests here', 'clone the repository to run its tests');
      }
      const files = name === undefined ? all : all.filter((file) => file.includes(name));
      if (files.length === 0) {
        const near = suggestion(name ?? '', namesOf(all));
        throw new CommandFailed(
          exitCodes.notFound,
          `no test file has '${name}' in its path${near}`,
          'list them: ls test/*',
        );
      }
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
      const failed = await runSteps([...checks, testStep(root, files, watch)], root, say);
      if (failed.length > 0) throw new CommandFailed(exitCodes.failed, `failed: ${failed.join(', ')}`);
    });
}
