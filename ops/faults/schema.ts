/**
 * The part of the scenario language that is built. The whole language is larger; words of it that are missing here
 * stand in `unbuilt.ts`, so that a file which uses them is told the truth.
 */

import { z } from 'zod';
import { limits } from '../../runtime/limits.ts';
import { formatDuration, parseDurationMs } from '../config/values.ts';

/** A time with its unit, as milliseconds. A bare number is refused: nobody can tell what it counts. */
const time = (minMs: number, maxMs: number) =>
  z
    .unknown()
    .refine((value) => typeof value !== 'number', {
      error: 'a time needs its unit: write 250ms, 30s or 5m',
      abort: true,
    })
    .refine((value) => typeof value !== 'string' || !/^\d.*\.\./.test(value), {
      error: 'a range of times is not built yet: write one time, such as 5s',
      abort: true,
    })
    .transform((value, context) => {
      const valueMs = typeof value === 'string' ? parseDurationMs(value) : undefined;
      if (valueMs !== undefined && valueMs >= minMs && valueMs <= maxMs) return valueMs;
      const span = `${formatDuration(minMs)} to ${formatDuration(maxMs)}`;
      context.addIssue({ code: 'custom', message: `write a time from ${span}, such as 250ms, 30s or 5m` });
      return z.NEVER;
    });

/** Arrivals a second, from `200/s` or `30/m`. */
const rate = z.string({ error: 'a rate needs its unit: write 200/s or 30/m' }).transform((text, context) => {
  const [, count, unit] = /^(\d+(?:\.\d+)?)\/(s|m)$/.exec(text) ?? [];
  const perSecond = Number(count) / (unit === 'm' ? 60 : 1);
  if (perSecond > 0 && perSecond <= 100_000) return perSecond;
  context.addIssue({ code: 'custom', message: 'write a rate up to 100000/s, such as 200/s or 30/m' });
  return z.NEVER;
});

const whole = (min: number, max: number) =>
  z
    .int({ error: `write a whole number from ${min} to ${max}` })
    .min(min, { error: `write a whole number from ${min} to ${max}` })
    .max(max, { error: `write a whole number from ${min} to ${max}` });

const text = (what: string, max = 1_000) =>
  z
    .string({ error: `write ${what}` })
    .min(1, { error: `write ${what}` })
    .max(max, { error: `write ${what} of at most ${max} characters` });

const name = z
  .string({ error: 'write a name' })
  .regex(/^[A-Za-z][A-Za-z0-9_.-]{0,63}$/, { error: 'write a name of letters, digits, "-", "_" and ".", up to 64' });

const day = 24 * 60 * 60 * 1_000;

const system = z.strictObject({
  /** The app module; a relative path counts from the folder of the scenario. */
  app: text('the path of an app module').optional(),
  threads: whole(1, 64).optional(),
  engine: z
    .string()
    .regex(/^(embedded|memory|redis|rediss?:\/\/.+|postgres(ql)?:\/\/.+)$/, {
      error: 'write embedded, memory, redis (a server of the run’s own), redis://… or postgres://…',
    })
    .optional(),
  /** Data folder of a running node. Without it the run starts a system of its own. */
  attach: text('the data folder of a running node').optional(),
});

const phases = z.strictObject({
  warmup: time(0, day).default(1_000),
  run: time(100, day).default(10_000),
  settle: time(1_000, day).default(20_000),
});

const operation = z.strictObject({
  weight: whole(1, 1_000).default(1),
  send: z.enum(['tell', 'ask']).default('tell'),
  /** `{sender}`, `{n}` and `{key}` are filled in; where a text is nothing but `{n}`, it becomes a number. */
  payload: z
    .record(z.string(), z.json(), { error: 'write the payload as an object' })
    .default({ sender: '{sender}', n: '{n}' }),
});

const workload = z.strictObject({
  id: name.default('load'),
  /** Address pattern; `{key}` stands for a key. */
  to: text('an address, such as /ledger/{key}', limits.addressBytes),
  senders: whole(1, 64).default(8),
  timeout: time(10, 600_000).default(5_000),
  keys: z.strictObject({ count: whole(1, 10_000) }).default({ count: 1 }),
  ops: z
    .record(
      z.string().min(1).max(limits.messageTypeCharacters),
      z.union([whole(1, 1_000).transform((weight) => operation.parse({ weight })), operation]),
    )
    .refine((ops) => Object.keys(ops).length > 0, { error: 'name at least one message type' }),
  arrive: z
    .strictObject({
      /** Each sender keeps so many operations open. */
      closed: z.strictObject({ inFlight: whole(1, 1_024) }).optional(),
      constant: rate.optional(),
    })
    .refine(({ closed, constant }) => (closed === undefined) !== (constant === undefined), {
      error: 'write either closed: {inFlight: 8} or constant: 200/s',
    })
    .default({ closed: { inFlight: 8 } }),
});

const when = z
  .strictObject({ at: time(0, day).optional(), every: time(100, day).optional(), times: whole(1, 1_000).optional() })
  .refine(({ at, every, times }) => (at === undefined) === (every !== undefined && times !== undefined), {
    error: 'write either {at: 2s} or {every: 5s, times: 3}',
  })
  .refine(({ at, times }) => at === undefined || times === undefined, { error: 'times belongs to every, not to at' });

const target = z.strictObject({
  /** Addresses of actors; `*` stands for a part of a segment, `**` for any number of segments. */
  actor: text('an address or a pattern, such as /ledger/*', limits.addressBytes).optional(),
  thread: z.union([whole(1, 256), z.literal('any')], { error: 'write the number of a thread, or any' }).optional(),
  pick: z.literal('one', { error: 'write one' }).optional(),
});

export const faultKinds = ['crash-actor', 'kill-thread', 'kill-node', 'engine-restart'] as const;
export type FaultKind = (typeof faultKinds)[number];

const fault = z.strictObject({ id: name, do: z.enum(faultKinds), when, target: target.optional() });

export const checkNames = ['no-durable-loss', 'per-sender-order'] as const;
export type CheckName = (typeof checkNames)[number];

export const scenarioSchema = z.strictObject({
  scenario: z.literal(1, { error: 'write 1, the version of the language' }),
  name: text('a name', 200),
  why: text('why this is worth a run', 4_000).optional(),
  tags: z.array(name).max(32).optional(),
  seed: z
    .union([whole(0, 2 ** 32 - 1), z.literal('random')], { error: 'write a whole number, or random' })
    .default('random'),
  modes: z
    .array(z.enum(['real']))
    .min(1, { error: 'write [real]' })
    .default(['real']),
  system: system.default({}),
  phases: phases.default({ warmup: 1_000, run: 10_000, settle: 20_000 }),
  workload,
  faults: z.array(fault).max(100).default([]),
  expect: z
    .array(z.strictObject({ recovered: name, within: time(1, day) }))
    .max(100)
    .default([]),
  check: z.array(z.enum(checkNames)).default([...checkNames]),
  /** Where the report goes, unless --report says otherwise; relative to the folder of the scenario. */
  report: z.strictObject({ folder: text('a folder') }).optional(),
});

export type Scenario = z.output<typeof scenarioSchema>;
export type Workload = Scenario['workload'];
export type Operation = Workload['ops'][string];
export type Fault = Scenario['faults'][number];
export type Expectation = Scenario['expect'][number];
