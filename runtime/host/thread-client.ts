import { Worker } from 'node:worker_threads';
import { systemClock } from '../clock.ts';
import { type ErrorData, toErrorData } from '../errors.ts';
import { defaults, limits } from '../limits.ts';
import { InHand } from './in-hand.ts';
import type { FromHost, Host, HostData, HostEvents, ToHost, TurnInput } from './messages.ts';
import { readStuckCode, type StuckCode } from './stuck-code.ts';
import { fromWire, toWire, type Wire } from './wire.ts';

type ExitCause = Parameters<HostEvents['onExit']>[0]['cause'];

export interface ThreadOptions {
  /** Limit of the thread's old heap, in MiB; default: Node's own. Reaching it ends the thread, not the process. */
  readonly heapLimitMb?: number | undefined;
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
  let stuck: StuckCode = {};
  /** How often it said something. */
  let heard = 0;

  const exited = new Promise<void>((resolve) => {
    worker.once('exit', (code) => {
      gone = true;
      outgoing = [];
      error ??= cause === 'died' ? toErrorData(new Error(`the host thread left with code ${code}`)) : undefined;
      const turn = inHand.read();
      const activation = inHand.activation() ?? stuck.behalf?.activation;
      // In a turn that was fed it is known more exactly what was in hand.
      const behalf = turn === undefined ? stuck.behalf : undefined;
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
    heard += 1;
    events.onMessages(typeof wire === 'string' ? fromWire(wire) : [wire]);
  });
  worker.on('error', (thrown: unknown) => {
    error = toErrorData(thrown);
    if ((thrown as NodeJS.ErrnoException | null)?.code === 'ERR_WORKER_OUT_OF_MEMORY') cause = 'out-of-memory';
  });

  /** Finds out what it hangs in. What has said something meanwhile does not hang any more. */
  const look = async (): Promise<void> => {
    const before = heard;
    const found = await readStuckCode(worker.threadId, defaults.stuckCodeMs);
    if (gone || heard !== before) return;
    stuck = found;
    if (found.where !== undefined) error = toErrorData(new Error(`it ran ${found.where}`));
  };

  /** The delivery that a further one to the same activation joins. */
  let last: (Extract<ToHost, { readonly to: 'deliver' }> & { readonly inputs: TurnInput[] }) | undefined;

  /** Whether what is posted now leaves at the end of this round of the event loop. */
  let isRoundPlanned = false;
  /** What comes after a pause leaves at once. What follows in the same round is many: a wake of the thread for each costs. */
  const planFlush = (): void => {
    isRoundPlanned = true;
    queueMicrotask(flush);
    systemClock.soon(endRound);
  };
  const endRound = (): void => {
    isRoundPlanned = outgoing.length > 0;
    if (!isRoundPlanned) return;
    systemClock.soon(endRound);
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
