/** How a running node's engine fares: what its own calls run into, named by the same diagnosis that `doctor` gives. */

import type { ReadinessCheck } from '../gateway/index.ts';
import { type Clock, wait } from '../runtime/clock.ts';
import { examineEngine } from '../runtime/engines/examine.ts';
import { type Examination, type Finding, sentence } from '../runtime/engines/finding.ts';
import type { OpenedEngine } from '../runtime/engines/index.ts';
import type { EngineTrouble } from '../runtime/engines/watched-engine.ts';
import { textOf } from '../runtime/errors.ts';
import type { Log } from '../runtime/log.ts';

export interface EngineHealthOptions {
  readonly url: string;
  readonly opened: OpenedEngine;
  readonly examination: () => Examination;
  /** What the node's calls fail with now. */
  readonly trouble: () => EngineTrouble | undefined;
  readonly clock: Clock;
  readonly log: Log;
}

export interface EngineHealth {
  /** In one check, whether the engine does its work, and what is wrong with it. Answers within about two seconds. */
  check(): Promise<ReadinessCheck>;
  /** Ends the regular look. */
  stop(): void;
}

/** How long the engine may take to answer before the node counts as not ready. */
const pingTimeoutMs = 2_000;
/** How old a diagnosis may be: in trouble, and else. */
const troubledAgeMs = 500;
const soundAgeMs = 5_000;
/** How often a node that nobody asks looks by itself, to log what has changed. */
const lookMs = 15_000;

export function createEngineHealth(options: EngineHealthOptions): EngineHealth {
  const { url, opened, clock, log } = options;
  let found: Finding[] = [];
  let foundAtMs = Number.NEGATIVE_INFINITY;
  let running: Promise<void> | undefined;
  let logged = '';

  const diagnose = async (maxAgeMs: number): Promise<readonly Finding[]> => {
    if (clock.monotonic() - foundAtMs <= maxAgeMs) return found;
    running ??= examineEngine(url, options.examination(), clock).then((findings) => {
      found = findings.filter(({ status }) => status !== 'ok');
      foundAtMs = clock.monotonic();
      running = undefined;
    });
    await running;
    return found;
  };

  const check = async (): Promise<ReadinessCheck> => {
    const fault = await ping(opened, clock);
    const trouble = options.trouble();
    const broken = fault !== undefined || trouble !== undefined;
    const findings = await diagnose(broken ? troubledAgeMs : soundAgeMs);
    const failing = findings.filter(({ status }) => status === 'fails');
    const name = 'engine';
    // What the node's own calls do not run into (a connection more is refused, the disk is nearly full) is only told.
    if (broken || failing.some(({ losesMail }) => losesMail === true)) {
      const named = failing.map(sentence);
      if (named.length === 0) named.push(`${opened.info.description}: ${trouble?.what ?? fault}`);
      return { name, ok: false, detail: named.join(' ') };
    }
    const { description, durability, warnings } = opened.info;
    const told = findings.map(sentence).filter((text) => !warnings.includes(text));
    return { name, ok: true, detail: [description, durability, ...warnings, ...told].join(' ') };
  };

  const look = async (): Promise<void> => {
    const { ok, detail = '' } = await check();
    const now = ok ? '' : detail;
    if (now === logged) return;
    logged = now;
    if (ok) log.info({ engine: opened.info.name }, 'the storage engine does its work again');
    else log.error({ engine: opened.info.name }, detail);
  };
  const stop = clock.every(lookMs, () => void look());
  return { check, stop };
}

/** What a cheap question to the engine fails with. */
async function ping({ engine }: OpenedEngine, clock: Clock): Promise<string | undefined> {
  const done = new AbortController();
  try {
    await Promise.race([
      engine.ping(),
      wait(clock, pingTimeoutMs, done.signal).then(() => {
        throw new Error(`no answer within ${pingTimeoutMs / 1_000} s`);
      }),
    ]);
    return undefined;
  } catch (error) {
    return textOf(error);
  } finally {
    done.abort();
  }
}
