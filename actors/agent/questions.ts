/**
 * What a language model is asked for each request, and how its answer is read. The wire schemas are closed and have
 * no optional field, as structured output demands of all providers; reading is lenient in form (renamed or missing
 * trifles) and strict in substance: what lacks the substance is a `MalformedAnswer`.
 */

import { z } from 'zod';
import type { Clock } from '../../runtime/clock.ts';
import type { Analysis, Code, Origin, Plan, Request, Review, Step } from './messages.ts';
import { finding, issue } from './messages.ts';

/** A reply without its origin. */
export type Body =
  | Omit<Plan, keyof Origin>
  | Omit<Code, keyof Origin>
  | Omit<Analysis, keyof Origin>
  | Omit<Review, keyof Origin>;

export interface Question {
  readonly instructions: string;
  readonly prompt: string;
  /** JSON schema of the answer. */
  readonly schema: object;
}

/** The provider answered, but not what was asked. */
export class MalformedAnswer extends Error {
  override readonly name = 'MalformedAnswer';
}

const wireStep = z.strictObject({
  order: z.number(),
  phase: z.string(),
  action: z.string(),
  agent: z.enum(['claude', 'gemini', 'codex']),
  description: z.string(),
  params: z.array(z.strictObject({ name: z.string(), value: z.string() })),
});

const wireSchemas = {
  plan: z.strictObject({ task: z.string(), steps: z.array(wireStep) }),
  code: z.strictObject({ language: z.string(), code: z.string(), description: z.string() }),
  analyze: z.strictObject({ findings: z.array(z.strictObject(finding.shape)), summary: z.string() }),
  review: z.strictObject({
    issues: z.array(z.strictObject({ ...issue.shape, line: z.number() })),
    overallScore: z.number(),
  }),
} as const;

const jsonOnly = 'Answer with one JSON object that fits the schema, without any text around it.';

const instructions: Readonly<Record<Request['type'], string>> = {
  plan: `You plan work for a team of agents: gemini analyses and researches, claude designs, writes and reviews, codex runs commands and tests. Split the task into steps over the five phases Analysis (gemini), Design (claude), Implementation (claude), Testing (codex), Review (claude), in this order, at least one step each. Every description names what of the task it is about. ${jsonOnly}`,
  code: `You write production code. Put the complete code into "code", without Markdown fences, and one sentence about it into "description". ${jsonOnly}`,
  analyze: `You analyse texts. Each finding has a category, a severity (info, low, medium, high, critical), what you found and what to do about it. ${jsonOnly}`,
  review: `You review code. Each issue has a type, a severity (info, low, medium, high, critical), the line it is in (0 for the whole), what is wrong and what to do about it. overallScore is from 0 (unusable) to 10 (nothing to add). ${jsonOnly}`,
};

/** The question that stands for a request. */
export function questionOf(request: Request): Question {
  return {
    instructions: instructions[request.type],
    prompt: promptOf(request),
    schema: z.toJSONSchema(wireSchemas[request.type]),
  };
}

function promptOf(request: Request): string {
  switch (request.type) {
    case 'plan':
      return sections([
        ['Task', request.payload.task],
        ['Constraints', bullets(request.payload.constraints)],
        ['Files to take into account', bullets(request.payload.contextFiles)],
      ]);
    case 'code':
      return sections([
        ['Language', request.payload.language],
        ['Wanted', request.payload.description],
        ['Context', request.payload.context ?? ''],
      ]);
    case 'analyze':
      return sections([
        ['Kind of analysis', request.payload.analysisType],
        ['Content', request.payload.content],
      ]);
    case 'review':
      return sections([
        ['Language', request.payload.language],
        ['Kind of review', request.payload.reviewType],
        ['Code', request.payload.code],
      ]);
  }
}

function sections(parts: readonly (readonly [string, string])[]): string {
  return parts
    .filter(([, body]) => body !== '')
    .map(([title, body]) => `${title}:\n${body}`)
    .join('\n\n');
}

function bullets(lines: readonly string[]): string {
  return lines.map((line) => `- ${line}`).join('\n');
}

const looseStep = z.object({
  order: z.coerce.number().int().min(1).optional().catch(undefined),
  phase: z.string().min(1),
  action: z.string().optional(),
  agent: z.string().optional(),
  description: z.string().optional(),
  params: z
    .union([z.array(z.object({ name: z.string(), value: z.unknown() })), z.record(z.string(), z.unknown())])
    .optional()
    .catch(undefined),
});

const loosePlan = z.object({ task: z.string().optional(), steps: z.array(looseStep).min(1).max(200) });
const looseCode = z.object({
  language: z.string().optional(),
  code: z.string().min(1),
  description: z.string().optional(),
});
const looseAnalysis = z.object({ findings: z.array(finding), summary: z.string() });
const looseReview = z.object({
  issues: z.array(z.object({ ...issue.shape, line: z.number().transform((line) => Math.max(0, Math.trunc(line))) })),
  overallScore: z.number().transform((score) => Math.min(10, Math.max(0, score))),
});

/** Reads the answer to a request. @throws MalformedAnswer */
export function bodyOf(request: Request, answer: unknown, clock: Clock): Body {
  const at = new Date(clock.now()).toISOString();
  switch (request.type) {
    case 'plan': {
      const read = parse(loosePlan, answer);
      return planBody(read.task ?? request.payload.task, read.steps.map(stepOf), at);
    }
    case 'code': {
      const read = parse(looseCode, answer);
      const { language, description } = request.payload;
      return {
        language: read.language ?? language,
        code: read.code,
        description: read.description ?? description,
        generatedAt: at,
      };
    }
    case 'analyze': {
      const read = parse(looseAnalysis, answer);
      return { ...measured(request.payload.analysisType, request.payload.content), ...read, analyzedAt: at };
    }
    case 'review': {
      const read = parse(looseReview, answer);
      const { language, reviewType, code } = request.payload;
      return { language, reviewType, codeLength: code.length, ...read, reviewedAt: at };
    }
  }
}

/** The steps that an unfinished answer already holds in full: all but the one being written. */
export function finishedSteps(partial: unknown): Step[] {
  const steps = typeof partial === 'object' && partial !== null && 'steps' in partial ? partial.steps : undefined;
  if (!Array.isArray(steps)) return [];
  return steps.slice(0, -1).flatMap((step, index) => {
    const read = looseStep.safeParse(step);
    return read.success ? [stepOf(read.data, index)] : [];
  });
}

/** A plan's reply from its steps. */
export function planBody(task: string, steps: readonly Step[], createdAt: string): Omit<Plan, keyof Origin> {
  return {
    task,
    steps: [...steps],
    totalSteps: steps.length,
    estimatedAgents: [...new Set(steps.map(({ agent }) => agent))],
    createdAt,
  };
}

/** The fields of an analysis that are counted, not judged. A token is taken as four characters. */
export function measured(analysisType: string, content: string) {
  return { analysisType, contentLength: content.length, tokenEstimate: Math.floor(content.length / 4) };
}

function stepOf(step: z.infer<typeof looseStep>, index: number): Step {
  const params = Array.isArray(step.params)
    ? Object.fromEntries(step.params.map(({ name, value }) => [name, value]))
    : (step.params ?? {});
  return {
    order: step.order ?? index + 1,
    phase: step.phase,
    action: step.action ?? step.phase.toLowerCase(),
    agent: step.agent ?? 'claude',
    description: step.description ?? '',
    params,
  };
}

function parse<S extends z.ZodType>(schema: S, answer: unknown): z.output<S> {
  const read = schema.safeParse(answer);
  if (read.success) return read.data;
  const [first] = read.error.issues;
  throw new MalformedAnswer(
    `the answer does not fit: ${first === undefined ? 'unknown' : `${first.path.join('.') || 'it'}: ${first.message}`}`,
  );
}
