/**
 * The connections to PostgreSQL: a small pool of ours, and the settings for BullMQ's. A call whose connection could not
 * be had, or that PostgreSQL refused, rejects with `EngineDown`; one that was sent and not answered with
 * `EngineUnknown`. Both pools commit with `synchronous_commit=on` and bound every statement.
 */

import type { PostgresPoolConfig } from 'bullmq';
import pg from 'pg';
import { TroupeError, textOf } from '../../errors.ts';
import { EngineDown, EngineUnknown } from '../engine.ts';

/** A connection string, or where a server is; `host` may be the folder of a Unix socket. */
export type PostgresPlace =
  | string
  | {
      readonly host: string;
      readonly user: string;
      readonly database: string;
      readonly password?: string;
      readonly port?: number;
    };

/** Connections of this engine, in all. */
const ownConnectionsMax = 6;
const queueConnectionsMax = 12;
const connectTimeoutMs = 3_000;
const statementTimeoutMs = 5_000;
/** A little longer than the server's own, so that the server's answer comes first. */
const answerTimeoutMs = 6_000;

export interface PostgresLink {
  /** `host:port/database`, for people; never with a password. */
  readonly place: string;
  /** Pool settings for BullMQ. */
  readonly queueSettings: PostgresPoolConfig;
  /** One statement on one connection; prepared once under its name. */
  query<Row extends pg.QueryResultRow>(name: string, text: string, values: readonly unknown[]): Promise<Row[]>;
  /** Runs work of BullMQ's and turns its errors into the engine's. */
  call<Result>(work: () => Promise<Result>): Promise<Result>;
  /** A connection without time limits, for migrations; the caller ends it. */
  connect(): Promise<pg.Client>;
  close(): Promise<void>;
}

export function createPostgresLink(connection: PostgresPlace, schema: string): PostgresLink {
  const { settings, options, place } = readPlace(connection);
  const common: pg.PoolConfig = {
    ...settings,
    application_name: 'troupe',
    connectionTimeoutMillis: connectTimeoutMs,
    keepAlive: true,
  };
  const bounded: pg.PoolConfig = {
    ...common,
    options: `${options} -c synchronous_commit=on -c statement_timeout=${statementTimeoutMs}`.trim(),
    query_timeout: answerTimeoutMs,
  };
  const pool = new pg.Pool({
    ...bounded,
    options: `${bounded.options} -c search_path="${schema}"`,
    max: ownConnectionsMax,
  });
  // A connection that breaks while idle is replaced at its next use.
  pool.on('error', () => {});
  pool.on('connect', (client) => client.on('error', () => {}));
  const pending = new Set<(error: Error) => void>();
  let closed = false;

  /** BullMQ's calls never settle once it is closing, so ours end with the close. */
  const untilClosed = <Result>(work: () => Promise<Result>): Promise<Result> => {
    if (closed) return Promise.reject(new EngineDown('The PostgreSQL engine is closed.'));
    return new Promise<Result>((resolve, reject) => {
      pending.add(reject);
      const settled = (): boolean => pending.delete(reject);
      work().then(
        (result) => settled() && resolve(result),
        (error) => settled() && reject(error),
      );
    });
  };

  return {
    place,
    queueSettings: { ...(bounded as PostgresPoolConfig), max: queueConnectionsMax, schema },
    query(name, text, values) {
      return untilClosed(async () => {
        let client: pg.PoolClient;
        try {
          client = await pool.connect();
        } catch (error) {
          throw new EngineDown(`PostgreSQL at ${place} is out of reach: ${textOf(error)}`, { cause: error });
        }
        try {
          const { rows } = await client.query({ name, text, values: [...values] });
          client.release();
          return rows;
        } catch (error) {
          client.release(!(error instanceof pg.DatabaseError) || error.severity !== 'ERROR');
          throw postgresError(error, place);
        }
      });
    },
    call(work) {
      return untilClosed(async () => {
        try {
          return await work();
        } catch (error) {
          throw postgresError(error, place);
        }
      });
    },
    async connect() {
      const client = new pg.Client({ ...common, options });
      client.on('error', () => {});
      try {
        await client.connect();
      } catch (error) {
        await client.end().catch(() => {});
        throw new TroupeError(
          'UNAVAILABLE',
          `PostgreSQL at ${place} cannot be reached (${textOf(error)}). Start it, or correct the engine's URL.`,
          { cause: error },
        );
      }
      return client;
    },
    async close() {
      if (closed) return;
      closed = true;
      for (const reject of pending) reject(new EngineUnknown('The PostgreSQL engine was closed meanwhile.'));
      pending.clear();
      await pool.end();
    },
  };
}

/** States in which PostgreSQL turns a connection away before it reads a statement. */
const turnedAway = new Set(['57P03', '53300', '28000', '28P01', '3D000']);
/** Classes of errors that say that what was sent can never be stored: a mistake of ours. */
const mistakes = /^(22|54)/;
const notConnected = /timeout exceeded when trying to connect|connection timeout/;

/** What an error of the driver means to the delivery protocol. */
export function postgresError(error: unknown, place: string): Error {
  if (error instanceof EngineDown || error instanceof EngineUnknown || error instanceof TypeError) return error;
  const text = textOf(error);
  if (error instanceof pg.DatabaseError) {
    if (mistakes.test(error.code ?? '')) return new TypeError(text, { cause: error });
    // An error, unlike a fatal one, rolls its statement back.
    const undone = error.severity === 'ERROR' || turnedAway.has(error.code ?? '');
    if (undone) return new EngineDown(`PostgreSQL at ${place} refuses: ${text}`, { cause: error });
  }
  if ((error as NodeJS.ErrnoException).syscall === 'connect' || notConnected.test(text)) {
    return new EngineDown(`PostgreSQL at ${place} is out of reach: ${text}`, { cause: error });
  }
  return new EngineUnknown(`PostgreSQL at ${place} did not answer: ${text}`, { cause: error });
}

/** What a connection says: settings of a client, options of a session, and the place for people. */
export function readPlace(connection: PostgresPlace): {
  readonly settings: pg.PoolConfig;
  /** Server settings that the caller asked for. */
  readonly options: string;
  readonly place: string;
} {
  if (typeof connection !== 'string') {
    const { host, port = 5432, database } = connection;
    return { settings: { ...connection, port }, options: '', place: `${host}:${port}/${database}` };
  }
  const url = new URL(connection);
  // What stands in the string wins over settings beside it, so `options` is taken out and joined with ours.
  const options = url.searchParams.get('options') ?? '';
  url.searchParams.delete('options');
  const host = url.searchParams.get('host') ?? (url.hostname || '127.0.0.1');
  const place = `${host}:${url.port || '5432'}${url.pathname}`;
  return { settings: { connectionString: url.toString() }, options, place };
}
