/** What a run found: `report.json` for programs, a page for people. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatDuration } from '../config/values.ts';
import { type ExitCode, exitCodes } from '../exit-codes.ts';
import type { Finding, Verdict } from './checks.ts';
import type { OperationCounts } from './history.ts';
import type { Firing } from './nemesis.ts';
import type { CheckName } from './schema.ts';

export type RunVerdict = Verdict | 'not-steady' | 'heal-not-verified' | 'refused' | 'interrupted';

export const exitOfVerdict: Readonly<Record<RunVerdict, ExitCode>> = {
  pass: exitCodes.ok,
  violated: exitCodes.violated,
  unknown: exitCodes.unknown,
  'not-steady': exitCodes.notSteady,
  'heal-not-verified': exitCodes.healNotVerified,
  refused: exitCodes.refused,
  interrupted: exitCodes.interrupted,
};

/** Something that happened, in milliseconds since the start of the run. */
export interface TimelineEntry {
  readonly atMs: number;
  readonly event: string;
  readonly [field: string]: unknown;
}

export interface RunReport {
  readonly scenario: string;
  readonly file: string;
  readonly verdict: RunVerdict;
  readonly exitCode: ExitCode;
  /** Why, where no check says it. */
  readonly reason?: string;
  /** Repeats what is drawn: targets, keys, operations. */
  readonly seed: number;
  readonly engine: string;
  readonly durability: string;
  readonly startedAt: string;
  readonly durationMs: number;
  readonly operations: OperationCounts;
  readonly faults: readonly Firing[];
  readonly expect: readonly ({ readonly recovered: string; readonly withinMs: number } & Finding)[];
  readonly check: readonly ({ readonly check: CheckName } & Finding)[];
  readonly timeline: readonly TimelineEntry[];
  /** What the run leaves behind; absent when nothing. */
  readonly left?: string;
}

export const historyName = 'history.ndjson';

/** @throws the error of the file system */
export function makeReportFolder(folder: string): void {
  mkdirSync(folder, { recursive: true });
}

export function writeReport(folder: string, report: RunReport, nodeLog: string): void {
  writeFileSync(join(folder, 'report.json'), `${JSON.stringify(report, null, 2)}\n`);
  if (nodeLog !== '') writeFileSync(join(folder, 'node.log'), nodeLog);
}

const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`;
const examplesShown = 3;

/** The report for people. */
export function summaryOf(report: RunReport): string {
  const { operations, faults, expect, check } = report;
  const reasons = Object.entries(operations.byReason).map(([reason, count]) => `${count} ${reason}`);
  const lines = [
    `${report.scenario}: ${report.verdict} after ${seconds(report.durationMs)} (seed ${report.seed})`,
    `engine      ${report.engine}: ${report.durability}`,
    `operations  ${operations.ok} ok, ${operations.failed} failed, ${operations.unknown} unknown` +
      `${operations.notSent === 0 ? '' : `, ${operations.notSent} not sent`}` +
      `${reasons.length === 0 ? '' : ` (${reasons.join(', ')})`}`,
    ...faults.map((firing) => `fault       ${faultLine(firing)}`),
    ...expect.map(
      ({ recovered, withinMs, ...finding }) =>
        `expect      ${recovered} recovered within ${formatDuration(withinMs)}: ${findingLine(finding)}`,
    ),
    ...check.map(({ check: name, ...finding }) => `check       ${name}: ${findingLine(finding)}`),
    ...(report.reason === undefined ? [] : [`because     ${report.reason}`]),
    ...(report.left === undefined ? [] : [`left        ${report.left}`]),
  ];
  return lines.join('\n');
}

function faultLine({ fault, do: action, target, firedMs, recoveredMs, error }: Firing): string {
  const name = fault === action ? fault : `${fault} (${action})`;
  if (firedMs === undefined) return `${name}: not fired: ${error}`;
  const end = recoveredMs === undefined ? 'not recovered' : `recovered after ${Math.round(recoveredMs - firedMs)} ms`;
  return `${name} on ${target} at ${seconds(firedMs)}: ${end}${error === undefined ? '' : `; ${error}`}`;
}

function findingLine({ verdict, detail, examples }: Finding): string {
  const shown = examples.slice(0, examplesShown);
  const more = examples.length > shown.length ? ', …' : '';
  return `${verdict}: ${detail}${shown.length === 0 ? '' : ` (${shown.join(', ')}${more})`}`;
}
