/** Parts of the tree over admin HTTP: stop, restart, pause and resume, each with an audit line in the log. */

import * as z from 'zod';
import { limits } from '../../runtime/limits.ts';
import type { Log } from '../../runtime/log.ts';
import type { SubtreeActions } from '../../supervisors/index.ts';
import type { HttpApp } from '../http/app.ts';
import { anyProblem } from '../http/schemas.ts';
import type { Caller } from './operations.ts';
import { actOnSubtree, type SubtreeAction, subtreeActions } from './tree-operations.ts';

export interface TreeRoutesOptions {
  readonly subtrees: SubtreeActions;
  /** How callers prove who they are. */
  readonly by: Caller['by'];
  readonly log: Log | undefined;
}

const orderSchema = z.strictObject({
  address: z.string().min(1).max(limits.addressBytes).meta({ example: '/agents/claude' }),
  reason: z
    .string()
    .max(limits.reasonCharacters)
    .regex(/^\P{Cc}*$/u, 'must be one line of text')
    .default('')
    .meta({ description: 'For the log, and for whoever meets what is stopped or paused' }),
});

const outcomeSchema = z.object({
  address: z.string(),
  status: z.string().meta({ description: 'Afterwards; restarting where a start takes its time' }),
  actors: z.int().meta({ description: 'Actors that it was done to' }),
});

const summaries: Readonly<Record<SubtreeAction, string>> = {
  stop: 'Stops a part of the tree until it is restarted or resumed; durable mail waits',
  restart: 'Ends the present life of a part of the tree and begins the next',
  pause: 'Lets the actors of a part of the tree take no message until they are resumed',
  resume: 'Undoes stop and pause, there and below',
};

export function addTreeRoutes(app: HttpApp, { subtrees, by, log }: TreeRoutesOptions): void {
  for (const action of subtreeActions) {
    app.post(
      `/admin/v1/tree/actions/${action}`,
      {
        schema: {
          summary: summaries[action],
          body: orderSchema,
          response: { 200: outcomeSchema, default: anyProblem },
        },
      },
      async ({ body, ip }) => await actOnSubtree(subtrees, { action, ...body }, { by, from: ip }, log),
    );
  }
}
