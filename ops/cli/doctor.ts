import { Command } from 'commander';
import type { Finding } from '../../runtime/engines/finding.ts';
import { readConfig } from '../config/read.ts';
import { examine } from '../doctor.ts';
import { exitCodes } from '../exit-codes.ts';
import { type OutputFormat, outputOption, paint, print, printJson } from './output.ts';
import { type ConfigFileOption, givenFlags, withSettingOptions } from './setting-options.ts';

/** `troupe doctor`: looks at what `up` needs; exits 1 when something that it needs fails. */
export function doctorCommand(): Command {
  return withSettingOptions(
    new Command('doctor')
      .description('look at what a node needs to start, and say how to mend what is missing')
      .addOption(outputOption()),
  ).action(async (options: ConfigFileOption & { output: OutputFormat }) => {
    const { settings } = readConfig({ file: options.config, flags: givenFlags({ ...options }) });
    const findings = await examine(settings);
    if (findings.some(({ status }) => status === 'fails')) process.exitCode = exitCodes.failed;
    if (options.output === 'json') printJson({ ok: process.exitCode !== exitCodes.failed, findings });
    else if (options.output === 'jsonl') for (const finding of findings) printJson(finding, 'jsonl');
    else print(findings.map(line).join('\n'));
  });
}

const marks = { ok: ['ok   ', 'green'], warns: ['warns', 'yellow'], fails: ['FAILS', 'red'] } as const;

function line({ check, status, found, mend }: Finding): string {
  const [mark, color] = marks[status];
  const head = `${paint(mark, color)}  ${check}: ${found}`;
  return mend === undefined ? head : `${head}\n       -> ${mend}`;
}
