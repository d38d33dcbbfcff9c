/** The embedded PostgreSQL under real users, kills and awkward folders. */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import {
  chmod,
  chown,
  copyFile,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  realpath,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { libraryEnvironment, programsFolder } from '../../runtime/engines/postgres/binaries.ts';
import { chooseLauncher } from '../../runtime/engines/postgres/launcher.ts';
import { runs } from '../../runtime/engines/postgres/postmaster.ts';
import type { ErrorData } from '../../runtime/errors.ts';
import { layPostgresData } from '../support/postgres-data.ts';

const isRoot = process.getuid?.() === 0;
const script = fileURLToPath(new URL('embedded-node.ts', import.meta.url));
const nobody = 65534;

test('it runs in a private folder with spaces in its name, listens on no port, and ends with its node', async (t) => {
  const folder = join(await temporary(t), 'a folder of mine');
  await mkdir(folder, { mode: 0o700 });
  const node = await startNode(t, folder);
  assert.equal((await stat(node.connection.host)).mode & 0o777, 0o700);
  assert.ok(Buffer.byteLength(join(node.connection.host, '.s.PGSQL.5432')) <= 103);
  const [row] = await query(
    node,
    "SELECT current_setting('listen_addresses') AS a, current_setting('fsync') AS f, current_setting('synchronous_commit') AS s",
  );
  assert.deepEqual(row, { a: '', f: 'on', s: 'on' });
  await node.end();
  assert.equal(runs(node.pid), false);
});

test('Ctrl-C in the terminal of the node does not reach it', async (t) => {
  const node = await startNode(t, await prepared(t));
  const group = spawnSync('ps', ['-o', 'pgid=', '-p', String(node.pid)], { encoding: 'utf8' });
  if (group.status === 0) assert.equal(Number(group.stdout), node.pid, 'a process group of its own');
  await node.end();
});

test('after kill -9 of the node the next start ends the orphan and finds the data', async (t) => {
  const folder = await prepared(t);
  const first = await startNode(t, folder);
  await query(first, 'CREATE TABLE kept AS SELECT 42 AS answer');
  await first.kill();
  assert.equal(runs(first.pid), true, 'the orphan lives on');
  const second = await startNode(t, folder);
  assert.notEqual(second.pid, first.pid);
  assert.equal(runs(first.pid), false);
  assert.deepEqual(await query(second, 'SELECT answer FROM kept'), [{ answer: 42 }]);
  await second.end();
});

test('after kill -9 of the node and of PostgreSQL the next start recovers', async (t) => {
  const folder = await prepared(t);
  const first = await startNode(t, folder);
  await query(first, 'CREATE TABLE kept AS SELECT 42 AS answer');
  await first.kill();
  process.kill(first.pid, 'SIGKILL');
  const second = await startNode(t, folder);
  assert.deepEqual(await query(second, 'SELECT answer FROM kept'), [{ answer: 42 }]);
  await second.end();
});

test('a second start on the same data is refused and harms nothing', async (t) => {
  const folder = await prepared(t);
  const first = await startNode(t, folder);
  const second = await startNode(t, folder).catch((error) => error as ErrorData);
  assert.ok('reason' in second && second.reason === 'UNAVAILABLE');
  assert.match(second.message, /Another Troupe runs on the data/);
  assert.deepEqual(await query(first, 'SELECT 1 AS one'), [{ one: 1 }]);
  await first.end();
});

test('of starts at the same moment on new data at most one succeeds, and the data are whole', async (t) => {
  const folder = await temporary(t);
  const results = await Promise.allSettled([startNode(t, folder), startNode(t, folder), startNode(t, folder)]);
  const started = results.filter((result) => result.status === 'fulfilled').map((result) => result.value);
  assert.ok(started.length <= 1, `${started.length} started`);
  for (const result of results) {
    if (result.status === 'rejected') assert.equal((result.reason as ErrorData).reason, 'UNAVAILABLE');
  }
  for (const node of started) await node.end();
  const after = await startNode(t, folder);
  assert.deepEqual(await query(after, 'SELECT 1 AS one'), [{ one: 1 }]);
  await after.end();
  assert.deepEqual(
    (await readdir(after.folder)).filter((name) => name.startsWith('data.')),
    [],
  );
});

test('data of another major version are refused with what to do', async (t) => {
  const folder = await prepared(t);
  const first = await startNode(t, folder);
  await first.end();
  await writeFile(join(first.folder, 'data', 'PG_VERSION'), '17\n');
  const refused = await startNode(t, folder).catch((error) => error as ErrorData);
  assert.ok('reason' in refused && refused.reason === 'UNAVAILABLE');
  assert.match(refused.message, /PostgreSQL 17.*PostgreSQL 18.*data backup.*data upgrade --from.*TROUPE_DATA_DIR/);
});

test('lock files of a process that is no PostgreSQL do not stop a start', async (t) => {
  const folder = await prepared(t);
  const first = await startNode(t, folder);
  await first.end();
  const data = join(first.folder, 'data');
  const stale = [process.pid, data, 0, 5432, first.connection.host, '', '', 'ready', ''].join('\n');
  await writeFile(join(data, 'postmaster.pid'), stale);
  const second = await startNode(t, folder);
  await second.end();
});

test('an ordinary user runs it as himself', async (t) => {
  const folder = await temporary(t);
  if (isRoot) await chown(folder, nobody, nobody);
  const node = await startNode(t, folder, isRoot ? await asNobody(t) : {});
  assert.notEqual(node.uid, 0);
  assert.deepEqual(await query(node, 'SELECT 1 AS one'), [{ one: 1 }]);
  await node.end();
});

test('root without user namespaces runs it as another user, with data under /var/lib/troupe', {
  skip: !isRoot && 'not root',
}, async (t) => {
  const present = existsSync('/var/lib/troupe');
  const tools = await temporary(t);
  for (const tool of ['setpriv', 'true']) {
    const found = spawnSync('which', [tool], { encoding: 'utf8' }).stdout.trim();
    await symlink(found, join(tools, tool));
  }
  const folder = await temporary(t);
  const node = await startNode(t, folder, { env: { ...process.env, PATH: tools } });
  const [row] = await query(node, "SELECT current_setting('data_directory') AS data");
  const data = String(row?.data);
  t.after(() => rm(present ? dirname(data) : '/var/lib/troupe', { recursive: true, force: true }));
  assert.match(data, /^\/var\/lib\/troupe\/[0-9a-f]{12}\/data$/);
  assert.notEqual((await stat(data)).uid, 0);
  assert.equal(await realpath(join(folder, 'data')), data, 'the folder asked for points there');
  await node.end();
});

test('where nothing works the error says why and what to do', { skip: !isRoot && 'not root' }, async () => {
  const forbidden = { status: 1, stderr: 'unshare: Operation not permitted', stdout: '' };
  const run = () => ({ ...forbidden, pid: 0, output: [], signal: null });
  await assert.rejects(chooseLauncher('/data', run), /as root.*Operation not permitted.*ordinary user.*--engine redis/);
});

test('where the links to the shared libraries are missing, links of its own replace them', async (t) => {
  const root = await temporary(t);
  const original = programsFolder();
  await mkdir(join(root, 'bin'));
  await mkdir(join(root, 'lib'));
  await copyFile(join(original, 'bin', 'postgres'), join(root, 'bin', 'postgres'));
  await copyFile(join(original, 'pg-symlinks.json'), join(root, 'pg-symlinks.json'));
  const links = JSON.parse(await readFile(join(root, 'pg-symlinks.json'), 'utf8')) as { target: string }[];
  const linked = new Set(links.map(({ target }) => target.slice(target.lastIndexOf('/') + 1)));
  for (const entry of await readdir(join(original, 'lib'), { withFileTypes: true })) {
    if (!linked.has(entry.name)) await symlink(join(original, 'lib', entry.name), join(root, 'lib', entry.name));
  }
  const bare = spawnSync(join(root, 'bin', 'postgres'), ['--version'], { encoding: 'utf8', env: {} });
  assert.notEqual(bare.status, 0, 'the links are needed');
  const work = await temporary(t);
  for (let round = 0; round < 2; round += 1) {
    const env = await libraryEnvironment(root, work, async () => {});
    const ran = spawnSync(join(root, 'bin', 'postgres'), ['--version'], { encoding: 'utf8', env });
    assert.match(ran.stdout, /PostgreSQL/, ran.stderr);
  }
});

interface Node {
  readonly pid: number;
  readonly uid: number;
  readonly folder: string;
  readonly connection: { readonly host: string; readonly user: string; readonly database: string };
  end(): Promise<void>;
  kill(): Promise<void>;
}

interface Launch {
  readonly command?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
}

/** Rejects with the error's data when the embedded PostgreSQL does not start. */
async function startNode(t: TestContext, folder: string, launch: Launch = {}): Promise<Node> {
  const [program = process.execPath, ...words] = launch.command ?? [process.execPath];
  const child = spawn(program, [...words, script, folder], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: launch.env ?? process.env,
    cwd: '/',
  });
  t.after(() => end(child));
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  const said = JSON.parse(line) as Node & { readonly error?: ErrorData };
  if (said.error !== undefined) throw said.error;
  t.after(async () => {
    if (runs(said.pid)) process.kill(said.pid, 'SIGKILL');
    await rm(said.folder, { recursive: true, force: true });
    await rm(said.connection.host, { recursive: true, force: true });
  });
  return {
    ...said,
    end: () => end(child),
    async kill() {
      const exit = once(child, 'exit');
      child.kill('SIGKILL');
      await exit;
    },
  };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.stdin?.end();
  await exit;
}

async function query({ connection }: Node, text: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client(connection);
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

async function temporary(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'troupe-embedded-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** A folder with the files of a new PostgreSQL. */
async function prepared(t: TestContext): Promise<string> {
  const folder = await temporary(t);
  await layPostgresData(folder);
  return folder;
}

/** How root starts node as an ordinary user, who may be unable to enter the folder where node or the project is. */
async function asNobody(t: TestContext): Promise<Launch> {
  const drop = ['setpriv', `--reuid=${nobody}`, `--regid=${nobody}`, '--clear-groups'];
  if (spawnSync('setpriv', [...drop.slice(1), 'test', '-r', script]).status !== 0) {
    return { command: ['unshare', '--user', `--map-user=${nobody}`, `--map-group=${nobody}`, process.execPath] };
  }
  const folder = await temporary(t);
  await chmod(folder, 0o755);
  await copyFile(process.execPath, join(folder, 'node'));
  return { command: [...drop, join(folder, 'node')] };
}
