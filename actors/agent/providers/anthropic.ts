import { createAnthropic } from '@ai-sdk/anthropic';
import type { LanguageModel } from 'ai';
import type { Connection } from './settings.ts';

/** A model of Anthropic. */
export function languageModel({ model, apiKey, baseUrl }: Connection): LanguageModel {
  return createAnthropic({
    ...(apiKey === undefined ? {} : { apiKey }),
    ...(baseUrl === undefined ? {} : { baseURL: baseUrl }),
  })(model);
}
