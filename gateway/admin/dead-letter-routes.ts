/** Dead letters over admin HTTP: list, show, and the two actions, each with an audit line in the log. */

import * as z from 'zod';
import { limits } from '../../runtime/limits.ts';
import { deadLetterReasons } from '../../runtime/mailbox/dead-letters.ts';
import type { DeadLetterFilter, DeadLetterSelection } from '../../runtime/messaging.ts';
import { invalid } from '../admission.ts';
import type { HttpApp } from '../http/app.ts';
import { anyProblem } from '../http/schemas.ts';
import type { AdminOperations } from './operations.ts';
import { deadLetterDetailSchema, deadLetterOutcomeSchema, deadLetterSchema, listOf } from './schemas.ts';

export interface DeadLetterRoutesOptions {
  readonly operations: AdminOperations;
  /** How callers prove who they are: by the token, or by being on this machine. */
  readonly by: 'token' | 'loopback';
  readonly asOf: () => string;
}

const time = z.iso.datetime({ offset: true, error: 'must be a time such as 2026-11-21T08:00:00Z' });
const id = z.string().min(1).max(256);
const filterShape = {
  address: z.string().min(1).max(limits.addressBytes).optional().meta({
    description: 'Pattern: * for any characters of a segment, ** for any segments',
    example: '/agents/*',
  }),
  reason: z.enum(deadLetterReasons).optional(),
  type: z.string().min(1).max(limits.messageTypeCharacters).optional(),
  before: time.optional(),
  after: time.optional(),
};
const filterSchema = z.strictObject(filterShape);

const orderSchema = z.strictObject({
  ids: z.array(id).min(1).max(limits.deadLettersPerAction).optional(),
  filter: filterSchema.optional().meta({ description: 'Instead of ids; {} means every letter' }),
  limit: z.int().min(1).max(limits.deadLettersPerAction).optional(),
  dryRun: z.boolean().default(false),
});

const summaries = {
  replay: 'Sends the messages of dead letters once more, under their ids',
  discard: 'Removes dead letters',
} as const;

export function addDeadLetterRoutes(app: HttpApp, { operations, by, asOf }: DeadLetterRoutesOptions): void {
  app.get(
    '/admin/v1/dead-letters',
    {
      schema: {
        summary: 'Messages that could not be handled, by ascending id',
        querystring: z.strictObject({
          ...filterShape,
          cursor: z.string().max(256).optional(),
          limit: z
            .string()
            .regex(/^\d{1,6}$/, 'must be a whole number')
            .optional(),
        }),
        response: { 200: listOf(deadLetterSchema), default: anyProblem },
      },
    },
    async ({ query }) => {
      const { cursor, limit, ...filter } = query;
      const page = await operations.deadLetters({
        ...(cursor === undefined ? {} : { after: cursor }),
        ...(limit === undefined ? {} : { limit: Number(limit) }),
        filter: filterOf(filter),
      });
      return { items: page.items, nextCursor: page.nextCursor ?? null, asOf: asOf() };
    },
  );
  app.get(
    '/admin/v1/dead-letters/:id',
    {
      schema: {
        summary: 'One dead letter with its payload: secrets masked, long texts cut',
        params: z.object({ id }),
        response: { 200: deadLetterDetailSchema, default: anyProblem },
      },
    },
    async ({ params }) => await operations.deadLetter(params.id),
  );
  for (const action of ['replay', 'discard'] as const) {
    app.post(
      `/admin/v1/dead-letters/actions/${action}`,
      {
        schema: {
          summary: summaries[action],
          body: orderSchema,
          response: { 200: deadLetterOutcomeSchema, default: anyProblem },
        },
      },
      async ({ body, ip }) =>
        await operations.settleDeadLetters(action, selectionOf(body), body.dryRun, { by, from: ip }),
    );
  }
}

/** @throws TroupeError `INVALID_MESSAGE` */
function selectionOf({ ids, filter, limit }: z.infer<typeof orderSchema>): DeadLetterSelection {
  if (ids !== undefined) {
    if (filter !== undefined || limit !== undefined) throw invalid('ids', 'go without filter and limit');
    return { ids };
  }
  if (filter === undefined) throw invalid('body', 'give ids or a filter; {"filter":{}} means every letter');
  return { filter: filterOf(filter), limit: limit ?? limits.deadLettersPerAction };
}

function filterOf({ before, after, address, reason, type }: z.infer<typeof filterSchema>): DeadLetterFilter {
  return {
    ...(address === undefined ? {} : { address }),
    ...(reason === undefined ? {} : { reason }),
    ...(type === undefined ? {} : { type }),
    ...(before === undefined ? {} : { beforeMs: Date.parse(before) }),
    ...(after === undefined ? {} : { afterMs: Date.parse(after) }),
  };
}
