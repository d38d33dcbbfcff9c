/** What a hunt found, for people. */

import { pairs, table } from '../cli/output.ts';
import { formatDuration } from '../config/values.ts';
import type { HuntReport, Range, ShrunkFailure } from './hunt.ts';
import { type Plan, type PlannedFault, planOf } from './plan.ts';
import type { SimulationResult } from './simulation.ts';
import { rangesOf, restrict, type Subset } from './subset.ts';

const number = (value: number): string => value.toLocaleString('en-US');
const range = ({ least, most }: Range): string => `${number(least)} to ${number(most)}`;

/** The command that runs this part of this seed again. */
export function replayCommand(seed: number, plant: string | undefined, subset: Subset = {}): string {
  const parts = ['./troupe simulate', `--seed ${seed}`];
  if (plant !== undefined) parts.push(`--plant ${plant}`);
  if (subset.faults !== undefined)
    parts.push(`--faults ${subset.faults.length === 0 ? 'none' : subset.faults.join(',')}`);
  if (subset.sends !== undefined) parts.push(`--sends ${rangesOf(subset.sends)}`);
  return parts.join(' ');
}

/** Faults as the scenario language writes them. */
export function timelineText(faults: readonly PlannedFault[]): string {
  return faults
    .map(({ id, do: kind, atMs, forMs, level }) => {
      const parts = [`id: ${id}`, `do: ${kind}`, `when: {at: ${atMs}ms}`];
      if (forMs > 0) parts.push(`for: ${forMs}ms`);
      parts.push(`p: ${level.toFixed(2)}`);
      return `  - {${parts.join(', ')}}`;
    })
    .join('\n');
}

export function textOfHunt(report: HuntReport): string {
  const { coverage, seeds, first } = report;
  const lines = [
    pairs([
      ['verdict', report.verdict],
      [
        'seeds',
        `${number(seeds)}, from ${first}${report.plant === undefined ? '' : `, with the plant ${report.plant}`}`,
      ],
      ['took', `${formatDuration(report.tookMs)}, in which ${formatDuration(report.virtualMs)} went by`],
      ['messages', `${number(report.messages.total)}; a seed ${range(report.messages)}`],
      ['faults', `${number(report.faults.total)}; a seed ${range(report.faults)}`],
      ['actors', `a seed ${range(report.actors)}`],
      ['commits', number(report.commits)],
      ['redeliveries', `${number(report.repeats)} envelopes came again`],
      ['events', number(report.events)],
      [
        'coverage',
        `${number(coverage.cells)} cells of state × event × active fault: ${coverage.states} states, ${coverage.events} events, ${coverage.faults} faults; of ${number(coverage.pairs * coverage.faults)} cells of the ${coverage.pairs} pairs that met, ${number(coverage.unseen.length)} were not entered`,
      ],
      ['run twice', `${report.compared} seeds, ${report.differing.length} differed${listOf(report.differing)}`],
      ['failed', `${report.failures.length} seeds${listOf(report.failures.map(({ seed }) => seed))}`],
    ]),
  ];
  for (const { seed, violations } of report.failures.slice(0, 5))
    lines.push(`seed ${seed}: ${violations[0]?.check}: ${violations[0]?.detail}`);
  if (report.verdict === 'unknown')
    lines.push('a seed was too small to mean anything: fewer than 500 messages, 5 faults or 3 actors');
  if (report.shrunk !== undefined) lines.push('', textOfShrunk(report.shrunk, report.plant));
  return lines.join('\n');
}

const listOf = (seeds: readonly number[]): string =>
  seeds.length === 0 ? '' : `: ${seeds.slice(0, 10).join(', ')}${seeds.length > 10 ? ' …' : ''}`;

export function textOfShrunk(
  { seed, check, subset, runs, result, replayed }: ShrunkFailure,
  plant: string | undefined,
): string {
  const plan = planOf(seed);
  return [
    `seed ${seed} shrunk in ${runs} runs: ${subset.faults.length} of ${plan.faults.length} faults and ${subset.sends.length} of ${plan.sends.length} messages still break "${check}"`,
    ...result.violations.slice(0, 3).map(({ check: broken, atMs, detail }) => `  at ${atMs} ms ${broken}: ${detail}`),
    subset.faults.length === 0 ? 'faults: none' : `faults:\n${timelineText(restrict(plan, subset).faults)}`,
    `replay: ${replayCommand(seed, plant, subset)}`,
    replayed ? `  run again it gave the same history, ${result.hash}` : '  RUN AGAIN IT GAVE ANOTHER HISTORY',
  ].join('\n');
}

/** Lines of the history that are shown before the first violation. */
const linesShown = 25;

export function textOfRun(plan: Plan, result: SimulationResult): string {
  const [first] = result.violations;
  const until = result.lines.findLastIndex((line) => first !== undefined && Number.parseFloat(line) <= first.atMs + 1);
  return [
    pairs([
      ['seed', String(plan.seed)],
      ['trace hash', result.hash],
      ['messages', `${number(result.messages)}, of which ${plan.sends.length} were planned from outside`],
      ['faults', String(result.faults)],
      ['actors', String(result.actors)],
      ['commits', number(result.commits)],
      ['redeliveries', `${number(result.repeats)} envelopes came again`],
      ['events', `${number(result.events)} in ${formatDuration(result.virtualMs)} of virtual time`],
      ['violations', String(result.violations.length)],
    ]),
    plan.faults.length === 0 ? 'faults: none' : `faults:\n${timelineText(plan.faults)}`,
    ...(first === undefined
      ? []
      : [
          ...result.violations.slice(0, 10).map(({ check, atMs, detail }) => `at ${atMs} ms ${check}: ${detail}`),
          'what happened before the first of them:',
          ...result.lines.slice(Math.max(0, until - linesShown), until + 1).map((line) => `  ${line.slice(0, 220)}`),
        ]),
  ].join('\n');
}

export interface PlantFinding {
  readonly plant: string;
  readonly what: string;
  /** Seeds that were tried with it. */
  readonly seeds: number;
  /** The checks that it broke in its first failing seed, the first of them first. */
  readonly caught?: { readonly seed: number; readonly checks: readonly string[]; readonly detail: string };
}

export function textOfPlants(
  findings: readonly PlantFinding[],
  clean: { readonly seeds: number; readonly failed: readonly number[] },
): string {
  const rows = findings.map(({ plant, what, seeds, caught }) => [
    plant,
    caught === undefined ? `not in ${seeds} seeds` : String(seeds),
    caught?.checks.join(', ') ?? '–',
    what,
  ]);
  const missed = findings.filter(({ caught }) => caught === undefined).length;
  return [
    table(['plant', 'caught after seeds', 'by', 'what is broken on purpose'], rows),
    '',
    `${findings.length - missed} of ${findings.length} plants were caught; the unplanted code on ${number(clean.seeds)} of these seeds: ${
      clean.failed.length === 0 ? 'clean' : `failed${listOf(clean.failed)}`
    }`,
  ].join('\n');
}
