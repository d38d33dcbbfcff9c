/**
 * The engine on PostgreSQL 13 or newer: one schema a namespace, which BullMQ's tables share. At most eight connections:
 * four for BullMQ, four for the shard store and the leases. A connection pooler in transaction mode does not work: the
 * schema and `synchronous_commit` are settings of the session.
 */

import { createPostgresBackend, type PostgresQueueBackend } from 'bullmq';
import { type Clock, systemClock } from '../../clock.ts';
import { TroupeError, textOf } from '../../errors.ts';
import { type Random, systemRandom } from '../../random.ts';
import { createBullmqMailboxes } from '../bullmq-mailboxes.ts';
import { checkOptions } from '../check.ts';
import { type Engine, EngineDown, type EngineInfo, type EngineOptions, type MailboxTransport } from '../engine.ts';
import { createPostgresLeases, createPostgresNodes } from './leases.ts';
import { createPostgresLink, type PostgresPlace } from './link.ts';
import { migrate } from './schema.ts';
import { createPostgresStore } from './store.ts';

export interface PostgresEngineOptions extends EngineOptions {
  readonly connection: PostgresPlace;
  readonly clock?: Clock;
  readonly random?: Random;
}

export function createPostgresEngine(options: PostgresEngineOptions): Engine {
  checkOptions(options);
  const clock = options.clock ?? systemClock;
  const link = createPostgresLink(options.connection, options.namespace);
  let root: PostgresQueueBackend | undefined;
  let mailboxes: MailboxTransport | undefined;

  const opened = (): MailboxTransport => {
    if (mailboxes === undefined) throw new EngineDown('The PostgreSQL engine is not open.');
    return mailboxes;
  };

  const close = async (): Promise<void> => {
    mailboxes = undefined;
    await Promise.all([link.close(), root?.close().catch(() => {})]);
  };

  const prepare = async (): Promise<{ readonly version: string; readonly warnings: readonly string[] }> => {
    const client = await link.connect();
    try {
      const { rows } = await client.query<{ version: string; fsync: string; replica: boolean }>(
        "SELECT current_setting('server_version') AS version, current_setting('fsync') AS fsync, " +
          'pg_is_in_recovery() AS replica',
      );
      const state = rows[0];
      if (state === undefined) throw new Error('it did not tell its state');
      if (state.replica) {
        throw new TroupeError(
          'UNAVAILABLE',
          `PostgreSQL at ${link.place} is a read-only replica. Give the URL of the primary.`,
        );
      }
      await migrate(client, options.namespace, options.shards);
      const warnings =
        state.fsync === 'on'
          ? []
          : [
              `PostgreSQL at ${link.place} runs with fsync=off: a power loss can destroy the database. Mend it: ` +
                'ALTER SYSTEM SET fsync = on; SELECT pg_reload_conf();',
            ];
      return { version: state.version.split(' ')[0] ?? state.version, warnings };
    } finally {
      await client.end().catch(() => {});
    }
  };

  return {
    transport: {
      add: async (shard, data) => opened().add(shard, data),
      fetch: async (shard) => opened().fetch(shard),
      acknowledge: async (shard, jobId) => opened().acknowledge(shard, jobId),
      waiting: async (shard) => opened().waiting(shard),
      active: async (shard) => opened().active(shard),
      depth: async (shard) => opened().depth(shard),
    },
    store: createPostgresStore(link),
    leases: createPostgresLeases(link, options.random ?? systemRandom),
    nodes: createPostgresNodes(link),
    async open(): Promise<EngineInfo> {
      try {
        const { version, warnings } = await prepare();
        // With token 0 a lock means nothing; it lapses at once, so that nothing can come to lean on it.
        const backendOptions = { connection: link.queueSettings, lockDuration: 1 };
        const backend = createPostgresBackend('mail', backendOptions);
        root = backend;
        // A connection that breaks while idle is replaced at its next use.
        backend.on('error', () => {});
        await backend.waitUntilReady();
        mailboxes = createBullmqMailboxes({
          root: backend,
          queueOf: (shard) => ({ name: shard }),
          call: link.call,
          clock,
        });
        const durability =
          warnings.length === 0
            ? 'Survives a kill of PostgreSQL and a power loss of its machine (synchronous_commit=on).'
            : 'Survives a kill of PostgreSQL; a power loss of its machine may destroy the data (fsync=off).';
        return { name: 'postgres', description: `PostgreSQL ${version} at ${link.place}`, durability, warnings };
      } catch (error) {
        await close();
        if (error instanceof TroupeError) throw error;
        throw new TroupeError('UNAVAILABLE', `PostgreSQL at ${link.place} cannot be used: ${textOf(error)}`, {
          cause: error,
        });
      }
    },
    async ping() {
      await link.query('troupe-ping', 'SELECT 1', []);
    },
    close,
  };
}
