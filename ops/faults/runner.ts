/**
 * One fault run, from start to report:
 *
 *   start the system → warm up → steady? (else nothing is injected) → faults under load → heal → settle → final reads →
 *   check → report
 *
 * Invariants:
 * 1. Nothing is injected into a system that was not steady before.
 * 2. However a run ends, what it started is ended and removed: by itself, or by the watchdog beside it.
 * 3. A fault from which the system has not recovered when all is healed makes the run `heal-not-verified`, whatever
 *    the checks say.
 * 4. What was not evaluated is unknown, never a pass.
 */

import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type Client, connect } from '../../gateway/client.ts';
import { type Clock, wait } from '../../runtime/clock.ts';
import type { Json } from '../../runtime/envelope.ts';
import { TroupeError, textOf } from '../../runtime/errors.ts';
import type { Random } from '../../runtime/random.ts';
import { CommandFailed } from '../cli/failure.ts';
import { reachable } from '../cli/node-client.ts';
import { exitCodes } from '../exit-codes.ts';
import { chanceOf, drawSeed } from './chance.ts';
import { checks, type Finding, type Verdict } from './checks.ts';
import { entriesIn, settleAndRead } from './final-state.ts';
import { History } from './history.ts';
import { answersRead } from './injection.ts';
import { addressesOf, type Load, startLoad } from './load.ts';
import { type Firing, Nemesis } from './nemesis.ts';
import { dueTimes } from './plan.ts';
import {
  exitOfVerdict,
  historyName,
  makeReportFolder,
  type RunReport,
  type RunVerdict,
  type TimelineEntry,
  writeReport,
} from './report.ts';
import type { Expectation, Scenario } from './schema.ts';
import { attachedSystem, StartFailed, type System, startOwnSystem } from './system.ts';

export interface RunOptions {
  readonly scenario: Scenario;
  /** As the user named it. */
  readonly file: string;
  /** Folder from which the scenario's relative paths count. */
  readonly folder: string;
  readonly reportFolder?: string;
  readonly clock: Clock;
  readonly random: Random;
  /** Aborted when the user interrupts the run. */
  readonly signal: AbortSignal;
  /** Progress, for people. */
  readonly say: (text: string) => void;
}

const probeTimeoutMs = 2_000;
const readTimeoutMs = 10_000;
/** How long an interrupted run waits for a system that is not its own to recover. */
const interruptedHealMs = 10_000;

/** Runs a scenario to its report. @throws CommandFailed where it cannot be begun */
export async function runScenario(options: RunOptions): Promise<RunReport> {
  const { scenario, clock, random, reportFolder } = options;
  const startedMs = clock.monotonic();
  const startedAt = new Date(clock.now()).toISOString();
  const seed = scenario.seed === 'random' ? drawSeed(random) : scenario.seed;
  options.say(`${scenario.name}: seed ${seed}`);
  if (reportFolder !== undefined) makeReportFolder(reportFolder);
  const history = new History(reportFolder === undefined ? undefined : join(reportFolder, historyName));
  const timeline: TimelineEntry[] = [];
  const elapsedMs = (): number => Math.round(clock.monotonic() - startedMs);
  const run = new Run(options, seed, history, elapsedMs, (event, fields = {}) => {
    timeline.push({ atMs: elapsedMs(), event, ...fields });
  });
  let verdict: RunVerdict;
  let reason: string | undefined;
  try {
    verdict = await run.drive();
    reason = run.reason;
  } catch (error) {
    const known = verdictOf(error, options.signal);
    if (known === undefined) throw error;
    verdict = known;
    reason = known === 'interrupted' ? undefined : textOf(error);
  } finally {
    await run.end();
    await history.close();
  }
  if (run.healFailed) verdict = 'heal-not-verified';
  const report: RunReport = {
    scenario: scenario.name,
    file: options.file,
    verdict,
    exitCode: exitOfVerdict[verdict],
    ...(reason === undefined ? {} : { reason }),
    seed,
    engine: run.engine,
    durability: run.durability,
    startedAt,
    durationMs: elapsedMs(),
    operations: history.counts(),
    faults: run.firings,
    expect: run.expectations,
    check: run.findings,
    timeline,
    ...(run.left === undefined ? {} : { left: run.left }),
  };
  if (reportFolder !== undefined) writeReport(reportFolder, report, run.nodeLog);
  return report;
}

function verdictOf(error: unknown, signal: AbortSignal): RunVerdict | undefined {
  if (signal.aborted) return 'interrupted';
  if (error instanceof StartFailed) return 'not-steady';
  if (error instanceof TroupeError && error.reason === 'PERMISSION_DENIED') return 'refused';
  return undefined;
}

class Run {
  reason: string | undefined;
  engine: string;
  durability = 'unknown';
  left: string | undefined;
  nodeLog = '';
  healFailed = false;
  findings: RunReport['check'] = [];
  expectations: RunReport['expect'] = [];
  readonly #options: RunOptions;
  readonly #seed: number;
  readonly #history: History;
  readonly #elapsedMs: () => number;
  readonly #note: (event: string, fields?: object) => void;
  readonly #addresses: readonly string[];
  #system: System | undefined;
  #load: Load | undefined;
  #nemesis: Nemesis | undefined;
  #probe: { readonly pid: number; readonly client: Client } | undefined;

  constructor(
    options: RunOptions,
    seed: number,
    history: History,
    elapsedMs: () => number,
    note: (event: string, fields?: object) => void,
  ) {
    this.#options = options;
    this.#seed = seed;
    this.#history = history;
    this.#elapsedMs = elapsedMs;
    this.#note = note;
    this.#addresses = addressesOf(options.scenario.workload);
    this.engine = options.scenario.system.engine ?? 'embedded';
  }

  get firings(): readonly Firing[] {
    return this.#nemesis?.firings ?? [];
  }

  /** All stages in their order. */
  async drive(): Promise<RunVerdict> {
    const { scenario, clock, signal, say } = this.#options;
    const { phases, workload } = scenario;
    const system = await this.#open();
    this.#system = system;
    this.engine = system.node.engineDescription;
    this.durability = system.node.durability;
    this.#note('up', { pid: system.node.pid, engine: system.node.engine });

    const stage = { seed: this.#seed, system, clock, elapsedMs: this.#elapsedMs };
    this.#load = startLoad({ ...stage, workload, history: this.#history });
    await wait(clock, phases.warmup, signal);
    this.reason = await this.#unsteady(system);
    if (this.reason !== undefined) return 'not-steady';
    this.#note('steady', { operations: this.#history.counts() });
    say('steady; the faults begin');

    const nemesis = new Nemesis({
      ...stage,
      signal,
      chance: chanceOf(this.#seed, 'targets'),
      probe: this.#addresses[0] ?? '',
      answers: (address) => answersRead(this.#client(system), address, probeTimeoutMs),
      onFired: ({ fault, target }) => {
        this.#note('fault', { fault, target });
        say(`${fault}: ${target}`);
      },
      onRecovered: ({ fault, target, firedMs = 0, recoveredMs = 0 }) => {
        this.#note('recovered', { fault, target, afterMs: recoveredMs - firedMs });
        say(`${fault}: recovered after ${recoveredMs - firedMs} ms`);
      },
    });
    this.#nemesis = nemesis;
    const firing = nemesis.run(dueTimes(scenario.faults));
    const refused = new Promise<never>((_, reject) => firing.catch(reject));
    await Promise.race([wait(clock, phases.run, signal), refused]);
    nemesis.finish();
    await firing;
    await this.#load.stop();
    this.#note('load ends', { operations: this.#history.counts() });

    this.healFailed = !(await nemesis.healed(phases.settle)) || !(await system.admin.isReady());
    this.#note(this.healFailed ? 'not healed' : 'healed');
    this.expectations = scenario.expect.map((expectation) => this.#recovery(expectation));
    if (this.healFailed) {
      this.reason = 'the system has not recovered from every fault, see above';
      return 'heal-not-verified';
    }
    await this.#check(system);
    return this.#verdict();
  }

  /** Ends all that the run began, in any state. */
  async end(): Promise<void> {
    const system = this.#system;
    if (system === undefined) return;
    const interrupted = this.#options.signal.aborted;
    await this.#load?.stop();
    // What is not the run's own cannot be removed: it has to have recovered.
    if (interrupted && this.#options.scenario.system.attach !== undefined && this.#nemesis !== undefined)
      this.healFailed = !(await this.#nemesis.healed(interruptedHealMs));
    await this.#nemesis?.close();
    this.#probe?.client.close();
    this.nodeLog = system.log();
    await system.end();
    this.#note('ended');
  }

  async #open(): Promise<System> {
    const { scenario, folder, clock, signal, random, say } = this.#options;
    const { attach, app = '', engine = 'embedded', threads = 2 } = scenario.system;
    if (attach !== undefined) {
      const data = resolve(folder, attach);
      const system = attachedSystem(data, clock);
      if (system === undefined)
        throw new CommandFailed(exitCodes.unreachable, `no node is running on ${data}`, 'start it with: troupe up');
      if (scenario.faults.length > 0 && !(await system.admin.allowsFaults()))
        throw new CommandFailed(exitCodes.refused, 'this node lets no faults in', 'start it with --allow-faults');
      return system;
    }
    const path = resolve(folder, app);
    if (!existsSync(path))
      throw new CommandFailed(exitCodes.usage, `${this.#options.file}: system.app: there is no file ${path}`);
    const namespace = `faults_${random.nonce().slice(0, 12)}`;
    if (!['embedded', 'memory', 'redis'].includes(engine)) this.left = `the namespace ${namespace} in the engine`;
    say(`starting a node of its own on ${engine.replace(/:\/\/.*@/, '://…@')}`);
    return startOwnSystem({ app: path, engine, threads, namespace, clock, signal });
  }

  /** Why the system is not steady; `undefined` when it is. */
  async #unsteady(system: System): Promise<string | undefined> {
    const { scenario } = this.#options;
    if (!(await system.admin.isReady())) return 'the node is not ready';
    const counts = this.#history.counts();
    if (scenario.phases.warmup > 0 && counts.ok === 0)
      return `no operation succeeded in the warm-up: ${JSON.stringify(counts.byReason)}`;
    for (const address of this.#addresses) {
      try {
        const answer = await this.#read(system, address);
        if (scenario.check.length > 0 && entriesIn(answer) === undefined)
          return `${address} answers read, but not as the checks need it: {entries: [{sender, n}]}`;
      } catch (error) {
        if (scenario.check.length > 0) return `${address} does not answer read: ${textOf(error)}`;
        if (!(await answersRead(this.#client(system), address, readTimeoutMs)))
          return `${address} does not answer: ${textOf(error)}`;
      }
    }
    return undefined;
  }

  async #check(system: System): Promise<void> {
    const { scenario, clock, signal } = this.#options;
    const { counted } = this.#history;
    const read = (address: string): Promise<Json> => this.#read(system, address);
    const final = await settleAndRead(
      { system, addresses: this.#addresses, counted, read, clock, signal },
      scenario.phases.settle,
    );
    this.#note('at rest');
    this.findings = scenario.check.map((check) => ({ check, ...checks[check](counted, final) }));
  }

  #verdict(): Verdict {
    const found = [...this.findings, ...this.expectations].map(({ verdict }) => verdict);
    const unfired = this.firings.filter(({ firedMs }) => firedMs === undefined);
    const planned = dueTimes(this.#options.scenario.faults).length;
    if (found.includes('violated')) return 'violated';
    if (unfired.length > 0 || this.firings.length < planned) {
      this.reason = `${unfired.length + planned - this.firings.length} of ${planned} faults were not fired`;
      return 'unknown';
    }
    return found.includes('unknown') ? 'unknown' : 'pass';
  }

  #recovery({ recovered, within }: Expectation): RunReport['expect'][number] {
    const fired = this.firings.filter(({ fault, firedMs }) => fault === recovered && firedMs !== undefined);
    const took = fired.map(({ firedMs = 0, recoveredMs = Number.POSITIVE_INFINITY }) => recoveredMs - firedMs);
    const slowest = Math.max(...took);
    const finding: Finding =
      fired.length === 0
        ? { verdict: 'unknown', detail: 'it was never fired', examples: [] }
        : slowest <= within
          ? { verdict: 'pass', detail: `${Math.round(slowest)} ms`, examples: [] }
          : {
              verdict: 'violated',
              detail: Number.isFinite(slowest) ? `it took ${Math.round(slowest)} ms` : 'it did not recover',
              examples: [],
            };
    return { recovered, withinMs: within, ...finding };
  }

  #read(system: System, address: string): Promise<Json> {
    return this.#client(system).ask({ to: address, type: 'read' }, { timeoutMs: readTimeoutMs });
  }

  /** A connection to the node that runs now: one to its predecessor would wait before it tries again. */
  #client(system: System): Client {
    const { pid, grpc, token } = system.node;
    if (this.#probe?.pid === pid) return this.#probe.client;
    this.#probe?.client.close();
    const client = connect(reachable(grpc), { ownConnection: true, ...(token === undefined ? {} : { token }) });
    this.#probe = { pid, client };
    return client;
  }
}
