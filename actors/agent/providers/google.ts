import { createGoogle } from '@ai-sdk/google';
import type { LanguageModel } from 'ai';
import type { Connection } from './settings.ts';

/** A model of Google. */
export function languageModel({ model, apiKey, baseUrl }: Connection): LanguageModel {
  return createGoogle({
    ...(apiKey === undefined ? {} : { apiKey }),
    ...(baseUrl === undefined ? {} : { baseURL: baseUrl }),
  })(model);
}
