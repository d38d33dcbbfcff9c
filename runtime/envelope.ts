import type { Address } from './address.ts';
import type { Draft } from './draft.ts';

/** Any JSON value. Payloads are JSON so that a message means the same on each edge, thread and engine. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** `at-most-once` lives in memory; `at-least-once` waits in the durable mailbox and is applied once by a persistent actor. */
export type Delivery = 'at-most-once' | 'at-least-once';

/**
 * Who waits for the answer: the node epoch of one life of one process. Its table of open asks finds the ask by the
 * envelope's id; an answer to a life that is over is dropped and counted.
 */
export interface ReplyTo {
  readonly node: number;
}

/** Classes of priority, the most urgent first. Order (G2) is kept within a class. */
export const lanes = ['high', 'normal', 'low'] as const;

export type Priority = (typeof lanes)[number];

/** Header that the runtime sets when the asker takes chunks; an actor that sees it may stream its answer. */
export const streamHeader = 'troupe-stream';

/** An idempotency key, as its message carries it. */
export interface MessageKey {
  /** Tenant and key. */
  readonly name: string;
  /** Of the type and payload that it stands for. */
  readonly hash: string;
}

/** A message on its way. */
export interface Envelope {
  /** UUIDv7, after the name of its shard where the result is kept. Stable through retries, redelivery and replay. */
  readonly id: string;
  readonly to: Address;
  /** The sending actor; absent for callers from outside. Set by the runtime only. */
  readonly from?: Address;
  readonly type: string;
  readonly payload: Json;
  readonly delivery: Delivery;
  /** Past this time the message is not started. Engine time, milliseconds since the epoch. */
  readonly deadlineMs?: number;
  /** Engine time before which a durable message is not handled. */
  readonly notBeforeMs?: number;
  /** Default `normal`. */
  readonly priority?: Priority;
  /** W3C traceparent, idempotency-key, tenant and the caller's own. Lower-case names. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly key?: MessageKey;
  readonly replyTo?: ReplyTo;
  /** The sender hears of it, by the event `delivery.failed`, where this tell becomes a dead letter. */
  readonly reportsFailure?: true;
  /** The first delivery is 1. */
  readonly attempt: number;
}

/** The index of an envelope's priority among `lanes`. */
export function laneOf({ priority }: Pick<Envelope, 'priority'>): number {
  return priority === undefined ? 1 : lanes.indexOf(priority);
}

/** What the logic of an actor sees of the envelope, as `event.message`. */
export interface MessageInfo {
  readonly id: string;
  readonly from?: Address;
  readonly headers: Readonly<Record<string, string>>;
  readonly deadlineMs?: number;
  readonly attempt: number;
}

export function messageInfo(envelope: Envelope): MessageInfo {
  const { id, from, headers = noHeaders, deadlineMs, attempt } = envelope;
  const info: Draft<MessageInfo> = { id, headers, attempt };
  if (from !== undefined) info.from = from;
  if (deadlineMs !== undefined) info.deadlineMs = deadlineMs;
  return info;
}

const noHeaders = Object.freeze({});
