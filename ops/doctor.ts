/**
 * What most often keeps a node from starting or from keeping its promises, each finding with its mend. Nothing is
 * changed and nothing is started; an engine is only asked.
 */

import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { createConnection, createServer } from 'node:net';
import { dirname } from 'node:path';
import { listenOf } from '../gateway/access.ts';
import { type Clock, systemClock } from '../runtime/clock.ts';
import { diskFinding } from '../runtime/engines/disk.ts';
import { examineEngine } from '../runtime/engines/examine.ts';
import type { Finding } from '../runtime/engines/finding.ts';
import { textOf } from '../runtime/errors.ts';
import { flagOf, type SettingValues } from './config/settings.ts';
import { findNode } from './node-file.ts';

const nodeVersionMin = [22, 18] as const;
const connectTimeoutMs = 2_000;

/** Looks at everything that `up` with these settings needs. */
export async function examine(settings: SettingValues, clock: Clock = systemClock): Promise<Finding[]> {
  const running = findNode(settings.dataDir);
  const ownEpoch = running === undefined ? {} : { ownEpoch: running.nodeEpoch };
  return [
    nodeVersion(process.versions.node),
    dataFolder(settings.dataDir),
    // The embedded engine tells of its disk itself.
    ...(settings.engine === 'embedded' ? [] : [diskFinding(settings.dataDir)]),
    ...(running === undefined
      ? await Promise.all((['grpcAddr', 'httpAddr', 'adminAddr'] as const).map((name) => port(name, settings[name])))
      : [{ check: 'ports', status: 'ok' as const, found: `held by the running node, process ${running.pid}` }]),
    ...(await examineEngine(settings.engine, { ...settings, ...ownEpoch }, clock)),
    clockSane(clock),
    await docker(process.env.DOCKER_HOST),
  ];
}

export function nodeVersion(version: string): Finding {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [majorMin, minorMin] = nodeVersionMin;
  const enough = major > majorMin || (major === majorMin && minor >= minorMin);
  return {
    check: 'node',
    status: enough ? 'ok' : 'fails',
    found: `Node.js ${version}`,
    ...(enough ? {} : { mend: `install Node.js ${majorMin}.${minorMin} or newer, or run ./troupe, which fetches one` }),
  };
}

/** The nearest folder above that exists, or the folder itself. */
function existing(folder: string): string {
  let at = folder;
  while (!existsSync(at) && dirname(at) !== at) at = dirname(at);
  return at;
}

function dataFolder(folder: string): Finding {
  const check = 'data folder';
  const at = existing(folder);
  try {
    accessSync(at, constants.W_OK | constants.X_OK);
  } catch {
    return {
      check,
      status: 'fails',
      found: `${at} cannot be written`,
      mend: 'make it writable, or choose another with --data-dir',
    };
  }
  if (at !== folder) return { check, status: 'ok', found: `${folder} will be made` };
  const { mode, uid } = statSync(folder);
  if (process.getuid !== undefined && process.getuid() !== 0 && uid !== process.getuid())
    return {
      check,
      status: 'fails',
      found: `${folder} belongs to user ${uid}`,
      mend: 'choose another with --data-dir',
    };
  return (mode & 0o077) === 0
    ? { check, status: 'ok', found: folder }
    : {
        check,
        status: 'warns',
        found: `${folder} can be read by others`,
        mend: `chmod 700 '${folder}' (up does it too)`,
      };
}

async function port(name: 'grpcAddr' | 'httpAddr' | 'adminAddr', address: string): Promise<Finding> {
  const flag = flagOf(name);
  const check = `port ${flag.slice(2)}`;
  const { host, port: number } = listenOf({ address, flag, token: 'any' });
  return await new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) =>
      resolve({
        check,
        status: 'fails',
        found: error.code === 'EADDRINUSE' ? `${address} is taken by another program` : `${address}: ${textOf(error)}`,
        mend: `choose another with ${flag} HOST:PORT (port 0 takes a free one)`,
      }),
    );
    server.listen(number, host, () =>
      server.close(() =>
        resolve({ check, status: 'ok', found: number === 0 ? 'a free one will be taken' : `${address} is free` }),
      ),
    );
  });
}

/** No clock that is right is behind the files of this program. */
function clockSane(clock: Clock): Finding {
  const { mtimeMs } = statSync(import.meta.filename);
  const behind = clock.now() < mtimeMs;
  const found = new Date(clock.now()).toISOString();
  return behind
    ? { check: 'clock', status: 'warns', found: `${found} is before this program was installed`, mend: 'set the clock' }
    : { check: 'clock', status: 'ok', found };
}

async function docker(host: string | undefined): Promise<Finding> {
  const url = host === undefined || host === '' ? 'unix:///var/run/docker.sock' : host;
  const target = /^unix:\/\/(.+)$/.exec(url)?.[1];
  const tcp = /^(?:tcp|https?):\/\/\[?([^\]/]+?)\]?:(\d+)/.exec(url);
  const address =
    target !== undefined ? { path: target } : tcp !== null ? { host: tcp[1] ?? '', port: Number(tcp[2]) } : undefined;
  if (address === undefined)
    return {
      check: 'docker',
      status: 'warns',
      found: `DOCKER_HOST=${url} is not tried here`,
      mend: 'try: docker version',
    };
  return await new Promise((resolve) => {
    const socket = createConnection(address);
    const settle = (finding: Finding): void => {
      socket.destroy();
      resolve(finding);
    };
    const missing = (why: string): void =>
      settle({
        check: 'docker',
        status: 'warns',
        found: `${url}: ${why}; container actors will be unavailable`,
        mend: 'start Docker, let this user use it, or set DOCKER_HOST; everything else works without',
      });
    socket.setTimeout(connectTimeoutMs, () => missing('no answer'));
    socket.once('error', (error) => missing(textOf(error)));
    socket.once('connect', () => settle({ check: 'docker', status: 'ok', found: `answers at ${url}` }));
  });
}
