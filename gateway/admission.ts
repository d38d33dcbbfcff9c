/**
 * Reads a request of any edge as a message, or refuses it with the fault named. Everything that comes from outside is
 * bounded here, and nowhere else; what passes is safe to copy, store and hand to an actor.
 */

import { isUtf8 } from 'node:buffer';
import { isSystemAddress, parseAddress } from '../runtime/address.ts';
import type { Draft } from '../runtime/draft.ts';
import { type Delivery, type Json, lanes, type Priority } from '../runtime/envelope.ts';
import { TroupeError } from '../runtime/errors.ts';
import { isIdempotencyKey, keyRule } from '../runtime/idempotency.ts';
import { limits } from '../runtime/limits.ts';
import type { OutgoingMessage } from '../runtime/messaging.ts';

/** A request as an edge read it from its wire, unchecked. */
export interface RawMessage {
  readonly to?: unknown;
  readonly type?: unknown;
  /** A JSON value … */
  readonly payload?: unknown;
  /** … or JSON text in UTF-8. */
  readonly payloadJson?: Uint8Array | undefined;
  /** An upper bound of the payload's size that the edge knows already, in bytes. */
  readonly payloadAtMostBytes?: number;
  readonly delivery?: unknown;
  readonly priority?: unknown;
  /** Milliseconds until it may be handled; a tell's alone. */
  readonly delayMs?: unknown;
  readonly idempotencyKey?: unknown;
  readonly timeoutMs?: unknown;
  readonly headers?: unknown;
  /** Always refused: the runtime alone says who sent a message. */
  readonly from?: unknown;
}

export interface AdmittedMessage {
  readonly message: OutgoingMessage;
  /** What the request says; absent when it says nothing. */
  readonly timeoutMs?: number;
}

const headerName = /^[a-z0-9!#$%&'*+.^_`|~-]+$/;
/** XState takes such events as its own: one named `xstate.stop` stopped an actor. */
const reservedType = /^(?:xstate|troupe)\./i;

/** @throws TroupeError `INVALID_ADDRESS`, `INVALID_MESSAGE`, `PAYLOAD_TOO_LARGE` or `DEADLINE_EXCEEDED` */
export function admit(raw: RawMessage): AdmittedMessage {
  if (raw.from !== undefined && raw.from !== '')
    throw invalid('from', 'callers cannot set "from"; the runtime says who sent a message');
  const to = parseAddress(raw.to);
  if (isSystemAddress(to))
    throw new TroupeError('INVALID_ADDRESS', `${to} belongs to the runtime: it can be read, not messaged`);
  const type = typeOf(raw.type);
  const headers = headersOf(raw.headers);
  const delivery = deliveryOf(raw.delivery);
  const priority = priorityOf(raw.priority);
  const delayMs = delayOf(raw.delayMs);
  const idempotencyKey = keyOf(raw.idempotencyKey);
  if (delivery === 'at-most-once' && (delayMs !== undefined || idempotencyKey !== undefined))
    throw invalid('delivery', 'what has a delay or an idempotency key is durable: leave it out, or say at-least-once');
  const timeoutMs = timeoutOf(raw.timeoutMs);
  const message: Draft<OutgoingMessage> = {
    to,
    type,
    payload: payloadOf(raw),
  };
  if (delivery !== undefined) message.delivery = delivery;
  if (headers !== undefined) message.headers = headers;
  if (priority !== undefined) message.priority = priority;
  if (delayMs !== undefined) message.delayMs = delayMs;
  if (idempotencyKey !== undefined) message.idempotencyKey = idempotencyKey;
  return timeoutMs === undefined ? { message } : { message, timeoutMs };
}

/** The error of a single wrong field. */
export function invalid(path: string, message: string): TroupeError {
  return new TroupeError('INVALID_MESSAGE', `${path}: ${message}`, { fields: [{ path, message }] });
}

function typeOf(type: unknown): string {
  if (typeof type !== 'string' || type === '') throw invalid('type', 'the type of the message is missing');
  if (type.length > limits.messageTypeCharacters)
    throw invalid('type', `at most ${limits.messageTypeCharacters} characters`);
  if (reservedType.test(type)) throw invalid('type', 'types that begin with "xstate." or "troupe." are reserved');
  if (!type.isWellFormed() || /\p{Cc}/u.test(type)) throw invalid('type', 'control characters are not allowed');
  return type;
}

function deliveryOf(delivery: unknown): Delivery | undefined {
  if (delivery === undefined || delivery === 'at-most-once' || delivery === 'at-least-once') return delivery;
  throw invalid('delivery', 'must be "at-most-once" or "at-least-once"');
}

function priorityOf(priority: unknown): Priority | undefined {
  if (priority === undefined || lanes.includes(priority as Priority)) return priority as Priority | undefined;
  throw invalid('priority', `must be one of ${lanes.join(', ')}`);
}

function delayOf(delayMs: unknown): number | undefined {
  if (delayMs === undefined) return undefined;
  if (typeof delayMs !== 'number' || Number.isNaN(delayMs)) throw invalid('delay', 'must be a duration');
  if (delayMs < 0 || delayMs > limits.delayMaxMs)
    throw invalid('delay', `must be 0 to ${limits.delayMaxMs / 86_400_000} days`);
  return Math.ceil(delayMs);
}

function keyOf(key: unknown): string | undefined {
  if (key === undefined) return undefined;
  if (!isIdempotencyKey(key)) throw invalid('idempotencyKey', `must be ${keyRule}`);
  return key;
}

/** @throws TroupeError `INVALID_MESSAGE` */
export function admitTaskId(taskId: unknown): string {
  if (typeof taskId !== 'string' || !/^[\w.-]{1,128}$/.test(taskId))
    throw invalid('taskId', 'must be the id of a task, as submit answered it');
  return taskId;
}

function timeoutOf(timeoutMs: unknown): number | undefined {
  if (timeoutMs === undefined) return undefined;
  if (typeof timeoutMs !== 'number' || Number.isNaN(timeoutMs)) throw invalid('timeout', 'must be a duration');
  if (timeoutMs > limits.askTimeoutMaxMs)
    throw invalid('timeout', 'must be at most 24 h; a task without a timeout may take longer');
  if (timeoutMs <= 0) throw expired();
  return timeoutMs;
}

/** The error of a message whose time was over when it came. */
export function expired(): TroupeError {
  return new TroupeError('DEADLINE_EXCEEDED', 'the deadline had passed when the message arrived');
}

function headersOf(headers: unknown): Record<string, string> | undefined {
  if (headers === undefined) return undefined;
  if (typeof headers !== 'object' || headers === null || Array.isArray(headers))
    throw invalid('headers', 'must be an object of texts');
  const entries = Object.entries(headers);
  if (entries.length === 0) return undefined;
  if (entries.length > limits.headers) throw invalid('headers', `at most ${limits.headers} headers`);
  for (const [name, value] of entries) {
    const path = `headers.${name.slice(0, 64)}`;
    if (!headerName.test(name)) throw invalid(path, 'a header name is lower-case letters, digits and - . _');
    if (name === '__proto__') throw invalid(path, 'this name is not allowed');
    if (name === 'idempotency-key') throw invalid(path, 'the idempotency key is a field of its own');
    if (typeof value !== 'string') throw invalid(path, 'must be a text');
    if (name.length + Buffer.byteLength(value) > limits.headerBytes)
      throw invalid(path, `name and value together take at most ${limits.headerBytes} bytes`);
    if (/[\0\r\n]/.test(value)) throw invalid(path, 'line breaks are not allowed');
  }
  return Object.fromEntries(entries);
}

function payloadOf(raw: RawMessage): Json {
  if (raw.payloadJson !== undefined) return parsePayload(raw.payloadJson);
  if (raw.payload === undefined) return {};
  checkJson(raw.payload, 'payload', 1);
  if ((raw.payloadAtMostBytes ?? Number.POSITIVE_INFINITY) > limits.payloadBytes)
    checkSize(Buffer.byteLength(JSON.stringify(raw.payload)));
  return raw.payload as Json;
}

function parsePayload(bytes: Uint8Array): Json {
  checkSize(bytes.byteLength);
  if (!isUtf8(bytes)) throw invalid('json', 'must be UTF-8');
  let payload: unknown;
  try {
    payload = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'));
  } catch (error) {
    throw invalid('json', `no valid JSON: ${(error as Error).message.slice(0, 120)}`);
  }
  checkJson(payload, 'payload', 1);
  return payload as Json;
}

function checkSize(bytes: number): void {
  if (bytes > limits.payloadBytes)
    throw new TroupeError(
      'PAYLOAD_TOO_LARGE',
      `the payload takes ${bytes} bytes as JSON; ${limits.payloadBytes} are allowed`,
    );
}

/** JSON and nothing else: bounded depth, finite numbers, no name that would reach an object's prototype. */
function checkJson(value: unknown, path: string, depth: number): void {
  if (value === null) return;
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return;
    case 'number':
      if (!Number.isFinite(value)) throw invalid(path, 'NaN and Infinity are no JSON');
      return;
    case 'object':
      if (depth > limits.payloadDepth)
        throw invalid('payload', `nested deeper than ${limits.payloadDepth} levels, which is the most`);
      if (Array.isArray(value)) {
        for (const item of value) checkJson(item, path, depth + 1);
        return;
      }
      for (const name of Object.keys(value)) {
        if (name === '__proto__') throw invalid(path, 'the name "__proto__" is not allowed');
        checkJson((value as Record<string, unknown>)[name], path, depth + 1);
      }
      return;
    default:
      throw invalid(path, 'not a JSON value');
  }
}
