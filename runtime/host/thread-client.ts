import { Worker } from 'node:worker_threads';
import { type Clock, systemClock } from '../clock.ts';
import { type ErrorData, toErrorData } from '../errors.ts';
import { defaults, limits } from '../limits.ts';
import type { Behalf } from './causes.ts';
import { InHand } from './in-hand.ts';
import type { FromHost, Host, HostData, HostEvents, ToHost, TurnInput } from './messages.ts';
import { readStuckCode } from './stuck-code.ts';
import { fromWire, toWire, type Wire } from './wire.ts';

type ExitCause = Parameters<HostEvents['onExit']>[0]['cause'];

export interface ThreadOptions {
  /** Limit of the thread's old heap, in MiB; default: Node's own. Reaching it ends the thread, not the process. */
  readonly heapLimitMb?: number | undefined;
  /** Default: that of the system. */
  readonly clock?: Clock;
}

/** What a thread has noted of what it runs. */
interface Noted {
  readonly turn?: ReturnType<InHand['read']>;
  readonly behalf?: Behalf | undefined;
}

/** What the thread finds as its `workerData`. */
export interface ThreadData {
  readonly data: HostData;
  readonly inHand: SharedArrayBuffer;
}

/** From source the entry is TypeScript, in the built package JavaScript. */
const entry = new URL(import.meta.url.endsWith('.ts') ? './thread-host.ts' : './thread-host.js', import.meta.url);

/** Starts a host in a worker thread; `onMessages` hears `ready` when it can take actors. */
export function startThreadHost(data: HostData, events: HostEvents, options: ThreadOptions = {}): Host {
  const { clock = systemClock } = options;
  const inHand = new InHand();
  const worker = new Worker(entry, {
    workerData: { data, inHand: inHand.cells.buffer } satisfies ThreadData,
    name: `host-${data.slot}`,
    ...(options.heapLimitMb === undefined ? {} : { resourceLimits: { maxOldGenerationSizeMb: options.heapLimitMb } }),
  });
  let outgoing: ToHost[] = [];
  let outgoingInputs = 0;
  let cause: ExitCause = 'died';
  let error: ErrorData | undefined;
  let gone = false;
  /** What it hung in; empty where it came back before it was ended. */
  let stuck: Noted | undefined;
  let isBack = false;

  const noted = (): Noted => ({ turn: inHand.read(), behalf: inHand.behalf() });

  const exited = new Promise<void>((resolve) => {
    worker.once('exit', (code) => {
      gone = true;
      outgoing = [];
      error ??= cause === 'died' ? toErrorData(new Error(`the host thread left with code ${code}`)) : undefined;
      const { turn, behalf } = stuck ?? noted();
      const activation = turn?.activation ?? behalf?.activation;
      events.onExit({
        cause,
        ...(error === undefined ? {} : { error }),
        ...(turn === undefined ? {} : { inHand: turn }),
        ...(behalf === undefined ? {} : { behalf }),
        ...(activation === undefined ? {} : { activation }),
      });
      resolve();
    });
  });
  worker.on('message', (wire: Wire<FromHost> | FromHost) => {
    const messages = typeof wire === 'string' ? fromWire(wire) : [wire];
    isBack ||= stuck !== undefined && messages.some(({ from }) => from === 'pong');
    events.onMessages(messages);
  });
  worker.on('error', (thrown: unknown) => {
    error = toErrorData(thrown);
    if ((thrown as NodeJS.ErrnoException | null)?.code === 'ERR_WORKER_OUT_OF_MEMORY') cause = 'out-of-memory';
  });

  /** Finds out what it hangs in. One that comes back meanwhile runs something else by then, of which nobody is to blame. */
  const look = async (): Promise<void> => {
    const before = noted();
    stuck = before;
    const { where, behalf } = await readStuckCode(worker.threadId, defaults.stuckCodeMs, clock);
    if (isBack) stuck = {};
    // In a turn that was fed it is known more exactly what was in hand.
    else if (before.turn === undefined && behalf !== undefined) stuck = { behalf };
    if (!isBack && where !== undefined) error = toErrorData(new Error(`it ran ${where}`));
  };

  /** The delivery that a further one to the same activation joins. */
  let last: (Extract<ToHost, { readonly to: 'deliver' }> & { readonly inputs: TurnInput[] }) | undefined;

  /** Whether what is posted now leaves at the end of this round of the event loop. */
  let isRoundPlanned = false;
  /** What comes after a pause leaves at once. What follows in the same round is many: a wake of the thread for each costs. */
  const planFlush = (): void => {
    isRoundPlanned = true;
    queueMicrotask(flush);
    clock.soon(endRound);
  };
  const endRound = (): void => {
    isRoundPlanned = outgoing.length > 0;
    if (!isRoundPlanned) return;
    clock.soon(endRound);
    flush();
  };

  const flush = (): void => {
    const messages = outgoing;
    outgoing = [];
    outgoingInputs = 0;
    last = undefined;
    if (!gone && messages.length > 0) worker.postMessage(toWire(messages));
  };

  return {
    slot: data.slot,
    incarnation: data.incarnation,
    post(message) {
      if (gone) return;
      if (outgoing.length === 0 && !isRoundPlanned) planFlush();
      if (message.to !== 'deliver') {
        last = undefined;
        outgoing.push(message);
        return;
      }
      if (last?.activation === message.activation) last.inputs.push(...message.inputs);
      else {
        last = { ...message, inputs: [...message.inputs] };
        outgoing.push(last);
      }
      outgoingInputs += message.inputs.length;
      // The thread begins while the rest is still being written.
      if (outgoingInputs >= limits.turnsPerPost) flush();
    },
    async terminate(asked = 'killed') {
      if (!gone && cause === 'died') cause = asked;
      if (!gone && asked === 'hung') await look();
      await worker.terminate();
      await exited;
    },
  };
}
