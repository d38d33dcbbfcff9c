/** Copies of live values that are fit to be shown: secrets masked, texts cut, depth and breadth bounded. */

import type { Json } from './envelope.ts';

const secretKey = /key|token|secret|password|passwd|authorization|cookie|credential/i;
const longestText = 512;
const deepest = 8;
const mostEntries = 64;

/** A copy of `value` for inspection and logs. Whatever is not JSON is named by its type. */
export function redact(value: unknown): Json {
  return copyOf(value, 0);
}

function copyOf(value: unknown, depth: number): Json {
  switch (typeof value) {
    case 'string':
      return value.length > longestText ? `${value.slice(0, longestText)}… (${value.length} characters)` : value;
    case 'number':
      return Number.isFinite(value) ? value : String(value);
    case 'boolean':
      return value;
    case 'object':
      return value === null ? null : objectCopy(value, depth);
    default:
      return `(${typeof value})`;
  }
}

function objectCopy(value: object, depth: number): Json {
  if ('sessionId' in value && 'send' in value) return '(actor)';
  if (value instanceof Error) return copyOf(`${value.name}: ${value.message}`, depth);
  if (depth >= deepest) return Array.isArray(value) ? '(list)' : '(object)';
  if (Array.isArray(value)) {
    const items = value.slice(0, mostEntries).map((item) => copyOf(item, depth + 1));
    return value.length > mostEntries ? [...items, `(${value.length - mostEntries} more)`] : items;
  }
  const entries = Object.entries(value);
  const shown: [string, Json][] = entries
    .slice(0, mostEntries)
    .map(([key, item]) => [key, isSecret(key, item) ? '(masked)' : copyOf(item, depth + 1)]);
  if (entries.length > mostEntries) shown.push(['…', `(${entries.length - mostEntries} more)`]);
  return Object.fromEntries(shown);
}

/** Flags and counts, such as `maxTokens: 100`, are no secrets. */
function isSecret(key: string, value: unknown): boolean {
  return secretKey.test(key) && typeof value !== 'number' && typeof value !== 'boolean' && value !== null;
}
