import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../runtime/clock.ts';
import { compiledFolder } from '../compiled-folder.ts';
import { isLong } from './files.ts';

/** One program that has to end well; `args` go to this Node. */
export interface Step {
  readonly title: string;
  readonly args: readonly string[];
  /** When it is ended, because something in it must hang. */
  readonly limitMs?: number;
}

/** Above every honest test. */
const testLimitMs = 8 * 60_000;
/** Node's own limit does not end a file whose tests are over but which something keeps alive. */
const suiteLimitMs = 20 * 60_000;
/** Files that run at once: each may start servers and nodes of its own, so that even large machines run few. */
const cores = Math.max(1, Math.min(4, availableParallelism()));

/** Format and lint, types, generated code: everything but the tests. */
export function checkSteps(root: string): Step[] {
  return [
    {
      title: 'format and lint',
      args: [program(root, '@biomejs/biome', 'biome'), 'check', '--error-on-warnings', '--diagnostic-level=warn'],
    },
    { title: 'types', args: [program(root, 'typescript', 'tsc'), '--noEmit'] },
    { title: 'generated code', args: ['ops/proto.ts', '--check'] },
  ];
}

/** The tests in these files, the fast ones first; when they are watched, in one step that does not end. */
export function testSteps(root: string, files: readonly string[], watch: boolean): Step[] {
  if (watch) return [{ title: 'tests', args: testArguments(root, files, cores, ['--watch']) }];
  const long = files.filter(isLong);
  const fast = files.filter((file) => !isLong(file));
  return [
    // They wait more than they compute, so that one file more than there are cores is not too much.
    ...(fast.length === 0 ? [] : [{ title: 'fast tests', args: testArguments(root, fast, cores + 1) }]),
    ...(long.length === 0 ? [] : [{ title: 'long tests', args: testArguments(root, long, cores) }]),
  ].map((step) => ({ ...step, limitMs: suiteLimitMs }));
}

/**
 * Libraries run in their development builds, which check more; the processes that tests start run what users run.
 *
 * @param atOnce How many files run at the same time.
 */
function testArguments(root: string, files: readonly string[], atOnce: number, more: readonly string[] = []): string[] {
  return [
    '--test',
    '--test-reporter=spec',
    `--test-timeout=${testLimitMs}`,
    `--test-concurrency=${atOnce}`,
    '--conditions=development',
    '--disable-warning=ExperimentalWarning',
    ...more,
    ...files.map((file) => join(root, file)),
  ];
}

/** Runs all of them, also after a failure, so that one run tells everything; the answer names those that failed. */
export async function runSteps(steps: readonly Step[], root: string, say: (text: string) => void): Promise<string[]> {
  const failed: string[] = [];
  for (const { title, args, limitMs } of steps) {
    const startedMs = systemClock.monotonic();
    if (steps.length > 1) say(`== ${title}`);
    const child = spawn(process.execPath, args, { cwd: root, stdio: 'inherit', env: testEnvironment() });
    // Ctrl-C reaches the whole group by itself; this process stays until its child has cleaned up.
    const stayed = (): void => {};
    const passOn = (): void => void child.kill('SIGTERM');
    process.on('SIGINT', stayed).on('SIGTERM', passOn);
    const overdue = (): void => {
      say(
        `== ${title}: ended after ${(limitMs ?? 0) / 60_000} minutes, because something in it hangs; Node names the file below`,
      );
      passOn();
    };
    const finished = limitMs === undefined ? () => {} : systemClock.after(limitMs, overdue);
    const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
    finished();
    process.off('SIGINT', stayed).off('SIGTERM', passOn);
    if (code !== 0) failed.push(title);
    const seconds = ((systemClock.monotonic() - startedMs) / 1000).toFixed(1);
    if (steps.length > 1) say(`== ${title}: ${code === 0 ? 'passed' : 'FAILED'} after ${seconds} s`);
    if (signal !== null || code === 130) break;
  }
  return failed;
}

/**
 * Without what would change a test's meaning: the user's own node, and keys with which a test could spend money. Compiled
 * code is kept for the next process, as the command line does: there are more than a hundred.
 */
function testEnvironment(): NodeJS.ProcessEnv {
  const dropped = (name: string): boolean =>
    (name.startsWith('TROUPE_') && !name.startsWith('TROUPE_TEST_')) ||
    name.endsWith('_API_KEY') ||
    name === 'NODE_TEST_CONTEXT';
  const kept = Object.entries(process.env).filter(([name]) => !dropped(name));
  return { NODE_COMPILE_CACHE: compiledFolder, ...Object.fromEntries(kept) };
}

/** The JavaScript file of a package's program, which this Node runs whatever the PATH holds. */
function program(root: string, name: string, bin: string): string {
  const folder = join(root, 'node_modules', name);
  const { bin: bins } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
    bin: Record<string, string>;
  };
  const file = bins[bin];
  if (file === undefined) throw new Error(`${name} has no program named ${bin}: run npm ci`);
  return join(folder, file);
}
