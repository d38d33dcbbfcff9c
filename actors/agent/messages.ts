import { z } from 'zod';

/** How an answer came about; part of every answer of a language model's agent. */
const origin = z.object({
  /** Who answered: a provider's name, or `rule-based`. */
  provider: z.string(),
  model: z.string().optional(),
  /** Whether fixed rules answered in place of a language model. */
  degraded: z.boolean(),
  /** Why it is degraded, and what to do about it. */
  degradedReason: z.string().optional(),
});

export type Origin = z.infer<typeof origin>;

const text = z.string().min(1).max(200_000);
const language = z
  .string()
  .regex(/^[A-Za-z0-9+#.\- ]{1,40}$/, 'a language is a name such as "python" or "c++"')
  .default('python');

export const step = z.object({
  order: z.int().min(1),
  phase: z.string(),
  action: z.string(),
  agent: z.string(),
  description: z.string(),
  params: z.record(z.string(), z.unknown()),
});

export type Step = z.infer<typeof step>;

const severity = z.enum(['info', 'low', 'medium', 'high', 'critical']);

export const planRequest = z.strictObject({
  task: z.string().trim().min(1).max(20_000),
  constraints: z.array(z.string().min(1).max(2_000)).max(50).default([]),
  /** Names of files that the plan should take into account. */
  contextFiles: z.array(z.string().min(1).max(1_024)).max(200).default([]),
});

export const plan = z.object({
  task: z.string(),
  steps: z.array(step).min(1),
  totalSteps: z.int(),
  estimatedAgents: z.array(z.string()),
  createdAt: z.iso.datetime(),
  ...origin.shape,
});

/** One step of a plan as soon as it is complete. The reply repeats all of them and has the last word. */
export const planChunk = z.object({ step, degraded: z.boolean() });

export const codeRequest = z.strictObject({ description: text, language, context: text.optional() });

export const code = z.object({
  language: z.string(),
  code: z.string(),
  description: z.string(),
  generatedAt: z.iso.datetime(),
  ...origin.shape,
});

export const analyzeRequest = z.strictObject({
  content: text,
  analysisType: z.string().min(1).max(64).default('general'),
});

export const finding = z.object({
  category: z.string(),
  severity,
  description: z.string(),
  suggestion: z.string(),
});

export const analysis = z.object({
  analysisType: z.string(),
  contentLength: z.int(),
  tokenEstimate: z.int(),
  findings: z.array(finding),
  summary: z.string(),
  analyzedAt: z.iso.datetime(),
  ...origin.shape,
});

export const reviewRequest = z.strictObject({
  code: text,
  language,
  reviewType: z.string().min(1).max(64).default('general'),
});

export const issue = z.object({
  type: z.string(),
  severity,
  /** From 1; 0 where the issue is about the whole. */
  line: z.int().min(0),
  message: z.string(),
  suggestion: z.string(),
});

export const review = z.object({
  language: z.string(),
  reviewType: z.string(),
  codeLength: z.int(),
  issues: z.array(issue),
  /** 0 to 10. */
  overallScore: z.number().min(0).max(10),
  reviewedAt: z.iso.datetime(),
  ...origin.shape,
});

/** Text that an operating system takes as an argument. */
const argument = z
  .string()
  .max(32_768)
  .refine((text) => !text.includes('\0'), 'an argument holds no NUL character');

export const executeRequest = z.strictObject({
  /** A program's name, such as `git`; never a path, never a shell line. */
  command: z.string().min(1).max(256),
  args: z.array(argument).max(256).default([]),
  workingDir: z.string().min(1).max(4_096).optional(),
  /** Added to a minimal environment; the node's own variables are not passed on. */
  environment: z.record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/), argument).default({}),
  timeoutSeconds: z.number().positive().max(3_600).default(30),
});

export const execution = z.object({
  /** Whether the program ended by itself with exit code 0. */
  success: z.boolean(),
  command: z.string(),
  /** −1 where a signal ended it. */
  exitCode: z.int(),
  stdout: z.string(),
  stderr: z.string(),
  /** Whether output beyond 1 MiB was dropped. */
  outputCut: z.boolean(),
  timedOut: z.boolean(),
  durationSeconds: z.number(),
  executedAt: z.iso.datetime(),
});

/** The messages of each role; an agent takes those of its role only. */
export const roleMessages = {
  claude: {
    plan: { payload: planRequest, reply: plan, chunk: planChunk },
    code: { payload: codeRequest, reply: code },
  },
  gemini: {
    analyze: { payload: analyzeRequest, reply: analysis },
    review: { payload: reviewRequest, reply: review },
  },
  codex: {
    execute: { payload: executeRequest, reply: execution },
  },
} as const;

export type Role = keyof typeof roleMessages;

export type PlanRequest = z.infer<typeof planRequest>;
export type CodeRequest = z.infer<typeof codeRequest>;
export type AnalyzeRequest = z.infer<typeof analyzeRequest>;
export type ReviewRequest = z.infer<typeof reviewRequest>;
export type ExecuteRequest = z.infer<typeof executeRequest>;
export type Plan = z.infer<typeof plan>;
export type Code = z.infer<typeof code>;
export type Analysis = z.infer<typeof analysis>;
export type Review = z.infer<typeof review>;
export type Execution = z.infer<typeof execution>;

/** A request to a language model, by its message type. */
export type Request =
  | { readonly type: 'plan'; readonly payload: PlanRequest }
  | { readonly type: 'code'; readonly payload: CodeRequest }
  | { readonly type: 'analyze'; readonly payload: AnalyzeRequest }
  | { readonly type: 'review'; readonly payload: ReviewRequest };
