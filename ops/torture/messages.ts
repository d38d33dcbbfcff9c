/** What the torturer and its checker, a process of its own, tell each other. */

import type { Broken, Finding } from '../faults/checks.ts';
import type { OperationCounts } from '../faults/history.ts';
import type { NodeFile } from '../node-file.ts';

/** What the checker is started with, as its only argument, in JSON. */
export interface CheckerOptions {
  readonly seed: number;
  readonly node: NodeFile;
  /** Where it writes how each message ended. */
  readonly log: string;
  readonly ledgers: number;
  readonly senders: number;
  readonly messagesPerSecond: number;
  readonly settleMs: number;
}

export type ToChecker = { readonly tell: 'node'; readonly up: boolean } | { readonly tell: 'stop' };

export type FromChecker =
  | { readonly tell: 'steady' }
  | { readonly tell: 'progress'; readonly operations: OperationCounts }
  | { readonly tell: 'resting' }
  | { readonly tell: 'judged'; readonly judgement: Judgement };

/** What was checked: messages of the senders, messages of the ledgers to the mirrors, timers of the ledgers. */
export type Subject = 'sent' | 'told' | 'timers';

export interface Judgement {
  readonly operations: OperationCounts;
  /** Applied in the end. */
  readonly applied: Readonly<Record<Subject, number>>;
  readonly findings: readonly (Finding & { readonly subject: Subject; readonly check: string })[];
  readonly broken: Required<Broken>;
  readonly deadLetters: number;
}
