/**
 * The host slots of this process: starts, watches and ends the host behind each. It reports how lives end and decides
 * nothing about restarts.
 *
 * 1. A slot has one host at a time: the next starts only after the real exit of the one before.
 * 2. What a former life of a slot says is dropped.
 * 3. Each life ends in one report, unless `stop` ended it or its start failed.
 */

import { type Clock, wait } from '../clock.ts';
import { type ErrorData, TroupeError, toErrorData } from '../errors.ts';
import { defaults, limits } from '../limits.ts';
import type { Log } from '../log.ts';
import type { ThreadExitView, ThreadView } from '../messaging.ts';
import type { HostExit, HostSlots } from '../supervision.ts';
import type { FromHost, Host, HostData, HostEvents, ToHost } from './messages.ts';
import { startThreadHost } from './thread-client.ts';
import { startWatchdog, type Watchdog } from './watchdog.ts';

export interface HostsOptions {
  /** URL of the app module. */
  readonly app: string;
  /** Slots are numbered from 1 to `count`. */
  readonly count: number;
  readonly clock: Clock;
  readonly log: Log;
  /** A host whose event loop answers nothing for so long is ended; default 5,000. */
  readonly watchdogMs?: number;
  /** How long the import of the app module may take; default 30,000. */
  readonly startMs?: number;
  readonly heapLimitMb?: number;
  /** The address of an activation, for people. */
  readonly addressOf?: (activation: number) => string | undefined;
  /** Puts a host behind a slot; default: a worker thread. */
  readonly spawn?: (data: HostData, events: HostEvents) => Host;
  /** Everything a host says, except what is meant for its slot: `ready`, `pong`, `log`. */
  readonly onMessages: (slot: number, incarnation: number, messages: readonly FromHost[]) => void;
}

export interface Hosts extends HostSlots {
  /** Posts to the host of a slot; false when none runs there. */
  post(slot: number, message: ToHost): boolean;
  list(): Omit<ThreadView, 'actors'>[];
  /**
   * Starts a thread beyond `count`, of which the caller alone makes use and which `stop` ends; `undefined` while there
   * are `limits.quarantineThreads` of them. @throws TroupeError when it does not start
   */
  startExtra(): Promise<number | undefined>;
  /** Ends the host of a slot at once and reports it as `killed`; resolves after its exit. */
  kill(slot: number): Promise<void>;
  /** Ends all hosts for good. Reports nothing. */
  close(): Promise<void>;
}

interface Slot {
  readonly slot: number;
  incarnation: number;
  host: Host | undefined;
  status: 'starting' | 'running' | 'gone';
  /** Set by `stop`: its exit is not reported. */
  stopping: boolean;
  watchdog: Watchdog | undefined;
  heapUsedBytes: number;
  heapLimitBytes: number;
  /** Whether it was said that the heap is nearly full, and has not been far from it since. */
  heapHigh: boolean;
  lastExit: ThreadExitView | undefined;
  exits: number;
  /** Settles after the exit of the present host. */
  exited: Promise<void>;
}

const highShare = defaults.heapHighShare;
/** So much below the mark the heap counts as calm again. */
const calmShare = 0.1;

export function createHosts(options: HostsOptions): Hosts {
  const { clock, log } = options;
  const spawn =
    options.spawn ?? ((data, events) => startThreadHost(data, events, { heapLimitMb: options.heapLimitMb, clock }));
  const listeners: ((exit: HostExit) => void)[] = [];
  const slots = Array.from({ length: options.count }, (_, index): Slot => emptySlot(index + 1));

  /** Slots beyond `count` that are in use. */
  const extras = new Set<number>();
  let closed = false;

  const noSlot = (number: number): TroupeError =>
    new TroupeError('NOT_FOUND', `there is no host slot ${number}; slots are 1 to ${options.count}`);

  function slotOf(number: number): Slot {
    const slot = slots[number - 1];
    if (slot === undefined) throw noSlot(number);
    return slot;
  }

  async function startExtra(): Promise<number | undefined> {
    let slot = slots.find(({ slot: number }) => number > options.count && !extras.has(number));
    if (slot === undefined) {
      if (slots.length >= options.count + limits.quarantineThreads) return undefined;
      slot = emptySlot(slots.length + 1);
      slots.push(slot);
    }
    extras.add(slot.slot);
    await start(slot.slot);
    return slot.slot;
  }

  async function start(number: number): Promise<{ readonly incarnation: number }> {
    const slot = slotOf(number);
    if (slot.status !== 'gone' && !slot.stopping)
      throw new TroupeError('UNAVAILABLE', `host slot ${number} is already in use`);
    await slot.exited;
    if (closed) throw new TroupeError('UNAVAILABLE', 'the host threads have been closed');
    slot.incarnation += 1;
    slot.status = 'starting';
    slot.stopping = false;
    slot.heapUsedBytes = 0;
    slot.heapHigh = false;
    const { incarnation } = slot;
    const started = Promise.withResolvers<{ readonly incarnation: number }>();
    const exited = Promise.withResolvers<void>();
    slot.exited = exited.promise;
    const startLimit = clock.after(options.startMs ?? 30_000, () => void slot.host?.terminate('hung'));
    const events: HostEvents = {
      onMessages(messages) {
        if (slot.incarnation !== incarnation || slot.status === 'gone') return;
        if (slot.status === 'starting' && messages[0]?.from === 'ready') {
          startLimit();
          slot.status = 'running';
          watch(slot);
          started.resolve({ incarnation });
        }
        hear(slot, messages);
      },
      onExit(exit) {
        startLimit();
        const wasStarting = slot.status === 'starting';
        leave(slot);
        exited.resolve();
        if (wasStarting) started.reject(startFailure(number, exit));
        else if (!slot.stopping) report(slot, { slot: number, incarnation, ...exit });
      },
    };
    try {
      slot.host = spawn({ slot: number, incarnation, app: options.app }, events);
    } catch (thrown) {
      events.onExit({ cause: 'died', error: toErrorData(thrown) });
    }
    return started.promise;
  }

  function leave(slot: Slot): void {
    slot.status = 'gone';
    slot.host = undefined;
    extras.delete(slot.slot);
    slot.watchdog?.stop();
    slot.watchdog = undefined;
  }

  function report(slot: Slot, { activation, ...exit }: HostExit & { readonly activation?: number }): void {
    const { incarnation, cause, error } = exit;
    const actor = activation === undefined ? undefined : options.addressOf?.(activation);
    slot.exits += 1;
    slot.lastExit = {
      cause,
      atMs: clock.now(),
      ...(error === undefined ? {} : { error: error.message }),
      ...(actor === undefined ? {} : { actor }),
    };
    log.warn({ slot: slot.slot, incarnation, cause, actor, error: error?.message }, 'host thread gone');
    // What the code of an actor brought about is no fault of the thread (G7).
    const charged = cause === 'died' && (exit.inHand ?? actor) !== undefined ? { charged: false } : {};
    for (const listener of listeners) listener({ ...exit, ...charged, ...(actor === undefined ? {} : { actor }) });
  }

  function watch(slot: Slot): void {
    const { host } = slot;
    if (host === undefined) return;
    slot.watchdog = startWatchdog({
      clock,
      limitMs: options.watchdogMs ?? defaults.watchdogMs,
      ping: (sentMs) => host.post({ to: 'ping', sentMs }),
      onStuck: () => void host.terminate('hung'),
    });
  }

  /** Keeps what is meant for the slot and passes the rest on. */
  function hear(slot: Slot, messages: readonly FromHost[]): void {
    const others = messages.every(isForOthers) ? messages : messages.filter(isForOthers);
    for (const message of messages) {
      if (message.from === 'pong') {
        slot.watchdog?.pong(message.sentMs);
        noteHeap(slot, message.heapUsedBytes, message.heapLimitBytes);
      } else if (message.from === 'log') log[message.level]({ ...message.fields, thread: slot.slot }, message.message);
    }
    if (others.length > 0) options.onMessages(slot.slot, slot.incarnation, others);
  }

  /** Says once that a heap is nearly full, before its limit ends the thread. */
  function noteHeap(slot: Slot, usedBytes: number, limitBytes: number): void {
    slot.heapUsedBytes = usedBytes;
    slot.heapLimitBytes = limitBytes;
    const share = limitBytes > 0 ? usedBytes / limitBytes : 0;
    if (slot.heapHigh ? share >= highShare - calmShare : share < highShare) return;
    slot.heapHigh = !slot.heapHigh;
    const fields = { slot: slot.slot, heapUsedBytes: usedBytes, heapLimitBytes: limitBytes };
    if (slot.heapHigh)
      log.warn(
        fields,
        `host thread ${slot.slot} has filled ${Math.round(share * 100)} % of its heap; at its limit it ends`,
      );
    else log.info(fields, `the heap of host thread ${slot.slot} is no longer nearly full`);
  }

  const isShown = ({ slot, status, exits }: Slot): boolean => slot <= options.count || status !== 'gone' || exits > 0;

  async function stop(number: number, withinMs: number): Promise<void> {
    const slot = slotOf(number);
    if (slot.host === undefined) return slot.exited;
    slot.stopping = true;
    const giveUp = new AbortController();
    await Promise.race([slot.host.terminate(), wait(clock, withinMs, giveUp.signal).catch(() => {})]);
    giveUp.abort();
  }

  return {
    async start(number) {
      if (number > options.count) throw noSlot(number);
      return await start(number);
    },
    startExtra,
    stop,
    onExit: (listener) => {
      listeners.push(listener);
    },
    post(number, message) {
      const slot = slotOf(number);
      if (slot.status !== 'running' || slot.host === undefined) return false;
      slot.host.post(message);
      return true;
    },
    list: () =>
      slots.filter(isShown).map(({ slot, incarnation, status, watchdog, lastExit, ...known }) => ({
        slot,
        incarnation,
        status,
        lagMs: watchdog?.lagMs() ?? 0,
        worstLagMs: watchdog?.worstLagMs() ?? 0,
        heapUsedBytes: known.heapUsedBytes,
        heapLimitBytes: known.heapLimitBytes,
        heapHigh: known.heapHigh,
        exits: known.exits,
        quarantine: slot > options.count,
        ...(lastExit === undefined ? {} : { lastExit }),
      })),
    async kill(number) {
      const slot = slotOf(number);
      if (slot.host === undefined) throw new TroupeError('UNAVAILABLE', `no host runs in slot ${number}`);
      await slot.host.terminate('killed');
    },
    async close() {
      closed = true;
      for (const slot of slots) slot.stopping = true;
      await Promise.all(slots.map((slot) => slot.host?.terminate()));
    },
  };
}

function emptySlot(slot: number): Slot {
  return {
    slot,
    incarnation: 0,
    host: undefined,
    status: 'gone',
    stopping: false,
    watchdog: undefined,
    heapUsedBytes: 0,
    heapLimitBytes: 0,
    heapHigh: false,
    lastExit: undefined,
    exits: 0,
    exited: Promise.resolve(),
  };
}

function isForOthers(message: FromHost): boolean {
  return message.from !== 'pong' && message.from !== 'log' && message.from !== 'ready';
}

function startFailure(slot: number, exit: { readonly cause: string; readonly error?: ErrorData }): TroupeError {
  const error = exit.error?.message;
  const why =
    exit.cause === 'hung'
      ? `it did not get ready in time${error === undefined ? '' : `: ${error}`}`
      : (error ?? `it was ${exit.cause}`);
  return new TroupeError('UNAVAILABLE', `host thread ${slot} did not start: ${why}`);
}
