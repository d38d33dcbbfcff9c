/** What a run found: as data, as a table, as verdicts. */

import { availableParallelism, cpus } from 'node:os';
import { paint, table } from '../cli/output.ts';
import type { Comparison } from './measure.ts';

/** One line: both sides at one number of messages in flight. */
export interface Line extends Comparison {
  readonly bench: string;
  /** What ours is compared with. */
  readonly bareSide: string;
  readonly inFlight: number;
  /** Messages in each run. */
  readonly messages: number;
  /** The least ratio; absent for a line that only informs. */
  readonly bar?: number;
}

/** A number beside the comparisons. */
export interface Remark {
  readonly name: string;
  readonly value: number;
  readonly unit: 'ms' | 'MB' | 'times';
  /** The greatest value; absent for a number that only informs. */
  readonly atMost?: number;
}

export interface Machine {
  readonly cores: number;
  readonly processor: string;
  readonly node: string;
  readonly platform: string;
}

export interface Report {
  readonly machine: Machine;
  readonly runs: number;
  readonly payloadBytes: number;
  readonly lines: readonly Line[];
  readonly remarks: readonly Remark[];
  /** Benches that could not run, and why. */
  readonly skipped: readonly { readonly bench: string; readonly reason: string }[];
  /** Whether every bar that was measured is met. */
  readonly passed: boolean;
}

export function machineHere(): Machine {
  return {
    cores: availableParallelism(),
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    node: process.version,
    platform: `${process.platform}-${process.arch}`,
  };
}

export function meetsBar({ bar, ratio }: Pick<Line, 'bar' | 'ratio'>): boolean {
  return bar === undefined || ratio >= bar;
}

export function staysBelow({ value, atMost }: Pick<Remark, 'value' | 'atMost'>): boolean {
  return atMost === undefined || value <= atMost;
}

/** The table that people read. */
export function textOfReport(report: Report): string {
  const { machine, runs, payloadBytes, lines, remarks, skipped } = report;
  const rows = lines.map((line) => [
    line.bench,
    String(line.inFlight),
    rate(line.oursPerSecond),
    rate(line.barePerSecond),
    line.bareSide,
    line.ratio.toFixed(2),
    line.bar === undefined ? '' : `≥ ${line.bar}`,
    line.bar === undefined ? '' : verdict(meetsBar(line)),
  ]);
  return [
    `${machine.cores} cores (${machine.processor}), Node ${machine.node}, ${machine.platform}; payload ${payloadBytes} bytes; median of ${runs} runs in turns; messages/s`,
    '',
    table(['bench', 'in flight', 'troupe', 'bare', 'bare side', 'ratio', 'bar', 'verdict'], rows),
    ...(remarks.length === 0 ? [] : ['', ...remarks.map(textOfRemark)]),
    ...skipped.map(({ bench, reason }) => `skipped: ${bench}: ${reason}`),
  ].join('\n');
}

function textOfRemark(remark: Remark): string {
  const { name, value, unit, atMost } = remark;
  const text = `${name}: ${value.toFixed(2)} ${unit}`;
  return atMost === undefined ? text : `${text} (≤ ${atMost}: ${verdict(staysBelow(remark))})`;
}

const verdict = (met: boolean): string => (met ? paint('met', 'green') : paint('MISSED', 'red'));

const rate = (perSecond: number): string => Math.round(perSecond).toLocaleString('en');
