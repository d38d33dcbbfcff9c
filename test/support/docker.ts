/**
 * A Docker engine for a test file, and an image made from this machine's own files, so that no registry is needed.
 *
 *   test('the container comes back', async (t) => {
 *     const docker = await requireDocker(t);
 *     if (docker === undefined) return; // skipped, the reason is in the report; under CI=true it failed instead
 *     const image = await docker.importTestImage('troupe-test/sleeper');
 *     // dockerode: new Docker({ socketPath: docker.socketPath }); create with NetworkMode: docker.networkMode
 *   });
 *
 * It takes the engine that answers at DOCKER_HOST (unix:// only) or /var/run/docker.sock; otherwise, as root on Linux
 * and with dockerd installed, it starts a private one: once a test file (about 1 s), every path in one temporary
 * folder, no bridge and no iptables rules. Such an engine has no default network: always create containers with
 * `NetworkMode: docker.networkMode` ('none').
 *
 * The image holds /bin/sh and a few small programs (see `programs`), copied with their libraries. Its command waits
 * for ever and ends at SIGTERM at once; `sh -c 'test -f /tmp/healthy'` makes a health check.
 *
 * Clean-up is at the end of the file: containers of the imported images, the images, then a private engine and its
 * folder. A shell that waits for the end of its input guards the engine, so that a killed test run leaves none behind.
 */

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants, copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { after, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

export interface TestDocker {
  /** The engine's Unix socket. */
  readonly socketPath: string;
  /** What to give as HostConfig.NetworkMode: the private engine has no bridge. */
  readonly networkMode: 'none';
  /** Imports the test image under this name and tells the full `name:test`; a second call with a name does nothing. */
  importTestImage(name: string): Promise<string>;
}

interface Engine {
  readonly socketPath: string;
  stop(): Promise<void>;
}

const programs = ['sh', 'sleep', 'cat', 'touch', 'rm', 'test', 'true', 'false', 'echo', 'ls', 'env', 'mkdir'];
const startLimitMs = 30_000;
const stopLimitMs = 20_000;

// The end of input, which is also the end of the test process, stops the engine and removes its folder. The input is
// kept as descriptor 3, because a command in the background reads from /dev/null.
const guard = `
exec 3<&0
folder=$1
shift
"$@" >"$folder/log" 2>&1 3<&- &
engine=$!
{ cat <&3 >/dev/null; : >"$folder/ended"; kill $engine 2>/dev/null; } &
exec 3<&-
wait $engine
if [ -e "$folder/ended" ]; then rm -rf --one-file-system "$folder"; fi
`;

let shared: Promise<TestDocker | string> | undefined;
let engine: Engine | undefined;
const images = new Map<string, Promise<string>>();

after(async () => {
  if (engine === undefined) return;
  await Promise.allSettled([...images.keys()].map((image) => removeImage(image)));
  await engine.stop();
});

/** The engine of this test file; `undefined` when there is none, and then the test is already skipped (CI: failed). */
export async function requireDocker(t: TestContext): Promise<TestDocker | undefined> {
  shared ??= provide();
  const found = await shared;
  if (typeof found !== 'string') return found;
  if (process.env.CI === 'true') throw new Error(`Docker is needed under CI=true: ${found}`);
  t.skip(found);
  return undefined;
}

async function provide(): Promise<TestDocker | string> {
  const found = await findEngine();
  if (typeof found === 'string') return found;
  engine = found;
  return {
    socketPath: found.socketPath,
    networkMode: 'none',
    importTestImage(name) {
      const image = `${name}:test`;
      const imported = images.get(image) ?? importImage(found.socketPath, name);
      images.set(image, imported);
      return imported;
    },
  };
}

async function findEngine(): Promise<Engine | string> {
  const host = process.env.DOCKER_HOST;
  if (host !== undefined && host !== '') {
    if (!host.startsWith('unix://')) return `DOCKER_HOST is ${host}; the tests can use a unix:// engine only`;
    const socketPath = host.slice('unix://'.length);
    if (!(await answers(socketPath))) return `no Docker engine answers at DOCKER_HOST (${host})`;
    return { socketPath, stop: async () => {} };
  }
  const systemSocket = '/var/run/docker.sock';
  if (await answers(systemSocket)) return { socketPath: systemSocket, stop: async () => {} };
  if (process.platform !== 'linux') return 'no Docker engine is running: start it and run the tests again';
  if (process.getuid?.() !== 0) {
    return `no Docker engine answers at ${systemSocket}: start one that you may use, or run the tests as root`;
  }
  const dockerd = findProgram('dockerd', ['/usr/sbin', '/usr/local/sbin']);
  if (dockerd === undefined) return 'dockerd is not installed: apt-get install docker.io';
  // Where overlay file systems are refused (a container in a container), vfs still works.
  const first = await startEngine(dockerd, []);
  if (typeof first !== 'string') return first;
  const second = await startEngine(dockerd, ['--storage-driver=vfs']);
  return typeof second === 'string' ? `dockerd did not start: ${first}` : second;
}

// `exec-root` and `docker.sock` are Unix sockets' folders: short names keep them under the limit of 107 bytes.
async function startEngine(dockerd: string, options: readonly string[]): Promise<Engine | string> {
  const folder = mkdtempSync(join(tmpdir().length > 50 ? '/tmp' : tmpdir(), 'troupe-docker-'));
  const socketPath = join(folder, 'docker.sock');
  const child = spawn(
    'sh',
    [
      '-c',
      guard,
      'guard',
      folder,
      dockerd,
      `--host=unix://${socketPath}`,
      `--data-root=${join(folder, 'data')}`,
      `--exec-root=${join(folder, 'exec')}`,
      `--pidfile=${join(folder, 'pid')}`,
      '--bridge=none',
      '--iptables=false',
      '--ip6tables=false',
      '--shutdown-timeout=3',
      ...options,
    ],
    // A group of its own: Ctrl-C at the terminal must not reach the engine before the containers are removed.
    { stdio: ['pipe', 'ignore', 'ignore'], detached: true },
  );
  const exited = once(child, 'exit');
  child.unref();
  const stop = async (): Promise<void> => {
    child.stdin.end();
    const limit = new AbortController();
    const overdue = delay(stopLimitMs, 'overdue', { signal: limit.signal, ref: false }).catch(() => undefined);
    child.ref();
    if (child.exitCode === null && child.signalCode === null) {
      if ((await Promise.race([exited, overdue])) === 'overdue') child.kill('SIGKILL');
    }
    limit.abort();
    rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  };
  for (let waitedMs = 0; waitedMs < startLimitMs; waitedMs += 50) {
    if (child.exitCode !== null || child.signalCode !== null) break;
    if (await answers(socketPath)) return { socketPath, stop };
    await delay(50);
  }
  const lines = readLog(join(folder, 'log'));
  await stop();
  return lines;
}

function readLog(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim().split('\n').slice(-3).join(' | ');
  } catch {
    return 'it wrote no log';
  }
}

function findProgram(name: string, more: readonly string[] = []): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/bin', '/bin', ...more];
  return folders
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, name))
    .find((file) => {
      try {
        accessSync(file, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

async function importImage(socketPath: string, name: string): Promise<string> {
  const root = mkdtempSync(join(tmpdir(), 'troupe-image-'));
  try {
    for (const folder of ['bin', 'tmp', 'etc']) mkdirSync(join(root, folder));
    for (const program of programs) {
      const file = findProgram(program);
      if (file === undefined) throw new Error(`this machine has no program '${program}' to put into the test image`);
      copyFileSync(file, join(root, 'bin', program));
      for (const library of librariesOf(file)) {
        mkdirSync(join(root, dirname(library)), { recursive: true });
        copyFileSync(library, join(root, library));
      }
    }
    const packed = spawnSync('tar', ['-C', root, '-cf', '-', '.'], { maxBuffer: 64 * 1024 * 1024 });
    if (packed.status !== 0) throw new Error(`tar failed: ${packed.stderr.toString()}`);
    const query = new URLSearchParams({ fromSrc: '-', repo: name, tag: 'test' });
    query.append('changes', `CMD ["/bin/sh","-c","trap 'exit 0' TERM INT; sleep 2147483647 & wait"]`);
    query.append('changes', 'ENV PATH=/bin');
    const answer = await call(socketPath, 'POST', `/images/create?${query}`, packed.stdout);
    if (answer.status !== 200 || answer.body.includes('"error"')) {
      throw new Error(`the engine refused the test image: ${answer.body}`);
    }
    return `${name}:test`;
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

// ldd prints "name => /path (0x…)" or "/path (0x…)"; a static program has none.
function librariesOf(file: string): string[] {
  const listed = spawnSync('ldd', [file], { encoding: 'utf8' });
  return [...(listed.stdout ?? '').matchAll(/(?:=>\s*|^\s*)(\/\S+)\s+\(0x/gm)].map((match) => match[1] ?? '');
}

async function removeImage(image: string): Promise<void> {
  if (engine === undefined) return;
  const filters = encodeURIComponent(JSON.stringify({ ancestor: [image] }));
  const listed = await call(engine.socketPath, 'GET', `/containers/json?all=true&filters=${filters}`);
  for (const container of JSON.parse(listed.body) as { Id: string }[]) {
    await call(engine.socketPath, 'DELETE', `/containers/${container.Id}?force=true&v=true`);
  }
  await call(engine.socketPath, 'DELETE', `/images/${image}?force=true`);
}

async function answers(socketPath: string): Promise<boolean> {
  try {
    return (await call(socketPath, 'GET', '/_ping')).status === 200;
  } catch {
    return false;
  }
}

function call(
  socketPath: string,
  method: string,
  path: string,
  body?: Buffer,
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const headers = body === undefined ? {} : { 'content-type': 'application/x-tar', 'content-length': body.length };
    const request = http.request({ socketPath, method, path, headers, agent: false }, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(parts).toString() }));
      response.on('error', reject);
    });
    request.on('error', reject);
    request.end(body);
  });
}
