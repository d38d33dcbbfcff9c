import type { Clock } from '../../runtime/clock.ts';
import { TroupeError } from '../../runtime/errors.ts';
import type { OutgoingMessage } from '../../runtime/messaging.ts';
import type { Connection, Nodes } from './nodes.ts';
import type { Operation, Plan, PlannedSend } from './plan.ts';
import { senders } from './states.ts';
import type { Truth } from './truth.ts';
import type { Violations } from './verdict.ts';

/** A message that was handed to a node, and what its sender heard of it. */
export interface Sent {
  readonly send: PlannedSend;
  /** Who it is to its receiver: the sender and its connection. */
  readonly sender: string;
  /** Counts the messages of this connection to this actor in this way of sending. */
  readonly n: number;
  readonly attempt: number;
  readonly connection: Connection;
  readonly atMs: number;
  outcome: 'open' | 'ok' | 'refused' | 'unknown';
  /** Why it was not accepted. */
  reason: string;
  endedMs: number | undefined;
  messageId: string | undefined;
}

/** An ask that ends later than this after its deadline has ended too late. */
const lateMs = 100;
/** A tell that was refused, or of which nobody knows, is sent anew after so long, as another message, so often. */
const retryMs = 400;
const attemptsMax = 30;
const reconnectMs = 200;

/** The message types of operations that are not called as they are. */
const types: Readonly<Partial<Record<Operation, string>>> = {
  'durable-put': 'put',
  task: 'put',
  prior: 'append',
  delayed: 'append',
  keyed: 'append',
};

/** Order binds only what one sender sends in one class: it signs each with another name. */
function classOf({ operation, priority }: PlannedSend): string {
  if (operation === 'put') return senders.ephemeral;
  if (operation === 'delayed') return senders.unordered;
  if (operation === 'wait') return senders.waiting;
  return priority === undefined ? '' : `^${priority}`;
}

/** Resolves with the id of a message, or of a task, once it is accepted. */
async function accepted({ messaging }: Connection, message: OutgoingMessage, isTask: boolean): Promise<string> {
  return isTask ? (await messaging.submit(message)).taskId : (await messaging.tell(message)).messageId;
}

/** The senders: several connections, each with its own order. */
export class Load {
  readonly sent: Sent[] = [];
  readonly #unanswered = new Set<Sent>();
  readonly #plan: Plan;
  readonly #clock: Clock;
  readonly #nodes: Nodes;
  readonly #truth: Truth;
  readonly #violations: Violations;
  readonly #note: (line: string) => void;
  readonly #connections = new Map<number, Connection>();
  readonly #numbers = new Map<string, number>();
  readonly #waiting: { readonly send: PlannedSend; readonly attempt: number }[] = [];
  #lastConnection = 0;
  #lastIndex: number;
  #left: number;
  #retrying = 0;

  constructor(
    plan: Plan,
    clock: Clock,
    nodes: Nodes,
    truth: Truth,
    violations: Violations,
    note: (line: string) => void,
  ) {
    this.#plan = plan;
    this.#clock = clock;
    this.#nodes = nodes;
    this.#truth = truth;
    this.#violations = violations;
    this.#note = note;
    this.#left = plan.sends.length;
    this.#lastIndex = plan.sends.at(-1)?.index ?? 0;
  }

  arm(): void {
    const bursts = Map.groupBy(this.#plan.sends, ({ atMs }) => atMs);
    for (const [atMs, burst] of bursts)
      this.#clock.after(atMs, () => {
        for (const send of burst) this.#waiting.push({ send, attempt: 1 });
        this.#sendAll();
      });
    this.#clock.every(reconnectMs, () => {
      this.#breakConnections();
      this.#sendAll();
    });
  }

  /** Sends so many more, for a run in which much was refused or lost. */
  topUp(count: number): void {
    const to = this.#plan.sends.find((send) => send.operation === 'append')?.to ?? '/ledgers/l0';
    this.append(Array.from({ length: count }, () => to));
  }

  /** Sends one more message to each of these. */
  append(addresses: readonly string[]): void {
    for (const to of addresses) {
      this.#left += 1;
      this.#lastIndex += 1;
      const send: PlannedSend = {
        index: this.#lastIndex,
        atMs: 0,
        sender: 0,
        operation: 'append',
        to,
        payload: {},
      };
      this.#waiting.push({ send, attempt: 1 });
    }
    this.#sendAll();
  }

  /** Whether everything was sent, and whoever can still hear has heard. */
  get over(): boolean {
    return this.#left === 0 && this.#retrying === 0 && this.#waiting.length === 0 && this.open.length === 0;
  }

  /** What was not answered, of nodes that live. */
  get open(): readonly Sent[] {
    return [...this.#unanswered].filter(({ connection }) => connection.member.process.alive);
  }

  /** Sends what waits; without a node it waits on. */
  #sendAll(): void {
    const { current } = this.#nodes;
    if (current === undefined) return;
    for (const { send, attempt } of this.#waiting.splice(0)) this.#send(send, attempt);
  }

  #send(send: PlannedSend, attempt: number): void {
    const connection = this.#connect(send.sender);
    if (connection === undefined) return void this.#waiting.push({ send, attempt });
    if (attempt === 1) this.#left -= 1;
    const ephemeral = send.operation === 'put';
    const { key } = send;
    // Whoever sends it, a message of one key is the same message.
    const sender =
      key === undefined ? `s${send.sender}.${connection.number}${classOf(send)}` : `${senders.keyed}${key}`;
    const n = key === undefined ? this.#nextNumber(`${sender} ${send.to}`) : 0;
    const sent: Sent = {
      send,
      sender,
      n,
      attempt,
      connection,
      atMs: this.#clock.monotonic(),
      outcome: 'open',
      reason: '',
      endedMs: undefined,
      messageId: undefined,
    };
    this.sent.push(sent);
    this.#unanswered.add(sent);
    const message = {
      to: send.to,
      type: types[send.operation] ?? send.operation,
      payload: { ...send.payload, sender, n },
      delivery: ephemeral ? 'at-most-once' : 'at-least-once',
      ...(send.priority === undefined ? {} : { priority: send.priority }),
      ...(send.delayMs === undefined ? {} : { delayMs: send.delayMs }),
      ...(key === undefined ? {} : { idempotencyKey: `key-${key}` }),
    } as const;
    const { timeoutMs } = send;
    if (timeoutMs === undefined)
      accepted(connection, message, send.operation === 'task').then(
        (id) => {
          sent.messageId = id;
          this.#end(sent, 'ok');
        },
        (error: unknown) => this.#failed(sent, error),
      );
    else
      connection.messaging.ask(message, { timeoutMs }).then(
        () => {
          if (!this.#truth.holds(send.to, sender, n) && !this.#truth.wasRolledBack(send.to, sent.atMs))
            this.#violations.add('output', `${send.to} answered ${sender}#${n} before that was committed`);
          this.#end(sent, 'ok');
        },
        (error: unknown) => this.#failed(sent, error),
      );
  }

  #nextNumber(line: string): number {
    const n = this.#numbers.get(line) ?? 0;
    this.#numbers.set(line, n + 1);
    return n;
  }

  #connect(sender: number): Connection | undefined {
    const known = this.#connections.get(sender);
    // A node that had to enter the namespace anew writes through new channels: no order binds these to the former.
    if (known?.member.process.alive === true && !known.member.paused && known.epoch === known.member.node?.epoch)
      return known;
    const member = this.#nodes.current;
    if (member?.node === undefined) return undefined;
    this.#lastConnection += 1;
    const connection: Connection = {
      member,
      epoch: member.node.epoch,
      number: this.#lastConnection,
      messaging: member.node.messaging(),
    };
    this.#connections.set(sender, connection);
    return connection;
  }

  #failed(sent: Sent, error: unknown): void {
    if (!(error instanceof TroupeError)) {
      this.#violations.add('crash', `a send failed with something else than a TroupeError: ${String(error)}`);
      this.#end(sent, 'unknown');
      return;
    }
    this.#end(sent, error.outcome === 'not_started' ? 'refused' : 'unknown', error.reason);
    if (error.reason !== 'NOT_FOUND') this.#again(sent);
  }

  /** Sends a tell anew, as another message, when it was refused or when nobody knows what became of it. */
  #again({ send, attempt }: Sent): void {
    if (send.timeoutMs !== undefined || send.operation === 'doom' || attempt >= attemptsMax) return;
    this.#retrying += 1;
    this.#clock.after(retryMs, () => {
      this.#retrying -= 1;
      this.#waiting.push({ send, attempt: attempt + 1 });
      this.#sendAll();
    });
  }

  /** A connection to a node that is gone breaks, and what was open on it is of unknown outcome. */
  #breakConnections(): void {
    for (const sent of this.#unanswered) {
      if (sent.connection.member.process.alive) continue;
      this.#end(sent, 'unknown', 'broken');
      this.#again(sent);
    }
  }

  #end(sent: Sent, outcome: 'ok' | 'refused' | 'unknown', reason = ''): void {
    const { send } = sent;
    if (sent.endedMs !== undefined) this.#violations.add('ask', `${sent.sender}#${sent.n} to ${send.to} ended twice`);
    this.#unanswered.delete(sent);
    sent.outcome = outcome;
    sent.reason = reason;
    sent.endedMs = this.#clock.monotonic();
    this.#note(`end ${send.index} ${outcome} ${reason}`);
  }

  /** Asks that ended too late, though their node was neither stopped nor killed. */
  lateAsks(): readonly Sent[] {
    return this.sent.filter(
      ({ send: { timeoutMs }, atMs, endedMs, connection }) =>
        timeoutMs !== undefined &&
        endedMs !== undefined &&
        !connection.member.wasPaused &&
        connection.member.process.alive &&
        endedMs - atMs > timeoutMs + lateMs,
    );
  }
}
