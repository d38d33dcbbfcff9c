import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { ActorDefinition } from '../define-actor.ts';
import type { Envelope } from '../envelope.ts';
import type { ErrorData } from '../errors.ts';
import { textOf } from '../errors.ts';

/** The payload as its schema returns it (defaults filled in), or why the message is refused. */
export type Checked = { readonly payload: unknown } | { readonly refused: ErrorData };

const mostFields = 20;

/** Checks a message against its definition; this is the one check at the actor. */
export function checkMessage(definition: ActorDefinition, type: string, payload: unknown): Checked {
  const spec = Object.hasOwn(definition.messages, type) ? definition.messages[type] : undefined;
  if (spec === undefined) {
    const known = Object.keys(definition.messages).join(', ');
    return refuse('UNKNOWN_TYPE', `"${definition.kind}" takes no message "${type}"; it takes: ${known}`);
  }
  let result: StandardSchemaV1.Result<unknown> | Promise<StandardSchemaV1.Result<unknown>>;
  try {
    result = spec.payload['~standard'].validate(payload);
  } catch (thrown) {
    return refuse('INVALID_MESSAGE', `the schema of "${type}" threw: ${textOf(thrown)}`);
  }
  if (result instanceof Promise) {
    result.catch(() => {});
    return refuse('INVALID_MESSAGE', `the schema of "${type}" is asynchronous; an actor needs a synchronous one`);
  }
  if (result.issues === undefined) return { payload: result.value };
  const fields = result.issues.slice(0, mostFields).map(fieldOf);
  const text = fields.map(({ path, message }) => (path === '' ? message : `${path}: ${message}`)).join('; ');
  return refuse('INVALID_MESSAGE', `the payload of "${type}" does not fit its schema: ${text}`, fields);
}

/** Why a message that was set aside is not handled any more; `nowMs` by the clock of its node. */
export function expiredFault({ deadlineMs }: Pick<Envelope, 'deadlineMs'>, nowMs: number): Checked | undefined {
  if (deadlineMs === undefined || deadlineMs >= nowMs) return undefined;
  const message = 'the message was set aside and not handled in time';
  return { refused: { reason: 'DEADLINE_EXCEEDED', message, outcome: 'unknown' } };
}

function fieldOf(issue: StandardSchemaV1.Issue): { readonly path: string; readonly message: string } {
  const path = (issue.path ?? []).map((part) => String(typeof part === 'object' ? part.key : part)).join('.');
  return { path, message: issue.message };
}

function refuse(
  reason: 'UNKNOWN_TYPE' | 'INVALID_MESSAGE',
  message: string,
  fields: { readonly path: string; readonly message: string }[] = [],
): Checked {
  return {
    refused: {
      reason,
      message: message.slice(0, 2_000),
      outcome: 'not_started',
      ...(fields.length > 0 ? { fields } : {}),
    },
  };
}
