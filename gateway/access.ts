/** Who may reach an edge: where it listens, whose token it takes, which Host and Origin a browser may show. */

import { createHash, timingSafeEqual } from 'node:crypto';
import { TroupeError } from '../runtime/errors.ts';

/** What every edge is started with. */
export interface EdgeAddress {
  /** `host:port`; port 0 takes a free one. */
  readonly address: string;
  /** The command-line flag that sets this address; errors name it. */
  readonly flag: string;
  /** Callers must show it as a bearer token. Without one the edge listens on loopback addresses only. */
  readonly token?: string;
  /** Host names that are accepted besides the loopback ones, without port. */
  readonly allowedHosts?: readonly string[];
}

export interface Listen {
  readonly host: string;
  readonly port: number;
}

/**
 * Reads where an edge shall listen.
 *
 * @throws TroupeError `INVALID_MESSAGE` for a malformed address, `PERMISSION_DENIED` for one off loopback without a token
 */
export function listenOf(edge: EdgeAddress): Listen {
  const parts = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(edge.address);
  const host = parts?.[1] ?? parts?.[2];
  const port = Number(parts?.[3]);
  if (host === undefined || !(port <= 65_535))
    throw new TroupeError(
      'INVALID_MESSAGE',
      `${edge.flag}: "${edge.address}" is no address; write HOST:PORT, such as 127.0.0.1:50051`,
    );
  if (edge.token === '') throw new TroupeError('INVALID_MESSAGE', `${edge.flag}: the token is empty; set one or none`);
  if (!isLoopback(host) && edge.token === undefined)
    throw new TroupeError(
      'PERMISSION_DENIED',
      `${edge.flag}: ${edge.address} is reachable from other machines and no token is set; set a token, or listen on 127.0.0.1`,
    );
  return { host, port };
}

/** `host:port`, with brackets around IPv6. */
export function formatListen(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** The error of an edge that could not listen: names the address, and the flag that changes it. */
export function listenError(edge: EdgeAddress, cause: unknown): TroupeError {
  const text = cause instanceof Error ? cause.message : String(cause);
  const why = /EADDRINUSE/.test(text)
    ? `${edge.address} is taken by another program`
    : /EACCES/.test(text)
      ? `${edge.address} may not be opened by this user`
      : `${edge.address} cannot be opened: ${text}`;
  return new TroupeError(
    'UNAVAILABLE',
    `${why}; choose another with ${edge.flag} HOST:PORT (port 0 takes a free one)`,
    {
      cause,
    },
  );
}

export function isLoopback(host: string): boolean {
  const name = host.toLowerCase();
  return name === 'localhost' || name === '::1' || /^127(?:\.\d{1,3}){3}$/.test(name);
}

/** Checks an `authorization` header in constant time. Without a token everything passes. */
export function tokenCheck(token: string | undefined): (authorization: string | undefined) => boolean {
  if (token === undefined) return () => true;
  const expected = digest(token);
  return (authorization) => {
    const shown = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1];
    return shown !== undefined && timingSafeEqual(digest(shown), expected);
  };
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

/**
 * Refuses requests that a foreign web page made a browser send (DNS rebinding): Host, and Origin where there is one,
 * must be a loopback name or an allowed one. With a token there is no need: no page knows it.
 *
 * @throws TroupeError `PERMISSION_DENIED`
 */
export function assertHostAndOrigin(edge: EdgeAddress, host: string | undefined, origin: string | undefined): void {
  if (edge.token !== undefined) return;
  if (!isAllowed(edge, hostNameOf(host === undefined ? undefined : `http://${host}`)))
    throw new TroupeError('PERMISSION_DENIED', 'this Host is not served; use 127.0.0.1 or localhost, or set a token');
  if (origin !== undefined && !isAllowed(edge, hostNameOf(origin)))
    throw new TroupeError('PERMISSION_DENIED', 'web pages of this Origin may not call; set a token to let them');
}

function isAllowed(edge: EdgeAddress, name: string | undefined): boolean {
  return name !== undefined && (isLoopback(name) || (edge.allowedHosts ?? []).includes(name));
}

function hostNameOf(url: string | undefined): string | undefined {
  if (url === undefined || !URL.canParse(url)) return undefined;
  return new URL(url).hostname.replace(/^\[|\]$/g, '').toLowerCase();
}
