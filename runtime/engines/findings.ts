/** Findings that every engine shares. */

import type { Clock } from '../clock.ts';
import { type Finding, fails, ok, warns } from './finding.ts';

export const heldText = (namespace: string, holder: string): string =>
  `the namespace "${namespace}" is in use by ${holder === '' ? 'a node' : holder}`;
export const heldMend = 'if that is not the node you mean, stop it, or choose another --namespace';

export const wrongShards = (namespace: string, stored: number, wanted: number): Finding =>
  fails(
    'namespace',
    `the namespace "${namespace}" was created with ${stored} shards, the configuration says ${wanted}`,
    `start with --shards ${stored}, or use another --namespace`,
  );

const clockDriftMaxMs = 2_000;

/** Deadlines are engine time; people compare logs. */
export function clockFinding(engineMs: number, clock: Clock): Finding {
  const driftMs = Math.abs(clock.now() - engineMs);
  const found = `the engine's clock is ${Math.round(driftMs)} ms from this machine's`;
  return driftMs <= clockDriftMaxMs
    ? ok('engine clock', found)
    : warns('engine clock', found, 'synchronise both machines with NTP');
}
