/** What the benches of one run share: how long they measure, what they start, and what they found. */

import type { Clock } from '../../runtime/clock.ts';
import { type BenchEngine, benchEngines } from './engine-server.ts';
import { compare, type Plan, type Side, warmUp } from './measure.ts';
import { type BenchNode, startBenchNode } from './node.ts';
import { sampleOrder } from './order.ts';
import { type Line, machineHere, meetsBar, type Remark, type Report, staysBelow } from './report.ts';

/** How much is measured: all; less, with rough figures; or just enough to see that it works. */
export type BenchSize = 'full' | 'quick' | 'tiny';

export interface BenchOptions {
  readonly size: BenchSize;
  readonly engines?: readonly BenchEngine[];
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly say: (text: string) => void;
}

/** Messages of a run with one in flight, and with many. */
export interface Counts {
  readonly one: number;
  readonly many: number;
}

const manyInFlight = { full: 256, quick: 256, tiny: 16 } as const;

const divisors = { full: 1, quick: 5, tiny: 500 } as const;
const runsOf = { full: 5, quick: 3, tiny: 1 } as const;

export class BenchRun {
  readonly engines: readonly BenchEngine[];
  readonly #options: BenchOptions;
  readonly #lines: Line[] = [];
  readonly #remarks: Remark[] = [];
  readonly #skipped: { bench: string; reason: string }[] = [];

  constructor(options: BenchOptions) {
    this.#options = options;
    this.engines = options.engines ?? benchEngines;
  }

  get clock(): Clock {
    return this.#options.clock;
  }

  get signal(): AbortSignal {
    return this.#options.signal;
  }

  get size(): BenchSize {
    return this.#options.size;
  }

  report(): Report {
    return {
      machine: machineHere(),
      runs: runsOf[this.size],
      payloadBytes: Buffer.byteLength(JSON.stringify(sampleOrder)),
      lines: this.#lines,
      remarks: this.#remarks,
      skipped: this.#skipped,
      passed: this.#lines.every(meetsBar) && this.#remarks.every(staysBelow),
    };
  }

  /**
   * Both sides with one message in flight, and with many; a bar may stand for one of them only. Many warm both up before:
   * what one message takes is felt only once V8 has compiled its whole way, and that takes some 20,000 messages.
   */
  async compare(
    kind: Pick<Line, 'bench' | 'bareSide'> & { readonly bar?: number; readonly barOfMany?: number },
    ours: Side,
    bare: Side,
    counts: Counts,
  ): Promise<void> {
    const { bench, bareSide, bar, barOfMany = bar } = kind;
    const measured = async (inFlight: number, messages: number, least: number | undefined): Promise<Line> => {
      const plan = this.plan(messages, inFlight);
      const line: Line = { bench, bareSide, inFlight, messages: plan.messages, ...(await compare(ours, bare, plan)) };
      this.#options.say(`${bench}, ${inFlight} in flight: ${line.ratio.toFixed(2)}`);
      return least === undefined ? line : { ...line, bar: least };
    };
    const inFlight = manyInFlight[this.size];
    await warmUp(ours, bare, this.plan(counts.many, inFlight));
    this.#lines.push(await measured(1, counts.one, bar), await measured(inFlight, counts.many, barOfMany));
  }

  plan(messages: number, inFlight: number): Plan {
    // A whole number of rounds of all that is in flight.
    const rounds = Math.max(2, Math.round(this.scaled(messages) / inFlight));
    return { messages: rounds * inFlight, inFlight, runs: runsOf[this.size], clock: this.clock, signal: this.signal };
  }

  /** So many of a full run, in this one. */
  scaled(count: number): number {
    return Math.max(1, Math.round(count / divisors[this.size]));
  }

  /** A node that is closed with what is started here. */
  async node(started: AsyncDisposableStack, engine: string): Promise<BenchNode> {
    this.signal.throwIfAborted();
    return started.adopt(await startBenchNode(engine, this.clock), (running) => running.close());
  }

  remark(remark: Remark): void {
    this.#remarks.push(remark);
  }

  say(text: string): void {
    this.#options.say(text);
  }

  skip(bench: string, reason: string): void {
    this.#skipped.push({ bench, reason });
    this.#options.say(`${bench}: skipped: ${reason}`);
  }
}
