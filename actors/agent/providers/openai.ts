import { createOpenAI } from '@ai-sdk/openai';
import type { LanguageModel } from 'ai';
import type { Connection } from './settings.ts';

/** A model of OpenAI. */
export function languageModel({ model, apiKey, baseUrl }: Connection): LanguageModel {
  return createOpenAI({
    ...(apiKey === undefined ? {} : { apiKey }),
    ...(baseUrl === undefined ? {} : { baseURL: baseUrl }),
  })(model);
}
