/**
 * A host: the activations of one thread, and the loop that gives each its turns. The same code runs behind a worker
 * thread and, in tests, in the main thread's own process.
 *
 * 1. Orders (start, stop, committed, cancel, …) are obeyed as they come; mail waits for its cell's round.
 * 2. Cells with mail take rounds in turn, each of bounded length; after some rounds the event loop gets its chance.
 * 3. What the cells say gathers and leaves in one post.
 */

import { createProgram } from '../activation/machine.ts';
import type { Program } from '../activation/stepper.ts';
import type { Clock } from '../clock.ts';
import type { App } from '../define-app.ts';
import { deliveryFailedEnvelope, deliveryFailedType, failureOfRefusal, hearsOfFailures } from '../delivery-failed.ts';
import type { Json } from '../envelope.ts';
import { TroupeError, textOf } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Log } from '../log.ts';
import type { Random } from '../random.ts';
import { Tally } from '../tally.ts';
import { type Behalf, causeBeside } from './causes.ts';
import { Cell } from './cell.ts';
import type { CellHost } from './cell-host.ts';
import type { InHand } from './in-hand.ts';
import type { FromHost, ToHost } from './messages.ts';
import { OpenSends } from './open-sends.ts';

export interface HostCoreOptions {
  readonly app: App;
  /** Life of the slot that this host is. */
  readonly incarnation: number;
  readonly clock: Clock;
  readonly random: Random;
  /** Carries messages to the main thread. */
  readonly post: (messages: FromHost[]) => void;
  /** Carries the one message that has a port beside its text; needs no place among the others. */
  readonly postWithPort: (message: Extract<FromHost, { from: 'offload' }>) => void;
  /** Heap in use, of that which the limit counts, in bytes. */
  readonly heapUsedBytes: () => number;
  /** The heap at which the thread ends, in bytes; 0 where it shares that of the node. */
  readonly heapLimitBytes: number;
  /** Where the turn in hand is noted. */
  readonly inHand: InHand;
  /** Whether the fault door may block this thread for good. */
  readonly mayHang: boolean;
}

export interface HostCore {
  receive(messages: readonly ToHost[]): void;
  /** On whose behalf the running code was started; `undefined` where no actor's. */
  here(): Behalf | undefined;
  /**
   * Fails the actor whose code let something slip that nobody caught; false when no actor is to blame. One that has
   * ended meanwhile is only named in the log.
   */
  blame(thrown: unknown): boolean;
  /** Lets go of everything, as the end of a thread does: nothing is said any more. */
  end(): void;
}

/** Turns of one cell in one round. */
const roundTurns = 64;
/** So few messages come to a thread that is not busy: they are not kept waiting for others. */
const fewMessages = 1;
/** Messages that are worth a post of their own. */
const postMessages = 64;
/** Turns of all cells, and time, after which what they said leaves and the event loop gets its chance. */
const pumpTurns = 512;
const pumpMs = 8;

export function createHostCore(options: HostCoreOptions): HostCore {
  const { clock, random } = options;
  const definitions = new Map(options.app.definitions.map((definition) => [definition.kind, definition]));
  const programs = new Map<string, Program>();
  const cells = new Map<number, Cell>();
  /** Ephemeral actors, which neighbours reach without leaving the thread. */
  const ephemeral = new Map<string, Cell>();
  let ready: Cell[] = [];
  let outgoing: FromHost[] = [];
  let pumping = false;
  let pumpPlanned = false;
  let ended = false;
  let posts = 1;
  let droppedLocally = 0;
  let droppedToldMs = Number.NEGATIVE_INFINITY;

  const log = logTo((message) => post(message));
  const sends = new OpenSends(options.incarnation, {
    log,
    random,
    post: (message) => post(message),
    onRefused: (activation, message, error) => undelivered(cells.get(activation), message, error),
    isPersistent: (activation) => cells.get(activation)?.definition.persist === 'snapshot',
  });

  const fromNeighbours = new Tally();

  function post(message: FromHost): void {
    if (message.from === 'offload') options.postWithPort(message);
    else {
      outgoing.push(message);
      plan();
    }
  }

  function plan(): void {
    if (pumping || pumpPlanned) return;
    pumpPlanned = true;
    queueMicrotask(pump);
  }

  function pump(): void {
    pumpPlanned = false;
    pumping = true;
    let turns = 0;
    let startedMs = 0;
    for (let index = 0; index < ready.length; index += 1) {
      if (index === 0) startedMs = clock.monotonic();
      else if (turns >= pumpTurns || clock.monotonic() - startedMs > pumpMs) {
        ready = ready.slice(index);
        pumpPlanned = true;
        clock.soon(pump);
        break;
      }
      const cell = ready[index] as Cell;
      cell.listed = false;
      // Turns that nothing sent stand behind say so themselves.
      sends.within({ activation: cell.activation, sent: true }, () => {
        turns += cell.run(roundTurns);
      });
      if (cell.hasTurns) host.ready(cell);
      // The main thread begins with these while the rest is still being stepped.
      if (outgoing.length >= postMessages) flush();
    }
    if (!pumpPlanned) ready = [];
    pumping = false;
    flush();
  }

  function flush(): void {
    if (outgoing.length === 0 || ended) return;
    const messages = outgoing;
    outgoing = [];
    posts += 1;
    try {
      options.post(messages);
    } catch {
      for (const message of messages) postAlone(message);
    }
  }

  /** A value that cannot cross threads, such as a cycle in a reply, fails its actor and nobody else's. */
  function postAlone(message: FromHost): void {
    try {
      options.post([message]);
    } catch (thrown) {
      if ('activation' in message && message.activation !== undefined)
        cells.get(message.activation)?.unsendable(message, thrown);
      else log.error({ message: message.from }, `a message could not leave the host thread: ${textOf(thrown)}`);
    }
  }

  const host: CellHost<Cell> = {
    clock,
    log,
    inHand: options.inHand,
    fromNeighbours,
    get posts() {
      return posts;
    },
    post,
    ready(cell) {
      if (cell.listed) return;
      cell.listed = true;
      ready.push(cell);
      plan();
    },
    tellLocally(from, tell) {
      if (tell.delivery === 'at-least-once' || tell.messageType === deliveryFailedType) return false;
      const target = ephemeral.get(tell.address);
      if (target === undefined || !target.running || sends.isOutside(tell.address)) return false;
      const full = fullFor(target);
      if (full !== undefined) {
        dropLocally(target);
        const { address: to, messageType: type } = tell;
        undelivered(from, { to, type }, new TroupeError('MAILBOX_FULL', full));
      } else
        target.deliverLocally({
          id: random.id(),
          to: target.address,
          from: from.address,
          type: tell.messageType,
          payload: (tell.payload ?? {}) as Json,
          delivery: 'at-most-once',
          attempt: 1,
        });
      return true;
    },
    undelivered: (envelope, error) => undelivered(ephemeral.get(envelope.from ?? ''), envelope, error),
    tellOutside: (from, message) => sends.tell(from.activation, from.address, message),
    within({ activation }, origin, task) {
      const { inHand } = options;
      const isTurn = inHand.activation() === activation;
      if (!isTurn) inHand.note(activation, -1);
      const before = inHand.attribute(origin);
      sends.within({ activation, ...origin }, task);
      inHand.attribute(before);
      if (!isTurn) inHand.clear();
    },
    here: () => sends.here(),
    newId: () => random.id(),
    over(cell) {
      cells.delete(cell.activation);
      if (ephemeral.get(cell.address) === cell) ephemeral.delete(cell.address);
      sends.cancelOf(cell.activation);
    },
  };

  /** Tells an ephemeral actor that what it told did not arrive, if it wants to know. */
  function undelivered(sender: Cell | undefined, message: { to: string; type: string }, error: unknown): void {
    if (sender === undefined || !sender.running || !hearsOfFailures(sender.definition)) return;
    const { address } = sender;
    const failure = failureOfRefusal(message, error);
    if (fullFor(sender) !== undefined) dropLocally(sender);
    else sender.deliverLocally(deliveryFailedEnvelope(random.id(), address, address, 'at-most-once', failure));
  }

  /** Why one more message of a neighbour does not fit. */
  function fullFor({ waiting, definition, address }: Cell): string | undefined {
    // Who has nothing waiting does not pay for those who are slow.
    if (waiting === 0) return undefined;
    if (waiting >= definition.mailbox.ephemeral) return `the mailbox of ${address} is full`;
    if (fromNeighbours.count < limits.threadEphemeralMessages) return undefined;
    return `the thread of ${address} is full, of what its actors tell each other`;
  }

  function dropLocally(target: Cell): void {
    droppedLocally += 1;
    const nowMs = clock.monotonic();
    if (nowMs - droppedToldMs < 1_000) return;
    droppedToldMs = nowMs;
    log.warn({ address: target.address, dropped: droppedLocally }, 'mailbox full: messages of its thread were dropped');
    droppedLocally = 0;
  }

  function start(order: Extract<ToHost, { readonly to: 'start' }>) {
    const definition = definitions.get(order.kind);
    if (definition === undefined) {
      const known = [...definitions.keys()].join(', ');
      const message = `the app defines no kind "${order.kind}"; it defines: ${known}`;
      const error = { reason: 'NOT_FOUND', message, outcome: 'not_started' } as const;
      return post({ from: 'startFailed', activation: order.activation, error, restore: false });
    }
    let program = programs.get(order.kind);
    if (program === undefined) {
      program = createProgram(definition);
      programs.set(order.kind, program);
    }
    const cell = new Cell(host, definition, program, order);
    cells.set(order.activation, cell);
    if (definition.persist === 'none') ephemeral.set(order.address, cell);
    host.within(cell, { sent: false }, () => cell.start(order));
  }

  function dispatch(message: ToHost) {
    switch (message.to) {
      case 'start':
        return start(message);
      case 'deliver':
        return cells.get(message.activation)?.deliver(message.inputs);
      case 'committed':
        return cells.get(message.activation)?.committed(message.number);
      case 'passivate':
        return cells.get(message.activation)?.passivate(message.idleMs);
      case 'stop':
        return cells.get(message.activation)?.stop();
      case 'cancel':
        return cells.get(message.activation)?.cancel(message.message);
      case 'terminated': {
        const { address, incarnation } = message.termination;
        const event = { type: 'troupe.terminated', ...message.termination };
        return cells.get(message.activation)?.signal(event, { by: 'watch', address, incarnation });
      }
      case 'settled':
        return sends.settled(message.request, message.result);
      case 'inspect': {
        const found = message.activations.flatMap((activation) => cells.get(activation) ?? []);
        const activations = found.map((cell) => cell.inspect(message.context));
        return post({ from: 'inspected', request: message.request, activations });
      }
      case 'ping':
        return post({
          from: 'pong',
          sentMs: message.sentMs,
          heapUsedBytes: options.heapUsedBytes(),
          heapLimitBytes: options.heapLimitBytes,
        });
      case 'fault':
        if (message.fault === 'crash') cells.get(message.activation)?.crash();
        else if (options.mayHang) hang();
        else log.error({}, 'this host shares its thread with the node and will not hang');
    }
  }

  return {
    receive(messages) {
      pumping = true;
      for (const message of messages) dispatch(message);
      pumping = false;
      if (pumpPlanned) return;
      if (messages.length <= fewMessages) pump();
      else {
        pumpPlanned = true;
        clock.soon(pump);
      }
    },
    here: () => sends.here(),
    blame(thrown) {
      const behalf = sends.here();
      // Out of the middle of the pump only a fault of this host itself gets here.
      if (behalf === undefined || pumping) return false;
      const cell = cells.get(behalf.activation);
      const error = textOf(thrown);
      if (cell === undefined) log.warn({ error }, 'an actor that has ended left an error that nobody handles');
      else {
        log.error({ address: cell.address, error }, 'an actor left an error that nobody handles: it fails');
        cell.crash(thrown, causeBeside(behalf));
      }
      return true;
    },
    end() {
      ended = true;
      for (const cell of [...cells.values()]) cell.stop();
      outgoing = [];
      ready = [];
    },
  };
}

/** Blocks the thread for good, without burning a core. */
function hang(): never {
  const cell = new Int32Array(new SharedArrayBuffer(4));
  for (;;) Atomics.wait(cell, 0, 0, 1_000);
}

function logTo(post: (message: FromHost) => void, base: object = {}): Log {
  const line =
    (level: 'debug' | 'info' | 'warn' | 'error') =>
    (fields: object, message: string): void =>
      post({ from: 'log', level, fields: { ...base, ...fields }, message });
  return {
    debug: line('debug'),
    info: line('info'),
    warn: line('warn'),
    error: line('error'),
    child: (fields) => logTo(post, { ...base, ...fields }),
  };
}
