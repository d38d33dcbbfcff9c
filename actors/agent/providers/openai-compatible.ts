import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import type { LanguageModel } from 'ai';
import type { Connection } from './settings.ts';

/** A model behind any server that speaks OpenAI's chat completions, such as Ollama or vLLM. The key is optional. */
export function languageModel({ model, apiKey, baseUrl }: Connection): LanguageModel {
  return createOpenAICompatible({
    name: 'openai-compatible',
    baseURL: baseUrl ?? '',
    ...(apiKey === undefined ? {} : { apiKey }),
  })(model);
}
