/** Requests against their zod schemas; faults come out as one `INVALID_MESSAGE` that names every field. */

import { closest, distance } from 'fastest-levenshtein';
import type { FastifySchemaCompiler } from 'fastify';
import * as z from 'zod';
import { TroupeError } from '../../runtime/errors.ts';

type FieldFault = { readonly path: string; readonly message: string };

export const validatorCompiler: FastifySchemaCompiler<z.ZodType> = ({ schema }) => {
  const known = schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];
  return (data) => {
    const result = schema.safeParse(data);
    if (result.success) return { value: result.data };
    const fields = result.error.issues.flatMap((issue) => faultsOf(issue, known)).slice(0, 16);
    const text = fields.map(({ path, message }) => `${path}: ${message}`).join('; ');
    return { error: new TroupeError('INVALID_MESSAGE', text, { fields }) };
  };
};

function faultsOf(issue: z.core.$ZodIssue, known: readonly string[]): FieldFault[] {
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((key) => ({ path: shortened(key), message: unknownField(key, known) }));
  const path = issue.path.map(String).join('.');
  return [{ path: path === '' ? 'body' : shortened(path), message: issue.message }];
}

function unknownField(key: string, known: readonly string[]): string {
  if (key === 'from') return 'callers cannot set "from"; the runtime says who sent a message';
  const nearest = known.length > 0 && key.length <= 64 ? closest(key, known) : undefined;
  if (nearest !== undefined && distance(key, nearest) <= 3) return `unknown field; did you mean "${nearest}"?`;
  return `unknown field; known are ${known.join(', ')}`;
}

function shortened(path: string): string {
  return path.length > 128 ? `${path.slice(0, 127)}…` : path;
}
