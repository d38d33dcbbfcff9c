/**
 * The end of a node in order (G9): not ready → intake stops → turns in hand commit → open asks end → outbox flushed →
 * leases released → gateway stopped → engine stopped. What does not end in time is cut off: durable mail stays in the
 * engine, and the next owner goes on with it.
 */

import type { Dispatch, Edge } from '../gateway/index.ts';
import type { Clock } from '../runtime/clock.ts';
import { textOf } from '../runtime/errors.ts';
import type { Log } from '../runtime/log.ts';
import type { Runtime } from '../runtime/runtime.ts';
import type { Tree } from '../supervisors/index.ts';

export interface DrainParts {
  readonly dispatch: Pick<Dispatch, 'drain'>;
  readonly edges: readonly Pick<Edge, 'drain' | 'stop'>[];
  readonly runtime: Pick<Runtime, 'drain' | 'close'>;
  readonly tree: Pick<Tree, 'stop'>;
  readonly engine: { stop(): Promise<void> };
}

/** Share of the grace period that is kept for stopping actors and closing connections. */
const reserveShare = 0.2;
const reserveMaxMs = 2_000;

/** Drains and stops; a step that fails is logged and the next one goes on. Resolves whether all went well. */
export async function drainNode(parts: DrainParts, graceMs: number, clock: Clock, log: Log): Promise<boolean> {
  const untilMs = clock.monotonic() + graceMs;
  const reserveMs = Math.min(graceMs * reserveShare, reserveMaxMs);
  const leftMs = (): number => Math.max(0, untilMs - clock.monotonic());
  let clean = true;
  const step = async (name: string, work: () => Promise<unknown> | void): Promise<void> => {
    try {
      await work();
    } catch (error) {
      clean = false;
      log.error({ step: name, error: textOf(error) }, 'a step of the drain failed');
    }
  };

  for (const edge of parts.edges) await step('readiness', () => edge.drain());
  await step('intake', () => parts.dispatch.drain());
  await step('turns', () => parts.runtime.drain(Math.max(0, leftMs() - reserveMs)));
  await step('actors', () => parts.tree.stop(Math.max(leftMs(), reserveMs)));
  await step('leases', () => parts.runtime.close());
  await Promise.all(parts.edges.map((edge) => step('gateway', () => edge.stop(Math.max(leftMs(), reserveMs / 2)))));
  await step('engine', () => parts.engine.stop());
  return clean;
}
