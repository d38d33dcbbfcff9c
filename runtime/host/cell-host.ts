import type { Clock } from '../clock.ts';
import type { TellEffect } from '../effects.ts';
import type { Envelope } from '../envelope.ts';
import type { ErrorData } from '../errors.ts';
import type { Log } from '../log.ts';
import type { OutgoingMessage } from '../messaging.ts';
import type { Tally } from '../tally.ts';
import type { Behalf, Origin } from './causes.ts';
import type { InHand } from './in-hand.ts';
import type { FromHost } from './messages.ts';

/** What a cell needs of the host around it. */
export interface CellHost<Cell> {
  readonly clock: Clock;
  readonly log: Log;
  readonly inHand: InHand;
  /** Messages from neighbours that wait for the cells of this thread. */
  readonly fromNeighbours: Tally;
  /** Counts the posts that left. */
  readonly posts: number;
  /** Hands a message to the main thread, with the next post. */
  post(message: FromHost): void;
  /** The cell has inputs; the host will `run` it. */
  ready(cell: Cell): void;
  /** Hands a tell to an ephemeral actor of this thread; false when there is none. */
  tellLocally(from: Cell, tell: TellEffect): boolean;
  /** Sends a tell by the main thread. */
  tellOutside(from: Cell, message: OutgoingMessage): void;
  /** A message of a neighbour on this thread cannot be handled here: its sender may want to know. */
  undelivered(envelope: Envelope, error: ErrorData): void;
  /** Runs a task so that what it sends, and what it lets slip, is known to be this actor's. */
  within(cell: Cell, origin: Origin, task: () => void): void;
  /** On whose behalf the running code was started. */
  here(): Behalf | undefined;
  newId(): string;
  /** The cell is over: forget it. */
  over(cell: Cell): void;
}
