/**
 * One torture, from start to verdict:
 *
 *   start a node of its own → start the checker, which sends → kill at random → heal → the checker lets it come to rest
 *   and compares → verdict
 *
 * Invariants:
 * 1. Sender and judge are another process than the torturer and the node, and note what was acknowledged themselves.
 * 2. However a run ends, what it started is ended: by itself, or by the watchdog beside it.
 * 3. Kills that met no repeated message show nothing of once-ness: they go on for a while, and where still none came
 *    the verdict is unknown. So it is where a sort of kill happened too rarely.
 */

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Client, connect } from '../../gateway/client.ts';
import { type Clock, wait } from '../../runtime/clock.ts';
import { textOf } from '../../runtime/errors.ts';
import type { Random } from '../../runtime/random.ts';
import { reachable } from '../cli/node-client.ts';
import { chanceOf } from '../faults/chance.ts';
import { answersRead } from '../faults/injection.ts';
import { Nemesis } from '../faults/nemesis.ts';
import { exitOfVerdict, historyName, makeReportFolder, type RunVerdict } from '../faults/report.ts';
import { StartFailed, type System, startOwnSystem } from '../faults/system.ts';
import type { CheckerOptions, FromChecker, Judgement, ToChecker } from './messages.ts';
import { type KillSort, killSorts, leastKills, leastMessages, planKills } from './plan.ts';
import { figuresOfKills, type TortureReport } from './report.ts';
import { Tally } from './tally.ts';

export interface TortureOptions {
  readonly runMs: number;
  /** `embedded`, `redis` (a server of its own), `memory`, or an address as `up --engine` takes it. */
  readonly engine: string;
  readonly seed: number;
  readonly reportFolder?: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly signal: AbortSignal;
  /** Progress, for people. */
  readonly say: (text: string) => void;
}

const ledgers = 40;
const senders = 6;
const messagesPerSecond = 400;
const threads = 2;
const settleMaxMs = 30_000;
/** A backlog on a slow machine is worked off before the verdict. */
const restMaxMs = 10 * 60_000;
const settleMinMs = 20_000;
const healMs = 60_000;
/** A run without a repeated message shows nothing of once-ness: it goes on for so many rounds more. */
const furtherRoundsMax = 6;
const furtherRoundMaxMs = 30_000;
/** Of the starts after a kill: how many are cut off by another kill, and when at the latest. */
const startsCutShare = 0.3;
const cutStartMaxMs = 2_000;
const checkerGraceMs = 30_000;
const probeTimeoutMs = 2_000;
const watchMs = 50;
const tallyMs = 1_000;
const progressMs = 30_000;

const besideThis = (path: string): string =>
  fileURLToPath(new URL(`${path}${extname(import.meta.url)}`, import.meta.url));

/** Runs a torture to its report. @throws what is a mistake of this program */
export async function runTorture(options: TortureOptions): Promise<TortureReport> {
  const { clock, reportFolder } = options;
  const startedMs = clock.monotonic();
  const startedAt = new Date(clock.now()).toISOString();
  if (reportFolder !== undefined) makeReportFolder(reportFolder);
  const torture = new Torture(options, () => Math.round(clock.monotonic() - startedMs));
  let verdict: RunVerdict;
  let reason: string | undefined;
  try {
    ({ verdict, reason } = await torture.drive());
  } catch (error) {
    if (options.signal.aborted) verdict = 'interrupted';
    else if (error instanceof StartFailed) {
      verdict = 'not-steady';
      reason = textOf(error);
    } else throw error;
  } finally {
    await torture.end();
  }
  const report: TortureReport = {
    verdict,
    exitCode: exitOfVerdict[verdict],
    ...(reason === undefined ? {} : { reason }),
    seed: options.seed,
    ...torture.engine,
    startedAt,
    durationMs: Math.round(clock.monotonic() - startedMs),
    kills: torture.kills,
    startsCut: torture.startsCut,
    redeliveriesRecognised: torture.redeliveries,
    ...(torture.judgement === undefined ? {} : { judgement: torture.judgement }),
    firings: torture.firings,
    ...(torture.left === undefined ? {} : { left: torture.left }),
  };
  if (reportFolder !== undefined) {
    writeFileSync(join(reportFolder, 'report.json'), `${JSON.stringify(report, null, 2)}\n`);
    writeFileSync(join(reportFolder, 'node.log'), torture.nodeLog);
  }
  return report;
}

class Torture {
  judgement: Judgement | undefined;
  left: string | undefined;
  startsCut = 0;
  nodeLog = '';
  readonly #options: TortureOptions;
  readonly #elapsedMs: () => number;
  readonly #tally = new Tally();
  #system: System | undefined;
  #checker: ChildProcess | undefined;
  #nemesis: Nemesis | undefined;
  #probe: { readonly pid: number; readonly client: Client } | undefined;
  #timers: (() => void)[] = [];

  constructor(options: TortureOptions, elapsedMs: () => number) {
    this.#options = options;
    this.#elapsedMs = elapsedMs;
  }

  get engine(): Pick<TortureReport, 'engine' | 'durability'> {
    const node = this.#system?.node;
    return { engine: node?.engineDescription ?? this.#options.engine, durability: node?.durability ?? 'unknown' };
  }

  get firings(): TortureReport['firings'] {
    return this.#nemesis?.firings ?? [];
  }

  get kills(): TortureReport['kills'] {
    return figuresOfKills(this.firings);
  }

  get redeliveries(): number {
    return this.#tally.total('redeliveries_recognised_total');
  }

  /** All stages in their order. */
  async drive(): Promise<{ verdict: RunVerdict; reason?: string }> {
    const { clock, signal, seed, engine, random, say } = this.#options;
    const namespace = `torture_${random.nonce().slice(0, 12)}`;
    if (engine.includes('://')) this.left = `the namespace ${namespace} in the engine`;
    say(`torture: seed ${seed}, starting a node of its own on ${engine.replace(/:\/\/.*@/, '://…@')}`);
    const cuts = chanceOf(seed, 'cut starts');
    const system = await startOwnSystem({
      app: besideThis('./app'),
      engine,
      threads,
      namespace,
      clock,
      signal,
      beforeKill: (killed) => this.#tally.read(killed),
      cutStartMs: () => {
        if (cuts() >= startsCutShare) return undefined;
        this.startsCut += 1;
        return Math.floor(cuts() * cutStartMaxMs);
      },
    });
    this.#system = system;
    const checker = this.#startChecker(system);
    await this.#hear(checker, 'steady');
    this.#watch(system, checker);
    say('messages come in; the kills begin');

    const sorts = killSorts.filter((sort) => sort !== 'engine' || system.killEngine !== undefined);
    const nemesis = new Nemesis({
      system,
      clock,
      signal,
      elapsedMs: this.#elapsedMs,
      chance: chanceOf(seed, 'targets'),
      probe: '/ledgers/k0',
      answers: (address) => answersRead(this.#client(system), address, probeTimeoutMs),
      onFired: () => undefined,
      onRecovered: () => undefined,
    });
    this.#nemesis = nemesis;
    await this.#kill(system, nemesis, sorts);
    const healed = (await nemesis.healed(healMs)) && (await system.admin.isReady());
    if (!healed) {
      const open = this.firings.filter(
        ({ firedMs, recoveredMs }) => firedMs !== undefined && recoveredMs === undefined,
      );
      const named = open.map(
        ({ fault, target, error }) => `${fault} on ${target}${error === undefined ? '' : `: ${error}`}`,
      );
      return { verdict: 'heal-not-verified', reason: `not recovered: ${named.join('; ') || 'the node is not ready'}` };
    }
    say('all has recovered; waiting for rest');
    checker.send({ tell: 'stop' } satisfies ToChecker);
    const judged = await this.#hear(checker, 'judged');
    await this.#tally.read(system);
    this.judgement = judged.judgement;
    return this.#verdict(judged.judgement, sorts);
  }

  /** Kills as long as was asked, and in further rounds as long as no message came twice. */
  async #kill(system: System, nemesis: Nemesis, sorts: readonly KillSort[]): Promise<void> {
    const { clock, signal, seed, engine, runMs, say } = this.#options;
    const chance = chanceOf(seed, 'kills');
    // In memory, a killed process takes its mail with it.
    const rounds = engine === 'memory' ? 1 : 1 + furtherRoundsMax;
    for (let round = 0; round < rounds; round += 1) {
      const roundMs = round === 0 ? runMs : Math.min(runMs, furtherRoundMaxMs);
      const firing = nemesis.run(planKills(roundMs, sorts, chance));
      // Kills that were held up may go on for half as long again.
      const overdue = clock.after(roundMs * 1.5, () => nemesis.finish());
      await Promise.all([firing, wait(clock, roundMs, signal)]);
      overdue();
      if (system.up) await this.#tally.read(system);
      if (this.redeliveries > 0 || nemesis.finished) return;
      if (round + 1 < rounds) say('no message came twice yet; the kills go on');
    }
  }

  /** Ends all that the run began, in any state. */
  async end(): Promise<void> {
    for (const cancel of this.#timers) cancel();
    const checker = this.#checker;
    if (checker !== undefined && checker.exitCode === null && checker.signalCode === null) {
      const exited = once(checker, 'exit');
      checker.kill('SIGKILL');
      await exited;
    }
    await this.#nemesis?.close();
    this.#probe?.client.close();
    this.nodeLog = this.#system?.log() ?? '';
    await this.#system?.end();
  }

  #startChecker(system: System): ChildProcess {
    const { seed, reportFolder } = this.#options;
    const checkerOptions: CheckerOptions = {
      seed,
      node: system.node,
      log: join(reportFolder ?? system.folder ?? '', historyName),
      ledgers,
      senders,
      messagesPerSecond,
      settleMs: Math.max(settleMinMs, Math.min(settleMaxMs, this.#options.runMs)),
    };
    const checker = fork(besideThis('./checker'), [JSON.stringify(checkerOptions)], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    this.#checker = checker;
    return checker;
  }

  /** Resolves with the first such message. @throws when the checker ends before */
  async #hear<Tell extends FromChecker['tell']>(
    checker: ChildProcess,
    tell: Tell,
  ): Promise<Extract<FromChecker, { tell: Tell }>> {
    const { clock, signal } = this.#options;
    const heard = Promise.withResolvers<Extract<FromChecker, { tell: Tell }>>();
    const onMessage = (message: FromChecker): void => {
      if (message.tell === tell) heard.resolve(message as Extract<FromChecker, { tell: Tell }>);
    };
    const onExit = (): void => heard.reject(new Error(`the checker ended before it was ${tell}`));
    const onAbort = (): void => heard.reject(signal.reason);
    const late = clock.after(restMaxMs + checkerGraceMs, () =>
      heard.reject(new Error(`the checker is not ${tell} in time`)),
    );
    checker.on('message', onMessage).on('exit', onExit);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      return await heard.promise;
    } finally {
      late();
      checker.off('message', onMessage).off('exit', onExit);
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** Tells the checker when the node is away, reads its counters, and tells people how it goes. */
  #watch(system: System, checker: ChildProcess): void {
    const { clock, say } = this.#options;
    let told = true;
    checker.on('message', (message: FromChecker) => {
      if (message.tell === 'progress') acknowledged = message.operations.ok;
    });
    let acknowledged = 0;
    this.#timers = [
      clock.every(watchMs, () => {
        if (system.up === told || !checker.connected) return;
        told = system.up;
        checker.send({ tell: 'node', up: told } satisfies ToChecker);
      }),
      clock.every(tallyMs, () => {
        if (system.up) void this.#tally.read(system);
      }),
      clock.every(progressMs, () => {
        const kills = killSorts.map((sort) => `${this.kills[sort].done} ${sort}`).join(', ');
        say(`${Math.round(this.#elapsedMs() / 1_000)} s: ${acknowledged} acknowledged, killed ${kills}`);
      }),
    ];
  }

  #verdict(judgement: Judgement, sorts: readonly KillSort[]): { verdict: RunVerdict; reason?: string } {
    const { findings } = judgement;
    if (findings.some(({ verdict }) => verdict === 'violated')) return { verdict: 'violated' };
    if (findings.some(({ verdict }) => verdict === 'unknown')) return { verdict: 'unknown' };
    const { ownDeaths = 0 } = this.#system ?? {};
    if (ownDeaths > 0)
      return { verdict: 'unknown', reason: `the node ended by itself ${ownDeaths} times; its log says why` };
    const { runMs } = this.#options;
    const few = sorts
      .map((sort) => ({ sort, done: this.kills[sort].done, least: leastKills(sort, runMs) }))
      .filter(({ done, least }) => done < least);
    if (few.length > 0) {
      const counts = few.map(({ sort, done, least }) => `${done} of at least ${least} of ${sort}`);
      return {
        verdict: 'unknown',
        reason: `too few kills were done: ${counts.join(', ')}; run it on a calmer machine`,
      };
    }
    const { ok } = judgement.operations;
    if (ok < leastMessages(runMs))
      return {
        verdict: 'unknown',
        reason: `${ok} of at least ${leastMessages(runMs)} messages were acknowledged; run it on a calmer machine`,
      };
    if (judgement.deadLetters > 0)
      return {
        verdict: 'unknown',
        reason: `${judgement.deadLetters} dead letters, though no message of a torture does harm; its history names them`,
      };
    if (this.redeliveries === 0)
      return {
        verdict: 'unknown',
        reason: 'no message came twice, so that nothing shows how a repeat is treated; run longer',
      };
    return { verdict: 'pass' };
  }

  /** A connection to the node that runs now: one to its predecessor would wait before it tries again. */
  #client(system: System): Client {
    const { pid, grpc } = system.node;
    if (this.#probe?.pid === pid) return this.#probe.client;
    this.#probe?.client.close();
    const client = connect(reachable(grpc), { ownConnection: true });
    this.#probe = { pid, client };
    return client;
  }
}
