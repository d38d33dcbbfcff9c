/** The I/O around a supervisor's decisions: carries out steps, and turns what comes of them into events. */

import type { Cancel, Clock } from '../runtime/clock.ts';
import { type ErrorData, textOf, toErrorData } from '../runtime/errors.ts';
import type { Log } from '../runtime/log.ts';
import type { ChildNews, Step } from './child-life.ts';
import type { ChildSpec } from './child-spec.ts';

/** How a supervisor reaches its children. */
export interface ChildPort {
  /** Starts a child; resolves when it is up, rejects when its start failed. */
  start(child: ChildSpec): Promise<{ readonly incarnation: number }>;
  /** Stops a child, also one whose start is under way: that start should then settle. No exit is reported. */
  stop(child: ChildSpec): Promise<void>;
  /** How long a stop of this child may take now, in milliseconds. */
  leftMs(child: ChildSpec): number;
}

/** What comes of a step. */
export type Outcome =
  | { readonly type: 'child.started'; readonly id: string; readonly ticket: number; readonly incarnation: number }
  | { readonly type: 'child.startFailed'; readonly id: string; readonly ticket: number; readonly error: ErrorData }
  | { readonly type: 'child.stopped'; readonly id: string; readonly ticket: number }
  | { readonly type: 'child.due'; readonly ids: readonly string[]; readonly ticket: number };

export interface CarrierOptions {
  readonly port: ChildPort;
  readonly clock: Clock;
  readonly log: Log;
  /** Runs a task soon; many at once take turns with the rest of the node. */
  readonly pace: (task: () => void) => void;
  readonly onOutcome: (outcome: Outcome) => void;
  readonly onAnswer: (id: string, error: ErrorData | undefined) => void;
  readonly onNews: (news: ChildNews) => void;
}

export interface Carrier {
  carryOut(steps: readonly Step[]): void;
  /** Stops a child; a stop that fails is logged and counts. */
  stop(spec: ChildSpec): Promise<void>;
  /** Ends all delays. */
  close(): void;
}

export function createCarrier({ port, clock, log, pace, onOutcome, onAnswer, onNews }: CarrierOptions): Carrier {
  /** Each start under way: whether a life came of it that is to be stopped, should the start no longer be wanted. */
  const startsUnderWay = new Map<string, Promise<boolean>>();
  const delays = new Set<Cancel>();

  function carryOut(step: Step): void {
    switch (step.do) {
      case 'start':
        start(step.spec, step.ticket);
        break;
      case 'stop':
        void stopInTurn(step.spec, step.ticket);
        break;
      case 'delay':
        delay(step.ids, step.ticket, step.delayMs);
        break;
      case 'answer':
        onAnswer(step.id, step.error);
        break;
      case 'report':
        onNews(step.news);
    }
  }

  function start(spec: ChildSpec, ticket: number): void {
    const { id } = spec;
    const started = startAfter(startsUnderWay.get(id), spec);
    const underWay = started.then(
      () => true,
      () => false,
    );
    startsUnderWay.set(id, underWay);
    const settle = (outcome: Outcome): void => {
      forget(id, underWay);
      onOutcome(outcome);
    };
    started.then(
      ({ incarnation }) => settle({ type: 'child.started', id, ticket, incarnation }),
      (thrown) => settle({ type: 'child.startFailed', id, ticket, error: toErrorData(thrown) }),
    );
  }

  /** Never two lives at once: waits for a start that outlived its stop, and for what came of it to be stopped. */
  async function startAfter(earlier: Promise<boolean> | undefined, spec: ChildSpec): ReturnType<ChildPort['start']> {
    // Without an earlier one it still leaves the machine's step: a nested supervisor is a machine of its own.
    await earlier;
    return port.start(spec);
  }

  function forget(id: string, start: Promise<boolean>): void {
    if (startsUnderWay.get(id) === start) startsUnderWay.delete(id);
  }

  async function stopInTurn(spec: ChildSpec, ticket: number): Promise<void> {
    const underWay = startsUnderWay.get(spec.id);
    await Promise.all([stop(spec), underWay && abandon(underWay, spec)]);
    onOutcome({ type: 'child.stopped', id: spec.id, ticket });
  }

  /** Waits for a start that is no longer wanted, for as long as a stop may take; stops what comes of it, also later. */
  async function abandon(underWay: Promise<boolean>, spec: ChildSpec): Promise<void> {
    const settled = underWay.then(async (cameThrough) => {
      if (cameThrough) await stop(spec);
      return false;
    });
    startsUnderWay.set(spec.id, settled);
    void settled.then(() => forget(spec.id, settled));
    // A supervisor's start ends when the starts of its children do.
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const leftMs = port.leftMs(spec);
    const cancel = Number.isFinite(leftMs) ? clock.after(leftMs, resolve) : undefined;
    await Promise.race([settled, late]);
    cancel?.();
  }

  async function stop(spec: ChildSpec): Promise<void> {
    try {
      await Promise.resolve().then(() => port.stop(spec));
    } catch (thrown) {
      log.warn({ child: spec.address, error: textOf(thrown) }, 'a child did not stop cleanly; it counts as stopped');
    }
  }

  function delay(ids: readonly string[], ticket: number, delayMs: number): void {
    const cancel = clock.after(delayMs, () => {
      delays.delete(cancel);
      pace(() => onOutcome({ type: 'child.due', ids, ticket }));
    });
    delays.add(cancel);
  }

  return {
    carryOut(steps) {
      for (const step of steps) carryOut(step);
    },
    stop,
    close() {
      for (const cancel of delays) cancel();
      delays.clear();
    },
  };
}
