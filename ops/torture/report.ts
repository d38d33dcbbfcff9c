/** What a torture found: for programs, and for people. */

import type { ExitCode } from '../exit-codes.ts';
import type { Firing } from '../faults/nemesis.ts';
import type { RunVerdict } from '../faults/report.ts';
import type { Judgement, Subject } from './messages.ts';
import { type KillSort, killSorts, sortOf } from './plan.ts';

export interface KillFigures {
  readonly done: number;
  /** Milliseconds until what was killed answered again; absent where nothing recovered. */
  readonly recoveryMs?: { readonly median: number; readonly longest: number };
}

export interface TortureReport {
  readonly verdict: RunVerdict;
  readonly exitCode: ExitCode;
  /** Why, where no finding says it. */
  readonly reason?: string;
  /** Repeats keys, moments and targets. */
  readonly seed: number;
  readonly engine: string;
  readonly durability: string;
  readonly startedAt: string;
  readonly durationMs: number;
  readonly kills: Readonly<Record<KillSort, KillFigures>>;
  /** Starts after a kill that another kill cut off. */
  readonly startsCut: number;
  readonly redeliveriesRecognised: number;
  /** Absent where it did not come to a comparison. */
  readonly judgement?: Judgement;
  readonly firings: readonly Firing[];
  /** What the run leaves behind; absent when nothing. */
  readonly left?: string;
}

export function figuresOfKills(firings: readonly Firing[]): Record<KillSort, KillFigures> {
  const figures = killSorts.map((sort): [KillSort, KillFigures] => {
    const done = firings.filter(
      (one) => sortOf(one.do) === sort && one.firedMs !== undefined && one.error === undefined,
    );
    const took = done
      .flatMap(({ firedMs = 0, recoveredMs }) => (recoveredMs === undefined ? [] : [recoveredMs - firedMs]))
      .sort((left, right) => left - right);
    const median = took[Math.floor(took.length / 2)];
    const longest = took.at(-1);
    return [
      sort,
      {
        done: done.length,
        ...(median === undefined || longest === undefined ? {} : { recoveryMs: { median, longest } }),
      },
    ];
  });
  return Object.fromEntries(figures) as Record<KillSort, KillFigures>;
}

const subjects: Readonly<Record<Subject, string>> = {
  sent: 'senders to ledgers',
  told: 'ledgers to mirrors',
  timers: 'timers of ledgers',
};
const examplesShown = 5;

/** The report for people. */
export function textOfTorture(report: TortureReport): string {
  const { judgement, kills } = report;
  const lines = [
    `torture: ${report.verdict} after ${(report.durationMs / 1_000).toFixed(1)} s (seed ${report.seed})`,
    `engine        ${report.engine}: ${report.durability}`,
    ...killSorts.map((sort) => `kills         ${sort}: ${killLine(kills[sort])}`),
    `starts cut    ${report.startsCut}`,
    `redeliveries  ${report.redeliveriesRecognised} recognised`,
    ...(judgement === undefined ? [] : judgementLines(judgement)),
    ...(report.reason === undefined ? [] : [`because       ${report.reason}`]),
    ...(report.left === undefined ? [] : [`left          ${report.left}`]),
  ];
  return lines.join('\n');
}

function killLine({ done, recoveryMs }: KillFigures): string {
  const took =
    recoveryMs === undefined
      ? ''
      : `, recovered after ${Math.round(recoveryMs.median)} ms (median), ${Math.round(recoveryMs.longest)} ms (longest)`;
  return `${done}${took}`;
}

function judgementLines({ operations, applied, broken, deadLetters, findings }: Judgement): string[] {
  const { sent, told, timers } = applied;
  return [
    `messages      ${operations.ok} acknowledged, ${operations.failed} refused, ${operations.unknown} unknown`,
    `applied       ${sent + told + timers}: ${sent} of senders, ${told} between actors, ${timers} timers`,
    `lost ${broken.lost}, applied twice ${broken.twice}, out of order ${broken.outOfOrder}, never sent ${broken.neverSent}, dead letters ${deadLetters}`,
    ...findings.map(({ subject, check, verdict, detail, examples }) => {
      const shown = examples.slice(0, examplesShown).join(', ');
      return `check         ${subjects[subject]}, ${check}: ${verdict}: ${detail}${shown === '' ? '' : ` (${shown})`}`;
    }),
  ];
}
