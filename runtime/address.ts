import { TroupeError } from './errors.ts';
import { limits } from './limits.ts';

/** An actor's path in the supervision tree, such as `/agents/claude`; only `parseAddress` makes one. */
export type Address = string & { readonly __address: unique symbol };

const segmentPattern = `[A-Za-z0-9._~-]{1,${limits.addressSegmentCharacters}}`;
const segment = new RegExp(`^${segmentPattern}$`);
/** What has no fault; what does not match is looked at more closely. */
const whole = new RegExp(`^(?:/(?!\\.{1,2}(?:/|$))${segmentPattern}){1,${limits.addressDepth}}$`);

/**
 * Checks and brands an address: segments of `[A-Za-z0-9._~-]{1,64}` behind slashes, depth ≤ 16, whole ≤ 512 bytes.
 *
 * @throws TroupeError `INVALID_ADDRESS`
 */
export function parseAddress(text: unknown): Address {
  const fault = addressFault(text);
  if (fault !== undefined) throw new TroupeError('INVALID_ADDRESS', fault);
  return text as Address;
}

function addressFault(text: unknown): string | undefined {
  if (typeof text !== 'string' || text === '') return 'the address is missing; write one such as /agents/claude';
  if (text.length > limits.addressBytes) return `the address is longer than ${limits.addressBytes} bytes`;
  if (whole.test(text)) return undefined;
  if (!text.startsWith('/')) return 'the address must begin with "/"';
  const segments = text.slice(1).split('/');
  if (segments.length > limits.addressDepth) return `the address has more than ${limits.addressDepth} segments`;
  for (const part of segments) {
    if (part === '.' || part === '..') return 'the address may not contain "." or ".." segments';
    if (!segment.test(part))
      return `each segment of an address is 1 to ${limits.addressSegmentCharacters} of A-Z a-z 0-9 . _ ~ -`;
  }
  return undefined;
}

/** The address one level up; `undefined` for a top-level address. */
export function parentOf(address: Address): Address | undefined {
  const cut = address.lastIndexOf('/');
  return cut <= 0 ? undefined : (address.slice(0, cut) as Address);
}

/** The last segment. */
export function nameOf(address: Address): string {
  return address.slice(address.lastIndexOf('/') + 1);
}

/** The address of a child. @throws TroupeError `INVALID_ADDRESS` */
export function childOf(parent: Address | '/', name: string): Address {
  if (!segment.test(name))
    throw new TroupeError(
      'INVALID_ADDRESS',
      `a child is named by one segment: 1 to ${limits.addressSegmentCharacters} of A-Z a-z 0-9 . _ ~ -`,
    );
  return parseAddress(parent === '/' ? `/${name}` : `${parent}/${name}`);
}

/** Addresses below `/system` belong to the runtime: readable from outside, not messageable. */
export function isSystemAddress(address: Address): boolean {
  return address === '/system' || address.startsWith('/system/');
}
