/**
 * What every engine demands of its arguments, so that the same call is refused everywhere and a bad one writes
 * nothing. A violation is a mistake of our own code, hence a `TypeError`.
 */

import { TroupeError } from '../errors.ts';
import type { EngineOptions, StoreOperation } from './engine.ts';

const namespacePattern = /^[a-z][a-z0-9_]{0,31}$/;
const shardPattern = /^[A-Za-z0-9._~:-]{1,80}$/;
/** Most shards of a namespace. */
const shardsMax = 1_024;

export function checkOptions(options: EngineOptions): void {
  if (!namespacePattern.test(options.namespace)) {
    throw new TroupeError(
      'INVALID_MESSAGE',
      `The namespace "${options.namespace}" is not usable: take a lower-case letter, then up to 31 of a-z, 0-9 and _.`,
    );
  }
  if (!Number.isInteger(options.shards) || options.shards < 1 || options.shards > shardsMax) {
    throw new TroupeError('INVALID_MESSAGE', `The number of shards must be a whole number from 1 to ${shardsMax}.`);
  }
}

export function checkShardCount(namespace: string, stored: number, wanted: number): void {
  if (stored === wanted) return;
  throw new TroupeError(
    'UNAVAILABLE',
    `The namespace "${namespace}" was created with ${stored} shards and cannot be opened with ${wanted}. ` +
      `Set the number of shards to ${stored}, or use another namespace.`,
  );
}

export function checkShard(shard: string): void {
  if (!shardPattern.test(shard)) throw new TypeError(`"${shard}" is not the name of a shard`);
}

/** Engines store UTF-8 text without NUL: neither a lone surrogate nor NUL would come back as it went in. */
export function checkText(text: string, what: string): void {
  if (typeof text !== 'string') throw new TypeError(`${what} must be a string`);
  if (!text.isWellFormed() || text.includes('\0')) {
    throw new TypeError(`${what} must be well-formed text without NUL`);
  }
}

/** Longest key, list name or member, in bytes: PostgreSQL's B-tree takes entries up to about 2,700 bytes. */
const keyBytesMax = 1_500;

export function checkKey(key: string, what: string): void {
  checkText(key, what);
  if (key.length > keyBytesMax || Buffer.byteLength(key) > keyBytesMax) {
    throw new TypeError(`${what} is longer than ${keyBytesMax} bytes`);
  }
}

export function checkOperations(operations: readonly StoreOperation[]): void {
  for (const operation of operations) {
    switch (operation.op) {
      case 'put':
        checkKey(operation.key, 'a key');
        checkText(operation.value, 'a value');
        break;
      case 'delete':
        checkKey(operation.key, 'a key');
        break;
      case 'append':
        checkKey(operation.list, 'a list');
        checkText(operation.value, 'a value');
        break;
      case 'drop':
        checkKey(operation.list, 'a list');
        if (!Number.isSafeInteger(operation.count) || operation.count < 0) {
          throw new TypeError('a count must be a whole number, 0 or more');
        }
        break;
      case 'rank':
        checkKey(operation.member, 'a member');
        if (!Number.isFinite(operation.score)) throw new TypeError('a score must be a finite number');
        break;
      case 'unrank':
        checkKey(operation.member, 'a member');
        break;
      default:
        throw new TypeError('an operation of unknown kind');
    }
  }
}
