import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { startEmbeddedPostgres } from '../../runtime/engines/postgres/embedded.ts';
import { runs } from '../../runtime/engines/postgres/postmaster.ts';
import { layPostgresData } from './postgres-data.ts';

/** A PostgreSQL of the test's own, in a temporary folder. */
export interface TestPostgres {
  readonly connection: { readonly host: string; readonly user: string; readonly database: string };
  /** The same as a URL, for `--engine`. */
  readonly url: string;
  pid(): number;
  /** SIGKILL of the postmaster; the embedded PostgreSQL is then started again by itself. */
  kill(): void;
  /** Ends it in order, and starts it again on the same data. */
  end(): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** Starts a server; `t` may be left out by callers that stop it themselves. */
export async function startPostgres(t?: Pick<TestContext, 'after'>): Promise<TestPostgres> {
  const folder = await mkdtemp(join(tmpdir(), 'troupe-postgres-'));
  await layPostgresData(folder);
  let server = await startEmbeddedPostgres({ dataDir: folder });
  const { host, user, database } = server.connection;
  const started: TestPostgres = {
    connection: server.connection,
    url: `postgres://${user}@localhost/${database}?host=${encodeURIComponent(host)}`,
    pid: () => server.pid,
    kill: () => void process.kill(server.pid, 'SIGKILL'),
    end: () => server.stop(),
    start: async () => {
      server = await startEmbeddedPostgres({ dataDir: folder });
    },
    stop: async () => {
      const stopped = server.stop();
      // Its data go with it, so that a last checkpoint would be for nobody.
      if (runs(server.pid)) process.kill(server.pid, 'SIGQUIT');
      await stopped;
      for (const made of [folder, server.folder]) await rm(made, { recursive: true, force: true });
      await rm(host, { recursive: true, force: true });
    },
  };
  t?.after(() => started.stop());
  return started;
}
