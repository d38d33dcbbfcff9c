/** A node's process from start to end: signals, the announcement, the drain, and what nobody caught. */

import type { ApplicationSettings } from '../actors/settings.ts';
import { systemClock } from '../runtime/clock.ts';
import { TroupeError, textOf } from '../runtime/errors.ts';
import { CommandFailed, describeFailure } from './cli/failure.ts';
import type { Config } from './config/resolve.ts';
import { report } from './detach.ts';
import { type ExitCode, exitCodes } from './exit-codes.ts';
import { stderrLog } from './log.ts';
import { type StartedNode, startNode } from './start-node.ts';

export interface RunOptions {
  readonly config: Config<ApplicationSettings>;
  readonly version: string;
  readonly finder: string;
  readonly announce: (text: string) => void;
}

const supersededText = (namespace: string, heldBy: string): string =>
  `while this node was out of touch for longer than its lease, ${heldBy} has taken the namespace "${namespace}". It goes ` +
  'on with all durable mail; this node ends and has committed nothing since.';

/** What a drain may take beyond its grace before the process is ended all the same. */
const drainSlackMs = 10_000;

/** Runs a node until SIGTERM, SIGINT or its tree's end; resolves with the exit code. */
export async function runNode({ config, version, finder, announce }: RunOptions): Promise<ExitCode> {
  const log = stderrLog(config.settings.logLevel);
  const ending = Promise.withResolvers<ExitCode>();
  let signals = 0;
  const onSignal = (signal: NodeJS.Signals): void => {
    signals += 1;
    if (signals > 1) {
      log.warn({ signal }, 'ending at once; what was in hand is taken over at the next start');
      process.exit(exitCodes.failed);
    }
    log.info({ signal, graceMs: config.settings.drainGraceMs }, 'draining; a second signal ends at once');
    ending.resolve(exitCodes.ok);
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  const onUncaught = (error: unknown): void => {
    log.error({ error }, 'an error that nobody caught; the node ends');
    process.exit(exitCodes.failed);
  };
  process.on('uncaughtException', onUncaught);
  process.on('unhandledRejection', onUncaught);

  let started: StartedNode;
  try {
    started = await startNode({
      config,
      version,
      log,
      finder,
      onGiveUp(error) {
        log.error({ error }, 'the supervision tree has given up; the node ends');
        ending.resolve(exitCodes.failed);
      },
      onNamespaceLost(heldBy) {
        // A drain would wait for turns that nobody may commit any more.
        process.stderr.write(`troupe: ${supersededText(config.settings.namespace, heldBy)}\n`);
        process.exit(exitCodes.superseded);
      },
    });
  } catch (error) {
    // What the table of errors advises is meant for callers; and a node that did not come to be is not unreachable.
    const shown = error instanceof TroupeError ? new CommandFailed(exitCodes.failed, error.message) : error;
    const { exitCode, text } = describeFailure(shown, 'table');
    process.stderr.write(`${text}\n`);
    await report({ failed: text, exitCode });
    return exitCode;
  }
  announce(started.banner);
  await report({ ready: started.banner });

  const exitCode = await ending.promise;
  const cancel = systemClock.after(config.settings.drainGraceMs + drainSlackMs, () => {
    log.error({}, 'the drain did not end in time');
    process.exit(exitCodes.failed);
  });
  try {
    const clean = await started.stop();
    log.info({ clean }, 'stopped');
    return clean ? exitCode : exitCodes.failed;
  } catch (error) {
    log.error({ error: textOf(error) }, 'stopping failed');
    return exitCodes.failed;
  } finally {
    cancel();
  }
}
