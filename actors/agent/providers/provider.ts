/**
 * One call to a language model, and what its failure says about the upstream. The SDK's own retries are off: the
 * circuit breaker counts calls, and each call must be one. The SDK and the provider are loaded with the first call,
 * so that a thread whose actors never make one stays small.
 */

import type { LanguageModel } from 'ai';
import { MalformedAnswer, type Question } from '../questions.ts';
import type { Connection, ProviderName } from './settings.ts';

/** Bounds what a runaway answer costs; the longest useful one is a source file. */
const outputTokensMax = 16_000;

export interface Call {
  readonly provider: ProviderName;
  readonly connection: Connection;
  readonly question: Question;
  readonly signal: AbortSignal;
  /** Given: the answer is streamed, and this is called with what is there so far, parsed as far as it goes. */
  readonly onPartial?: (partial: unknown) => void;
}

/** Asks the model once; resolves with the parsed JSON of its answer. @throws MalformedAnswer and the SDK's errors */
export async function complete(call: Call): Promise<unknown> {
  const [{ generateText, streamText, Output, jsonSchema, NoObjectGeneratedError }, model] = await Promise.all([
    import('ai'),
    loadModel(call.provider, call.connection),
  ]);
  // What the SDK warns of, a server without structured output, is provided for below.
  globalThis.AI_SDK_LOG_WARNINGS ??= false;
  const request = {
    model,
    instructions: instructionsFor(call),
    prompt: call.question.prompt,
    output: Output.object({ schema: jsonSchema<object>(call.question.schema) }),
    maxRetries: 0,
    maxOutputTokens: outputTokensMax,
    abortSignal: call.signal,
  };
  try {
    if (call.onPartial === undefined) return (await generateText(request)).output;
    let failure: unknown;
    const stream = streamText({
      ...request,
      onError: ({ error }) => {
        failure ??= error;
      },
    });
    const output = Promise.resolve(stream.output);
    // The loop below may end first and throw; this rejection is then nobody's.
    output.catch(() => {});
    for await (const partial of stream.partialOutputStream) call.onPartial(partial);
    if (failure !== undefined) throw failure;
    return await output;
  } catch (error) {
    if (NoObjectGeneratedError.isInstance(error)) return jsonIn(error.text ?? '');
    throw error;
  }
}

/** Servers that only resemble OpenAI often take no schema; there the model must read it. */
function instructionsFor({ provider, question }: Call): string {
  if (provider !== 'openai-compatible') return question.instructions;
  return `${question.instructions}\nThe schema: ${JSON.stringify(question.schema)}`;
}

async function loadModel(provider: ProviderName, connection: Connection): Promise<LanguageModel> {
  switch (provider) {
    case 'anthropic':
      return (await import('./anthropic.ts')).languageModel(connection);
    case 'google':
      return (await import('./google.ts')).languageModel(connection);
    case 'openai':
      return (await import('./openai.ts')).languageModel(connection);
    case 'openai-compatible':
      return (await import('./openai-compatible.ts')).languageModel(connection);
  }
}

/** The JSON object inside a text: models like to wrap it in Markdown or a sentence. @throws MalformedAnswer */
export function jsonIn(text: string): unknown {
  const from = text.indexOf('{');
  const to = text.lastIndexOf('}');
  if (from !== -1 && to > from) {
    try {
      return JSON.parse(text.slice(from, to + 1));
    } catch {
      // Reported below, like an answer without any JSON.
    }
  }
  throw new MalformedAnswer('the answer is not JSON');
}

/** A failed call as the breaker and the caller should hear of it. */
export interface CallFailure {
  /** A gRPC status name; the breaker knows which of them count. */
  readonly code: string;
  readonly text: string;
}

const codeByStatus: Readonly<Record<number, string>> = {
  400: 'INVALID_ARGUMENT',
  401: 'UNAUTHENTICATED',
  402: 'FAILED_PRECONDITION',
  403: 'PERMISSION_DENIED',
  404: 'NOT_FOUND',
  408: 'DEADLINE_EXCEEDED',
  413: 'INVALID_ARGUMENT',
  422: 'INVALID_ARGUMENT',
  429: 'RESOURCE_EXHAUSTED',
  500: 'INTERNAL',
  501: 'UNIMPLEMENTED',
  504: 'DEADLINE_EXCEEDED',
};

/** Reads what `complete` threw. */
export function callFailure(error: unknown): CallFailure {
  if (error instanceof MalformedAnswer) return { code: 'INTERNAL', text: error.message };
  const status = statusOf(error);
  if (status === undefined) return { code: 'UNAVAILABLE', text: `cannot be reached (${reasonOf(error)})` };
  if (status < 400) return { code: 'UNAVAILABLE', text: `broke off its answer (${reasonOf(error)})` };
  const code = codeByStatus[status] ?? (status >= 500 ? 'UNAVAILABLE' : 'INVALID_ARGUMENT');
  return { code, text: `answered ${status}: ${reasonOf(error)}` };
}

function statusOf(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('statusCode' in error)) return undefined;
  return typeof error.statusCode === 'number' ? error.statusCode : undefined;
}

function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replace(/\s+/g, ' ').slice(0, 300);
}
