import { createHash } from 'node:crypto';
import type { Json, MessageKey } from './envelope.ts';
import { TroupeError } from './errors.ts';
import { limits } from './limits.ts';
import type { OutgoingMessage } from './messaging.ts';

/** Printable ASCII without the space, which separates tenant and key. */
const printable = /^[\x21-\x7e]+$/;

/** What an idempotency key has to be. */
export const keyRule = `1 to ${limits.idempotencyKeyCharacters} printable ASCII characters without spaces`;

/** Whether a value keeps `keyRule`. */
export function isIdempotencyKey(key: unknown): key is string {
  return typeof key === 'string' && key.length <= limits.idempotencyKeyCharacters && printable.test(key);
}

/**
 * The idempotency key of a message, with what it stands for; `undefined` when it has none.
 *
 * @throws TroupeError `INVALID_MESSAGE`
 */
export function messageKeyOf(message: OutgoingMessage, answers: boolean): MessageKey | undefined {
  const { idempotencyKey: key, headers, type, payload = {}, delivery } = message;
  if (key === undefined) return undefined;
  const tenant = headers?.tenant ?? '';
  if (!isIdempotencyKey(key)) throw new TroupeError('INVALID_MESSAGE', `an idempotency key is ${keyRule}`);
  if (tenant.length > limits.tenantCharacters || (tenant !== '' && !printable.test(tenant)))
    throw new TroupeError(
      'INVALID_MESSAGE',
      `the header "tenant" is at most ${limits.tenantCharacters} printable ASCII characters without spaces`,
    );
  if (delivery === 'at-most-once')
    throw new TroupeError('INVALID_MESSAGE', 'a message with an idempotency key is durable: send it at-least-once');
  const content = JSON.stringify([answers, type, sorted(payload)]);
  return { name: `${tenant} ${key}`, hash: createHash('sha256').update(content).digest('base64url') };
}

/** The same value with the keys of its objects in order: how a sender writes them means nothing. */
function sorted(value: Json): Json {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value as { readonly [key: string]: Json });
  return Object.fromEntries(
    entries.sort(([left], [right]) => (left < right ? -1 : 1)).map(([key, inner]) => [key, sorted(inner)]),
  );
}
