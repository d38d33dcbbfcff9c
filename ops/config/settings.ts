/**
 * Every setting of a node, once. The name gives the rest: `grpcAddr` is the key `grpc_addr` of troupe.toml, the variable
 * `TROUPE_GRPC_ADDR` and the flag `--grpc-addr`; a trailing `Ms` says that the value is milliseconds and belongs to no
 * name. The sections of the application (`[agents]`, `[providers]`, …) are the actors' own schema.
 */

import { availableParallelism } from 'node:os';
import { z } from 'zod';
import { defaults } from '../../runtime/limits.ts';
import { duration, formatDuration, listenAddress, truth, whole } from './values.ts';

/** A variable of a replaced system that still works. */
export interface Alias {
  readonly env: string;
  /** Turns the old form into ours; `undefined` leaves the setting alone. */
  readonly read?: (text: string) => string | undefined;
}

export interface Setting<Schema extends z.ZodType = z.ZodType> {
  readonly schema: Schema;
  /** As it would be written; `undefined` for a setting that is absent by default. */
  readonly default: string | number | boolean | undefined;
  readonly help: string;
  /** Placeholder of the flag's value. */
  readonly value: string;
  readonly secret?: true;
  /** A relative path counts from the folder of the file, or from the working folder. */
  readonly path?: true;
  readonly aliases?: readonly Alias[];
}

const setting = <Schema extends z.ZodType>(of: Setting<Schema>): Setting<Schema> => of;

const engineForms = 'write embedded, memory, redis://…, rediss://… or postgres://…';
const seconds: Alias['read'] = (text) => (/^\d+(\.\d+)?$/.test(text) ? `${text}s` : text);

export const settings = {
  dataDir: setting({
    schema: z.string().min(1, { error: 'write a folder' }),
    default: '.troupe',
    help: 'folder of the data; used by one node at a time',
    value: 'folder',
    path: true,
  }),
  engine: setting({
    schema: z.string().regex(/^(embedded|memory:?|rediss?:\/\/.+|postgres(ql)?:\/\/.+)$/, { error: engineForms }),
    default: 'embedded',
    help: 'where durable mail is kept: embedded (PostgreSQL in the data folder), redis://…, postgres://…, memory',
    value: 'engine',
  }),
  grpcAddr: setting({
    schema: listenAddress,
    default: '127.0.0.1:50051',
    help: 'where gRPC listens; port 0 takes a free one',
    value: 'host:port',
    aliases: [{ env: 'ENV_MANAGER_GRPC_ADDR' }, { env: 'ORCHESTRATOR_GRPC_ADDR' }],
  }),
  httpAddr: setting({
    schema: listenAddress,
    default: '127.0.0.1:8000',
    help: 'where HTTP listens; port 0 takes a free one',
    value: 'host:port',
  }),
  adminAddr: setting({
    schema: listenAddress,
    default: '127.0.0.1:8900',
    help: 'where admin HTTP listens; port 0 takes a free one',
    value: 'host:port',
    aliases: [{ env: 'ENV_MANAGER_METRICS_ADDR' }],
  }),
  token: setting({
    schema: z
      .string()
      .regex(/^[\x21-\x7e]{16,512}$/, { error: 'write a token of 16 to 512 printable characters without spaces' })
      .optional(),
    default: undefined,
    help: 'what callers must show as "authorization: Bearer TOKEN"; better set by TROUPE_TOKEN than by the flag',
    value: 'token',
    secret: true,
  }),
  threads: setting({
    schema: whole(1, 256),
    default: Math.max(2, availableParallelism()),
    help: 'host threads that run the actors',
    value: 'count',
  }),
  offloadThreads: setting({
    schema: whole(1, 256),
    default: Math.max(1, availableParallelism() - 1),
    help: 'threads for tasks that actors offload; started when the first comes',
    value: 'count',
  }),
  heapLimitMb: setting({
    schema: whole(16, 1_048_576).optional(),
    default: undefined,
    help: "limit of each thread's heap in MiB, at which that thread is replaced; default: Node's own",
    value: 'count',
  }),
  app: setting({
    schema: z.string().min(1, { error: 'write the path of a module' }).optional(),
    default: undefined,
    help: 'module whose default export is defineApp(…); default: the application that comes with Troupe',
    value: 'file',
    path: true,
  }),
  namespace: setting({
    schema: z.string().regex(/^[a-z][a-z0-9_]{0,31}$/, { error: 'write 1 to 32 of a-z 0-9 _, a letter first' }),
    default: 'troupe',
    help: 'prefix of the keys, or schema of the tables, in the engine',
    value: 'name',
  }),
  shards: setting({
    schema: whole(1, 1_024),
    default: defaults.shards,
    help: 'shards of the namespace; fixed when it is created',
    value: 'count',
  }),
  logLevel: setting({
    schema: z.enum(['debug', 'info', 'warn', 'error'], { error: 'write debug, info, warn or error' }),
    default: 'info',
    help: 'lowest level that is logged',
    value: 'level',
    aliases: [{ env: 'ENV_MANAGER_VERBOSE', read: (text) => (/^(1|true|yes)$/i.test(text) ? 'debug' : undefined) }],
  }),
  acceptWeakDurability: setting({
    schema: truth,
    default: false,
    help: 'start on an engine that may drop acknowledged mail',
    value: '',
  }),
  allowFaults: setting({
    schema: truth,
    default: false,
    help: 'let "troupe faults inject" break actors and threads of this node',
    value: '',
  }),
  drainGraceMs: setting({
    schema: duration(0, 3_600_000),
    default: formatDuration(defaults.drainGraceMs),
    help: 'time that SIGTERM leaves to turns in hand and open asks',
    value: 'time',
  }),
  watchdogMs: setting({
    schema: duration(100, 3_600_000),
    default: formatDuration(defaults.watchdogMs),
    help: 'a host thread that answers nothing for this long is replaced',
    value: 'time',
  }),
  startTimeoutMs: setting({
    schema: duration(1_000, 3_600_000),
    default: '1m',
    help: 'how long "up --detach" waits until the node is ready',
    value: 'time',
    aliases: [{ env: 'DSPY_AGENT_SERVICE_TIMEOUT', read: seconds }],
  }),
} satisfies Record<string, Setting>;

export type SettingName = keyof typeof settings;
export type SettingValues = { readonly [Name in SettingName]: z.output<(typeof settings)[Name]['schema']> };

export const settingNames = Object.keys(settings) as SettingName[];

/** The setting as data of one type, whatever its schema. */
export function settingOf(name: SettingName): Setting {
  return settings[name];
}

/** Variables that begin with TROUPE_ and are no settings: where the file is, and what the wrapper and the node tell their children. */
export const otherVariables = ['TROUPE_CONFIG', 'TROUPE_APPLICATION_SETTINGS'] as const;

/** Variables of the test runs, which the processes that tests start inherit. */
export const testVariablePrefix = 'TROUPE_TEST_';

const snake = (name: string): string =>
  name.replace(/Ms$/, '').replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

export const keyOf = (name: SettingName): string => snake(name);
export const envOf = (name: SettingName): string => `TROUPE_${snake(name).toUpperCase()}`;
export const flagOf = (name: SettingName): string => `--${snake(name).replaceAll('_', '-')}`;
