/** What the admin edge answers, for the OpenAPI document. */

import * as z from 'zod';
import { finalReasons } from '../../runtime/mailbox/dead-letters.ts';
import { holdReasons } from '../../runtime/mailbox/parked-row.ts';

const json = z.unknown().meta({ description: 'Any JSON value' });

export const treeSchema = z
  .object({
    address: z.string(),
    kind: z.string(),
    role: z.enum(['supervisor', 'actor', 'thread', 'system']),
    status: z.string(),
    state: json,
    incarnation: z.number().int(),
    restarts: z.number().int(),
    thread: z.number().int().nullable(),
    strategy: z.string().optional(),
    error: z.string().optional(),
    get children() {
      return z.array(treeSchema).readonly();
    },
  })
  .meta({ id: 'TreeNode' });

/** The tree refers to itself, which only a named schema can. */
export const namedSchemas = z.registry<{ id: string }>().add(treeSchema, { id: 'TreeNode' });

export const actorSchema = z.object({
  address: z.string(),
  kind: z.string(),
  status: z.string(),
  incarnation: z.number().int(),
  persist: z.enum(['none', 'snapshot']),
  thread: z.number().int(),
  state: json,
  context: json.optional(),
  mailbox: z.object({
    inHand: z.number().int(),
    waiting: z.number().int(),
    durableWaiting: z.number().int(),
    ephemeralCapacity: z.number().int(),
    durableCapacity: z.number().int(),
  }),
  reason: z.string().optional(),
  restarts: z.number().int().optional(),
});

export const threadSchema = z.object({
  slot: z.number().int(),
  incarnation: z.number().int(),
  status: z.string(),
  actors: z.number().int(),
  lagMs: z.number(),
  worstLagMs: z.number(),
  heapUsedBytes: z.number(),
  heapLimitBytes: z.number(),
  heapHigh: z.boolean(),
  quarantine: z.boolean(),
  exits: z.number().int(),
  lastExit: z
    .object({ cause: z.string(), atMs: z.number(), error: z.string().optional(), actor: z.string().optional() })
    .optional(),
});

export const shardSchema = z.object({
  shard: z.string(),
  held: z.boolean(),
  epoch: z.number(),
  seq: z.number(),
  inHand: z.number().int(),
  outbox: z.number().int(),
  delayed: z.number().int(),
  parked: z.number().int(),
  kept: z.number().int(),
});

export const parkedSchema = z.object({
  address: z.string(),
  waiting: z.number().int(),
  hold: z.object({ why: z.enum(holdReasons), text: z.string(), untilMs: z.number().optional() }).optional(),
});

export const deadLetterSchema = z.object({
  id: z.string(),
  shard: z.string(),
  address: z.string(),
  type: z.string(),
  reason: z.string(),
  errors: z.array(z.object({ atMs: z.number(), message: z.string() })).readonly(),
  atMs: z.number(),
  attempts: z.number().int(),
});

export const deadLetterDetailSchema = deadLetterSchema.extend({
  payload: json,
  delivery: z.string(),
  from: z.string().optional(),
  headers: json.optional(),
  deadlineMs: z.number().optional(),
});

export const deadLetterOutcomeSchema = z.object({
  matched: z.number().int(),
  changed: z.number().int().meta({ description: 'None in a dry run' }),
  ids: z.array(z.string()).readonly().meta({ description: 'What was changed; in a dry run what would be' }),
  skipped: z.array(z.object({ id: z.string(), why: z.enum(['NOT_FOUND', ...finalReasons]) })).readonly(),
  dryRun: z.boolean(),
});

/** Every list looks alike. */
export function listOf<Item extends z.ZodType>(item: Item) {
  return z.object({ items: z.array(item).readonly(), nextCursor: z.string().nullable(), asOf: z.string() });
}
