/**
 * The sending half of the channels of one node epoch: everything that has no outbox (the gateway, ephemeral senders)
 * writes here, one channel for each target shard. What waits during a write goes as one job (group commit).
 *
 * Invariants:
 * 1. One write in flight per channel. An unknown outcome is settled by writing the same batch again until it is known;
 *    the receiver recognises the repeat.
 * 2. Numbers are given at the write, after every refusal: a refused message leaves no gap.
 * 3. `send` calls are written in the order in which they were made.
 * 4. Nobody waits long for an engine that does not answer: while a write stays unsettled, what waits behind it and what
 *    comes is refused, and those whose write it is are told that the outcome is unknown. It is settled all the same.
 */

import { type Cancel, type Clock, wait } from '../clock.ts';
import { EngineDown, type MailboxTransport } from '../engines/engine.ts';
import type { Envelope } from '../envelope.ts';
import { type Outcome, shuttingDown, TroupeError, textOf } from '../errors.ts';
import { limits } from '../limits.ts';
import { batchLength, encodeBatch, encodeEntry } from './batch.ts';

interface Waiting {
  readonly text: string;
  readonly accepted: () => void;
  readonly refused: (error: TroupeError) => void;
}

interface Channel {
  lastNumber: number;
  waiting: Waiting[];
  writing: boolean;
  /** The outcome of the write in flight has been unknown for too long. */
  unsettled: boolean;
}

export interface ChannelOptions {
  readonly writer: string;
  readonly transport: MailboxTransport;
  readonly clock: Clock;
  /**
   * Called when a write was sent to an engine that keeps the order of calls: a fetch that is sent now finds it, a round
   * trip before its acknowledgement.
   */
  readonly onSent: (shard: string) => void;
  /** Called after each write that an engine acknowledged. */
  readonly onWritten: (shard: string) => void;
}

/** Delay between attempts to settle a write of unknown outcome. */
const settleDelayMs = 250;

/** How long a write may be of unknown outcome before its senders are told. */
const settlePatienceMs = 1_000;

/** Messages that may wait for the engine on one channel. */
const channelWaitingMax = 16 * limits.batchEnvelopes;

export class ChannelWriter {
  readonly #options: ChannelOptions;
  readonly #channels = new Map<string, Channel>();
  #closed = false;

  constructor(options: ChannelOptions) {
    this.#options = options;
  }

  /** Envelopes that are not yet acknowledged by the engine. */
  get waitingCount(): number {
    let count = 0;
    for (const channel of this.#channels.values()) count += channel.waiting.length + (channel.writing ? 1 : 0);
    return count;
  }

  /** Resolves when the engine has the envelope. @throws TroupeError `UNAVAILABLE`, `MAILBOX_FULL`, `PAYLOAD_TOO_LARGE` */
  send(shard: string, envelope: Envelope): Promise<void> {
    if (this.#closed) throw TroupeError.from(shuttingDown);
    let channel = this.#channels.get(shard);
    if (channel === undefined) {
      channel = { lastNumber: 0, waiting: [], writing: false, unsettled: false };
      this.#channels.set(shard, channel);
    }
    if (channel.unsettled) throw givenUp('not_started');
    if (channel.waiting.length >= channelWaitingMax)
      throw new TroupeError('MAILBOX_FULL', 'too many messages wait for the storage engine', { retryAfterMs: 500 });
    const text = JSON.stringify(envelope);
    if (text.length > limits.transportBytes)
      throw new TroupeError('PAYLOAD_TOO_LARGE', `the message is larger than ${limits.transportBytes} bytes`);
    const target = channel;
    return new Promise((resolve, reject) => {
      target.waiting.push({ text, accepted: resolve, refused: reject });
      if (!target.writing) {
        target.writing = true;
        // What is sent in the same tick shares the first write.
        queueMicrotask(() => void this.#write(shard, target));
      }
    });
  }

  /** Gives up: refuses what comes, and what no engine has acknowledged yet. */
  close(): void {
    this.#closed = true;
    for (const channel of this.#channels.values())
      for (const item of channel.waiting.splice(0)) item.refused(givenUp('not_started'));
  }

  async #write(shard: string, channel: Channel): Promise<void> {
    while (channel.waiting.length > 0) {
      const sizes = channel.waiting.slice(0, limits.batchEnvelopes).map((item) => item.text.length);
      const batch = channel.waiting.splice(0, batchLength(sizes));
      const first = channel.lastNumber;
      const data = encodeBatch(
        this.#options.writer,
        batch.map((item, index) => encodeEntry(first + index + 1, first + index, item.text)),
      );
      const refusal = await this.#writeUntilKnown(shard, data, () => {
        channel.unsettled = true;
        for (const item of batch) item.refused(givenUp('unknown'));
        for (const item of channel.waiting.splice(0)) item.refused(givenUp('not_started'));
      });
      channel.unsettled = false;
      if (refusal === undefined) {
        channel.lastNumber = first + batch.length;
        for (const item of batch) item.accepted();
        this.#options.onWritten(shard);
      } else for (const item of batch) item.refused(refusal);
    }
    channel.writing = false;
  }

  /** `onUnsettled` is called once where the outcome stays unknown. */
  async #writeUntilKnown(shard: string, data: string, onUnsettled: () => void): Promise<TroupeError | undefined> {
    const { transport, clock } = this.#options;
    let calm: Cancel | undefined;
    try {
      for (let attempt = 1; attempt === 1 || !this.#closed; attempt++) {
        try {
          const added = transport.add(shard, data);
          if (transport.keepsOrder === true) this.#options.onSent(shard);
          await added;
          return undefined;
        } catch (error) {
          if (attempt === 1 && error instanceof EngineDown)
            return new TroupeError('UNAVAILABLE', `the storage engine took nothing: ${textOf(error)}`, {
              retryAfterMs: 1_000,
            });
          calm ??= clock.after(settlePatienceMs, onUnsettled);
          await wait(clock, settleDelayMs);
        }
      }
      return givenUp('unknown');
    } finally {
      calm?.();
    }
  }
}

function givenUp(outcome: Outcome): TroupeError {
  return new TroupeError('UNAVAILABLE', 'the storage engine did not acknowledge the message', {
    outcome,
    retryAfterMs: 1_000,
  });
}
