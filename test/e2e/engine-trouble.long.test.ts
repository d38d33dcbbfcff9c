/**
 * A running node while its engine is in trouble, on real servers: what is sent is refused at once with a delay, nothing
 * that was acknowledged is lost, `/readyz` says the trouble, and when it ends everything goes on without a restart. The
 * node lives through one trouble after the other; at the end its ledgers are compared with what was acknowledged.
 */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it, type TestContext } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { Redis } from 'ioredis';
import pg from 'pg';
import { type Client, connect } from '../../gateway/client.ts';
import type { TroupeError } from '../../runtime/errors.ts';
import { CommandLine } from '../support/cli.ts';
import { eventually } from '../support/eventually.ts';
import { assertWhole, type Entry, entryId, readLedgers, startNode } from '../support/node-process.ts';
import { startPostgres } from '../support/postgres.ts';
import { redisMissing, startRedis, type TestRedis } from '../support/redis.ts';

const slow = { timeout: 240_000 };
const ledgers = 6;
const senders = 3;
/** How long a refusal may take: longer than the engines' own time-outs. */
const refusalMs = 10_000;
const resumedMs = 25_000;

interface Trouble {
  readonly name: string;
  /** Begins it, and answers how it ends. */
  begin(): Promise<() => Promise<void>>;
  /** What `/readyz` says. */
  readonly told: RegExp;
  /** What has to be refused: of tells and asks both, those alone (what else comes may be taken), or nothing. */
  readonly refused: 'all' | 'tells' | 'asks' | 'nothing';
  /** It ends soon, and by itself: too soon for the command line, perhaps. */
  readonly passes?: true;
}

/** What senders saw, one tell after the other each. */
class Load {
  readonly sent = new Set<string>();
  readonly acknowledged = new Set<string>();
  readonly refusals: { readonly error: TroupeError; readonly tookMs: number; readonly atMs: number }[] = [];
  readonly #clients: Client[];
  readonly #running: Promise<void>[];
  #over = false;

  constructor(grpc: string) {
    this.#clients = Array.from({ length: senders }, () => connect(grpc, { ownConnection: true }));
    this.#running = this.#clients.map((client, sender) => this.#send(client, sender));
  }

  async end(): Promise<void> {
    this.#over = true;
    await Promise.all(this.#running);
    for (const client of this.#clients) client.close();
  }

  async #send(client: Client, sender: number): Promise<void> {
    const channel = client.channel();
    for (let n = 0; !this.#over; n += 1) {
      const ledger = (n + sender) % ledgers;
      const entry = { sender: `s${sender}`, n };
      const id = entryId(ledger, entry);
      this.sent.add(id);
      const startedMs = performance.now();
      try {
        await channel.tell({ to: `/ledger/k${ledger}`, type: 'append', payload: { ...entry } });
        this.acknowledged.add(id);
      } catch (error) {
        const atMs = performance.now();
        this.refusals.push({ error: error as TroupeError, tookMs: atMs - startedMs, atMs });
      }
      await setTimeout(20);
    }
  }
}

interface Ready {
  readonly ready: boolean;
  readonly checks: readonly { readonly name: string; readonly ok: boolean; readonly detail?: string }[];
}

async function readiness(admin: string): Promise<Ready> {
  return (await (await fetch(`http://${admin}/readyz`)).json()) as Ready;
}

async function endure(t: TestContext, cli: CommandLine, engine: string, troubles: readonly Trouble[]): Promise<void> {
  const node = startNode(cli, engine);
  const { grpc, admin } = await node.ready();
  const load = new Load(grpc);
  const asker = connect(grpc, { ownConnection: true });
  t.after(async () => {
    asker.close();
    await load.end();
  });
  const append = async (n: number): Promise<string> => {
    const ask = { to: '/ledger/asked', type: 'append', payload: { sender: 'asker', n } };
    return asker.ask(ask, { timeoutMs: 15_000 }).then(
      () => 'OK',
      (error: TroupeError) => `${error.reason} ${error.retryAfterMs ?? 0} ${error.message}`,
    );
  };
  const accepted = async (): Promise<void> => {
    const before = load.acknowledged.size;
    await eventually(
      () => `tells are accepted; the last refusal: ${load.refusals.at(-1)?.error}`,
      resumedMs,
      () => load.acknowledged.size >= before + 2 * senders,
    );
    await eventually('asks are answered', resumedMs, async () => (await append(0)) === 'OK');
    let checks = '';
    await eventually(
      () => `the node is ready: ${checks}`,
      resumedMs,
      async () => {
        const found = await readiness(admin);
        checks = JSON.stringify(found.checks);
        return found.ready;
      },
    );
  };

  const tellsRefused = async ({ refused }: Trouble, since: () => Load['refusals']): Promise<void> => {
    if (refused === 'all' || refused === 'tells')
      await eventually('tells are refused', refusalMs, () => since().length >= senders);
  };
  const asksRefused = async ({ refused }: Trouble, onInHand: (asked: Promise<string>) => void): Promise<void> => {
    if (refused !== 'all' && refused !== 'asks') return;
    // The first may be in hand when it begins; those after it are refused before they start.
    onInHand(append(1));
    let answer = '';
    await eventually(
      () => `asks are refused at once; the last answer: ${answer}`,
      refusalMs,
      async () => {
        answer = await Promise.race([append(2), setTimeout(1_000, 'none within a second')]);
        return /^UNAVAILABLE [1-9]/.test(answer);
      },
    );
  };
  const diagnosed = async ({ told, passes }: Trouble): Promise<void> => {
    let said = '';
    await eventually(
      () => `readyz says ${told}, not: ${said}`,
      // It looks anew every five seconds where its own calls run into nothing.
      10_000,
      async () => {
        const { ready, checks } = await readiness(admin);
        said = JSON.stringify(checks.find(({ name }) => name === 'engine'));
        return !ready && told.test(said);
      },
    );
    if (passes) return;
    let heard = '';
    // On a full disk a write finds room now and then: for that moment the engine is well.
    const [doctor, status] = await eventually(
      () => `doctor and status say ${told}, not: ${heard}`,
      15_000,
      async () => {
        const both = await Promise.all([node.cli.run(['doctor', '--engine', engine]), node.cli.run(['status'])]);
        heard = both.map(({ stdout }) => stdout).join('\n');
        return both.every(({ stdout }) => told.test(stdout)) && both;
      },
    );
    assert.match(doctor.stdout, told);
    assert.match(doctor.stdout, /FAILS {2}(engine|disk): .*\n {7}-> \S/, 'with what mends it');
    assert.equal(doctor.code, 1);
    assert.match(status.stdout, told);
    assert.equal(status.code, 1);
  };

  await accepted();
  for (const trouble of troubles)
    await t.test(trouble.name, slow, async (t) => {
      let inHand = Promise.resolve('OK');
      const startedMs = performance.now();
      const end = await trouble.begin();
      const since = (): Load['refusals'] => load.refusals.filter(({ atMs }) => atMs > startedMs);
      try {
        await Promise.all([
          tellsRefused(trouble, since),
          asksRefused(trouble, (asked) => {
            inHand = asked;
          }),
          diagnosed(trouble),
        ]);
      } finally {
        await end();
      }
      const endedMs = performance.now();
      await accepted();
      assert.match(await inHand, /^(OK|UNAVAILABLE)/, 'the ask in hand');
      for (const { error, tookMs } of since()) {
        assert.equal(error.reason, 'UNAVAILABLE', String(error));
        assert.ok((error.retryAfterMs ?? 0) > 0, `a delay: ${error.message}`);
        assert.ok(tookMs < refusalMs, `refused after ${Math.round(tookMs)} ms: ${error.message}`);
      }
      const resumed = Math.round(performance.now() - endedMs);
      t.diagnostic(`${since().length} refusals; all went on ${resumed} ms after its end`);
    });

  await load.end();
  assert.equal(node.child.exitCode, null, 'the same process');
  let missing = 0;
  const found = await eventually<Entry[][]>(
    () => `every acknowledged tell is applied; ${missing} are missing`,
    30_000,
    async () => {
      const now = await readLedgers(grpc, ledgers);
      const ids = new Set(now.flatMap((list, ledger) => list.map((entry) => entryId(ledger, entry))));
      missing = [...load.acknowledged].filter((id) => !ids.has(id)).length;
      return missing === 0 && now;
    },
  );
  assertWhole(found, load.sent, load.acknowledged);
  t.diagnostic(`${load.acknowledged.size} of ${load.sent.size} tells acknowledged, ${found.flat().length} applied`);
}

/** Says a command to a Redis, over a connection of its own. */
async function say(server: TestRedis, ...words: string[]): Promise<void> {
  const client = new Redis(server.url);
  client.on('error', () => undefined);
  try {
    await client.call(...(words as [string]));
  } finally {
    client.disconnect();
  }
}

const killed = (server: TestRedis): Trouble => ({
  name: 'killed, and started again',
  told: /cannot be reached/,
  refused: 'all',
  async begin() {
    await server.kill();
    return () => server.restart();
  },
});

/** Longer than a call may take, and shorter than a lease: what callers have given up is done all the same when it is over. */
const waiting = (server: TestRedis): Trouble => ({
  name: 'told to let its clients wait',
  told: /does not answer/,
  refused: 'asks',
  passes: true,
  async begin() {
    await say(server, 'CLIENT', 'PAUSE', '7000', 'ALL');
    return () => say(server, 'PING');
  },
});

async function redisTroubles(t: TestContext): Promise<{ url: string; troubles: Trouble[] }> {
  const server = await startRedis(t);
  const command = (...words: string[]): Promise<void> => say(server, ...words);
  const setting = (name: string, during: string, after: string) => async () => {
    await command('CONFIG', 'SET', name, during);
    return () => command('CONFIG', 'SET', name, after);
  };
  return {
    url: server.url,
    troubles: [
      killed(server),
      {
        name: 'stopped for longer than a lease',
        told: /does not answer/,
        refused: 'all',
        async begin() {
          server.pause();
          await setTimeout(11_000);
          return async () => server.resume();
        },
      },
      {
        name: 'out of memory',
        told: /memory.*maxmemory/,
        refused: 'all',
        begin: setting('maxmemory', '1', '0'),
      },
      {
        name: 'told to evict',
        told: /may evict mail.*maxmemory-policy is allkeys-lru/,
        refused: 'nothing',
        begin: setting('maxmemory-policy', 'allkeys-lru', 'noeviction'),
      },
      {
        name: 'turned into a read-only replica',
        told: /read-only replica/,
        refused: 'all',
        async begin() {
          await command('REPLICAOF', '127.0.0.1', '1');
          return () => command('REPLICAOF', 'NO', 'ONE');
        },
      },
      {
        name: 'unable to write its snapshot to disk',
        told: /disk.*stop-writes-on-bgsave-error/,
        refused: 'all',
        async begin() {
          // Where the snapshot belongs there is a folder, so it cannot be put in place.
          const blocked = join(server.folder, 'dump.rdb', 'blocked');
          await mkdir(blocked, { recursive: true });
          await command('CONFIG', 'SET', 'save', '3600 1');
          await command('BGSAVE');
          return async () => {
            await command('CONFIG', 'SET', 'save', '');
            await rm(join(server.folder, 'dump.rdb'), { recursive: true });
          };
        },
      },
    ],
  };
}

/** A process and all that it has started. */
async function family(pid: number): Promise<number[]> {
  const parents = new Map<number, number>();
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const stat = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => '');
    parents.set(Number(name), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]));
  }
  const found = [pid];
  for (const member of found)
    for (const [child, parent] of parents) if (parent === member && !found.includes(child)) found.push(child);
  return found;
}

async function postgresTroubles(t: TestContext): Promise<{ url: string; troubles: Trouble[] }> {
  const server = await startPostgres(t);
  const session = async (): Promise<pg.Client> => {
    const client = new pg.Client(server.connection);
    client.on('error', () => undefined);
    await client.connect();
    return client;
  };
  const run = async (...statements: string[]): Promise<void> => {
    const client = await eventually('PostgreSQL takes a session', 10_000, () => session().catch(() => undefined));
    try {
      for (const statement of statements) await client.query(statement);
    } finally {
      await client.end();
    }
  };
  const stopped = (pids: readonly number[], signal: NodeJS.Signals): void => {
    for (const pid of pids) {
      try {
        process.kill(pid, signal);
      } catch {
        // A session that has ended meanwhile.
      }
    }
  };
  return {
    url: server.url,
    troubles: [
      {
        name: 'ended, and started again',
        told: /cannot be reached/,
        refused: 'all',
        async begin() {
          await server.end();
          return () => server.start();
        },
      },
      {
        name: 'stopped with all its sessions',
        told: /does not answer/,
        refused: 'all',
        async begin() {
          // The postmaster first: a session that it makes meanwhile would go on serving.
          stopped([server.pid()], 'SIGSTOP');
          const pids = await family(server.pid());
          stopped(pids, 'SIGSTOP');
          return async () => stopped(pids.reverse(), 'SIGCONT');
        },
      },
      {
        name: 'read-only',
        told: /read-only.*default_transaction_read_only/,
        refused: 'all',
        async begin() {
          await run('ALTER SYSTEM SET default_transaction_read_only = on', 'SELECT pg_reload_conf()');
          return () =>
            run(
              'SET default_transaction_read_only = off',
              'ALTER SYSTEM RESET default_transaction_read_only',
              'SELECT pg_reload_conf()',
            );
        },
      },
      {
        name: 'with a table that another session has locked',
        told: /has locked the table troupe_(rows|leases)/,
        refused: 'asks',
        async begin() {
          const locker = await session();
          await locker.query('BEGIN; LOCK TABLE troupe.troupe_rows, troupe.troupe_leases IN ACCESS EXCLUSIVE MODE');
          return () => locker.end();
        },
      },
      {
        name: 'without a free connection',
        told: /takes no more connections/,
        refused: 'all',
        async begin() {
          const hogs: pg.Client[] = [];
          const hog = async (): Promise<void> => {
            try {
              for (;;) hogs.push(await session());
            } catch (error) {
              assert.equal((error as { code?: string }).code, '53300');
            }
          };
          await hog();
          const ours = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'troupe'";
          for (let round = 0; round < 20; round += 1) {
            await hogs[0]?.query(ours);
            await hog();
          }
          return async () => void (await Promise.all(hogs.map((client) => client.end())));
        },
      },
    ],
  };
}

interface SmallDisk {
  readonly folder: string;
  remove(): void;
}

/** A small file system of its own, where this user may mount one. */
function smallDisk(size: string): SmallDisk | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'troupe-small-'));
  const remove = (): void => {
    spawnSync('umount', ['-l', folder]);
    rmSync(folder, { recursive: true, force: true });
  };
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${size},mode=0700`, 'tmpfs', folder]).status === 0)
    return { folder, remove };
  remove();
  return undefined;
}

/** Its disk is filled to the last page. */
function full({ folder }: SmallDisk, told: RegExp, refused: Trouble['refused']): Trouble {
  const ballast = join(folder, 'ballast');
  return {
    name: 'full',
    told,
    refused,
    async begin() {
      spawnSync('dd', ['if=/dev/zero', `of=${ballast}`, 'bs=64k']);
      return () => rm(ballast);
    },
  };
}

describe('a node whose engine is in trouble', { ...slow, concurrency: true }, () => {
  it('Redis', { ...slow, skip: redisMissing() }, async (t) => {
    await using cli = new CommandLine();
    const { url, troubles } = await redisTroubles(t);
    await endure(t, cli, url, troubles);
  });
  const without = (disk: SmallDisk | undefined) => disk === undefined && 'no disk of its own can be mounted here';
  const redisDisk = smallDisk('24m');
  const postgresDisk = smallDisk('192m');
  after(() => {
    redisDisk?.remove();
    postgresDisk?.remove();
  });
  it('Redis on a small disk', { ...slow, skip: redisMissing() || without(redisDisk) }, async (t) => {
    assert(redisDisk);
    // With `always` Redis would end itself on a full disk, as it can keep its word no longer.
    const server = await startRedis(t, { folder: redisDisk.folder, appendfsync: 'everysec' });
    await using cli = new CommandLine();
    await endure(t, cli, server.url, [
      waiting(server),
      full(redisDisk, /append-only file.*MISCONF/, 'all'),
      // What it had half written when there was no room does not keep it from reading the rest.
      killed(server),
    ]);
  });
  it('embedded PostgreSQL on a full disk', { ...slow, skip: without(postgresDisk) }, async (t) => {
    assert(postgresDisk);
    const dataDir = join(postgresDisk.folder, 'node', 'data');
    await using cli = new CommandLine({}, dataDir);
    // A commit may still find room on the pages that there are.
    await endure(t, cli, 'embedded', [full(postgresDisk, /no space left|disk of .* is full/i, 'tells')]);
  });
  it('PostgreSQL', slow, async (t) => {
    await using cli = new CommandLine();
    const { url, troubles } = await postgresTroubles(t);
    await endure(t, cli, url, troubles);
  });
});
