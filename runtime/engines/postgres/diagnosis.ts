/** What is wrong with a PostgreSQL, each trouble with its mend. A session of its own, which only asks. */

import pg from 'pg';
import { type Clock, systemClock } from '../../clock.ts';
import { textOf } from '../../errors.ts';
import { type Examination, examineWithinMs, type Finding, fails, ok, warns } from '../finding.ts';
import { clockFinding, heldMend, heldText, wrongShards } from '../findings.ts';
import { type PostgresPlace, readPlace } from './link.ts';
import { schemaFormat } from './schema.ts';

/** The oldest PostgreSQL that Troupe runs on. */
const majorMin = 13;
/** Sessions that a node takes, and what should be free beyond them. */
const sessionsWanted = 10;

interface ServerState {
  readonly version: string;
  readonly number: number;
  readonly replica: boolean;
  readonly read_only: string;
  readonly fsync: string;
  readonly sessions: number;
  readonly sessions_max: number;
  readonly now_ms: number;
}

export async function examinePostgres(
  connection: PostgresPlace,
  asked: Examination,
  clock: Clock = systemClock,
): Promise<Finding[]> {
  const { settings, options, place } = readPlace(connection);
  const client = new pg.Client({
    ...settings,
    options: `${options} -c statement_timeout=${examineWithinMs}`.trim(),
    application_name: 'troupe-doctor',
    connectionTimeoutMillis: examineWithinMs,
    query_timeout: examineWithinMs,
  });
  client.on('error', () => {});
  try {
    await client.connect();
    const state = await serverState(client);
    return [
      ...serverFindings(state, place),
      ...(await lockFindings(client, asked.namespace)),
      clockFinding(Number(state.now_ms), clock),
      ...(await namespaceFindings(client, asked)),
    ];
  } catch (error) {
    return [unanswered(place, error)];
  } finally {
    // One that does not answer would not take its leave either.
    void client.end().catch(() => undefined);
  }
}

/** Why nothing, or no good answer, came. */
export function unanswered(place: string, error: unknown): Finding {
  const check = 'engine';
  const why = textOf(error);
  const at = `PostgreSQL at ${place}`;
  switch ((error as { code?: unknown }).code) {
    case '28P01':
    case '28000':
      return fails(
        check,
        `${at} refuses the user or the password (${why})`,
        "correct them in the engine's URL: postgres://USER:PASSWORD@HOST/DATABASE",
      );
    case '3D000':
      return fails(check, `${at}: ${why}`, "make it (createdb), or correct the engine's URL");
    case '53300':
      return fails(
        check,
        `${at} takes no more connections (${why})`,
        'end other sessions, or raise max_connections and restart PostgreSQL',
      );
    case '53100':
      return fails(check, `${at} has no space left on its disk (${why})`, 'free space on the disk of its data');
    case '57P03':
      return fails(check, `${at} is starting, stopping or recovering (${why})`, 'wait; if it stays so, read its log');
    default:
  }
  // A stopped server lets its socket's queue fill up.
  if (/timeout|timed out|EAGAIN/i.test(why))
    return fails(
      check,
      `${at} does not answer within ${examineWithinMs / 1_000} s (${why})`,
      'look for a stopped or overloaded server: SELECT * FROM pg_stat_activity',
    );
  return fails(check, `${at} cannot be reached (${why})`, "start it, or correct the engine's URL");
}

async function serverState(client: pg.Client): Promise<ServerState> {
  const { rows } = await client.query<ServerState>(`SELECT
    split_part(current_setting('server_version'), ' ', 1) AS version,
    current_setting('server_version_num')::integer AS number,
    pg_is_in_recovery() AS replica,
    current_setting('default_transaction_read_only') AS read_only,
    current_setting('fsync') AS fsync,
    (SELECT count(*)::integer FROM pg_stat_activity WHERE backend_type = 'client backend') AS sessions,
    current_setting('max_connections')::integer AS sessions_max,
    (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS now_ms`);
  if (rows[0] === undefined) throw new Error('it did not tell its state');
  return rows[0];
}

function serverFindings(state: ServerState, place: string): Finding[] {
  const check = 'engine';
  const at = `PostgreSQL at ${place}`;
  const found: Finding[] = [];
  if (state.number < majorMin * 10_000)
    found.push(fails(check, `${at} is version ${state.version}`, `upgrade it to ${majorMin} or newer`));
  if (state.replica) found.push(fails(check, `${at} is a read-only replica`, 'give the URL of the primary'));
  else if (state.read_only === 'on')
    found.push(
      fails(
        check,
        `${at} is read-only (default_transaction_read_only is on)`,
        'SET default_transaction_read_only = off; ALTER SYSTEM RESET default_transaction_read_only; SELECT pg_reload_conf();',
      ),
    );
  if (state.fsync !== 'on')
    found.push(
      warns(
        check,
        `${at} runs with fsync=off: a power loss can destroy the database`,
        'ALTER SYSTEM SET fsync = on; SELECT pg_reload_conf();',
      ),
    );
  if (state.sessions + sessionsWanted > state.sessions_max)
    found.push(
      warns(
        check,
        `${at} has ${state.sessions} of at most ${state.sessions_max} connections`,
        'end other sessions, or raise max_connections and restart PostgreSQL',
      ),
    );
  if (found.some(({ status }) => status === 'fails')) return found;
  return [ok(check, `PostgreSQL ${state.version} at ${place}; Troupe commits with synchronous_commit=on`), ...found];
}

/** Sessions that keep the node's tables to themselves. */
async function lockFindings(client: pg.Client, namespace: string): Promise<Finding[]> {
  const { rows } = await client.query<{ pid: number; table: string; application: string; seconds: number }>(
    `SELECT l.pid, c.relname AS table, a.application_name AS application,
        round(extract(epoch FROM now() - a.xact_start))::integer AS seconds
       FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_stat_activity a ON a.pid = l.pid
      WHERE l.granted AND l.mode IN ('AccessExclusiveLock', 'ExclusiveLock', 'ShareRowExclusiveLock', 'ShareLock')
        AND c.relnamespace = to_regnamespace($1)::oid AND a.application_name <> 'troupe' LIMIT 1`,
    [`"${namespace}"`],
  );
  return rows.map(({ pid, table, application, seconds }) =>
    fails(
      'engine',
      `a session of PostgreSQL (process ${pid}${application === '' ? '' : `, ${application}`}) has locked the table ${table} for ${seconds} s`,
      `let it end, or end it: SELECT pg_terminate_backend(${pid});`,
    ),
  );
}

async function namespaceFindings(client: pg.Client, { namespace, shards, ownEpoch }: Examination): Promise<Finding[]> {
  const { rows } = await client.query<{ there: boolean }>(
    `SELECT to_regclass($1) IS NOT NULL AND has_schema_privilege($2, 'USAGE') AS there`,
    [`"${namespace}".troupe_meta`, namespace],
  );
  if (rows[0]?.there !== true) return [];
  const found: Finding[] = [];
  const format = (await client.query<{ version: number }>(`SELECT version FROM "${namespace}".troupe_format`)).rows[0];
  if ((format?.version ?? 0) > schemaFormat)
    found.push(
      fails(
        'namespace',
        `the schema "${namespace}" was written by a newer Troupe (format ${format?.version}; this one knows ${schemaFormat})`,
        'start that version, or use another --namespace',
      ),
    );
  const meta = await client.query<{ value: string }>(
    `SELECT value FROM "${namespace}".troupe_meta WHERE key = 'shards'`,
  );
  const stored = Number(meta.rows[0]?.value ?? shards);
  if (stored !== shards) found.push(wrongShards(namespace, stored, shards));
  const holders = await client.query<{ label: string }>(
    `SELECT label FROM "${namespace}".troupe_nodes
      WHERE until_ms > extract(epoch FROM clock_timestamp()) * 1000 AND epoch IS DISTINCT FROM $1::bigint`,
    [ownEpoch ?? null],
  );
  for (const { label } of holders.rows) found.push(warns('namespace', heldText(namespace, label), heldMend));
  return found;
}
