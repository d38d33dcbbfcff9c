import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads';
import { type Clock, loopRound, systemClock } from '../clock.ts';
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
  /** The thread's end of the border; `parentPort` is not used. */
  readonly port: MessagePort;
}

/** From source the entry is TypeScript, in the built package JavaScript. */
const entry = new URL(import.meta.url.endsWith('.ts') ? './thread-host.ts' : './thread-host.js', import.meta.url);

/** Starts a host in a worker thread; `onMessages` hears `ready` when it can take actors. */
export function startThreadHost(data: HostData, events: HostEvents, options: ThreadOptions = {}): Host {
  const { clock = systemClock } = options;
  const inHand = new InHand();
  // A channel of its own: on the worker's, Node reads an environment variable for each message and emits it twice.
  const { port1: port, port2 } = new MessageChannel();
  const worker = new Worker(entry, {
    workerData: { data, inHand: inHand.cells.buffer, port: port2 } satisfies ThreadData,
    transferList: [port2],
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
      // What it said before its end comes before the end.
      for (let last = receiveMessageOnPort(port); last !== undefined; last = receiveMessageOnPort(port))
        hear(last.message);
      port.close();
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
  const hear = (wire: Wire<FromHost> | FromHost): void => {
    const messages = typeof wire === 'string' ? fromWire(wire) : [wire];
    isBack ||= stuck !== undefined && messages.some(({ from }) => from === 'pong');
    events.onMessages(messages);
  };
  port.on('message', hear);
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

  /** The round of the event loop in which something left last. */
  let flushedIn = -1;
  /** What comes after a pause leaves at once. What follows in the same round is many: a wake of the thread for each costs. */
  const planFlush = (): void => {
    if (loopRound() === flushedIn) clock.soon(flush);
    else queueMicrotask(flush);
  };

  const flush = (): void => {
    const messages = outgoing;
    outgoing = [];
    outgoingInputs = 0;
    last = undefined;
    if (gone || messages.length === 0) return;
    flushedIn = loopRound();
    port.postMessage(toWire(messages));
  };

  return {
    slot: data.slot,
    incarnation: data.incarnation,
    post(message) {
      if (gone) return;
      if (outgoing.length === 0) planFlush();
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
