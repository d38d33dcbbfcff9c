/** The message that every bench sends, on our side and on the bare one: about 200 bytes of JSON. */

import { z } from 'zod';

export const order = z.object({
  id: z.string().max(64),
  customer: z.string().max(64),
  article: z.string().max(120),
  quantity: z.number().int().nonnegative(),
  express: z.boolean(),
  /** Counts down where a bench passes the order on. */
  left: z.number().int(),
});

export type Order = z.infer<typeof order>;

export const sampleOrder: Order = {
  id: '0199f3c2-5b7e-7d31-9a44-2f60c81d7e05',
  customer: 'customers/0199f3c2-41aa',
  article: 'A chair of oiled oak with a woven seat, packed flat, with its screws in a bag',
  quantity: 4,
  express: true,
  left: 0,
};
