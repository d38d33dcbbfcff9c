import { z } from 'zod';

export const providerNames = ['anthropic', 'google', 'openai', 'openai-compatible'] as const;

export type ProviderName = (typeof providerNames)[number];

/** How a provider is called. The key itself is never here: only the name of the variable that holds it. */
export const providerSettings = z.strictObject({
  name: z.enum(providerNames),
  /** Default: the provider's entry in `providerDefaults`. */
  model: z.string().min(1).max(128).optional(),
  /** Default: the provider's public address, or its usual variable (`ANTHROPIC_BASE_URL`, `OPENAI_BASE_URL`). */
  baseUrl: z.url({ protocol: /^https?$/ }).optional(),
  apiKeyEnv: z
    .string()
    .regex(/^[A-Z_][A-Z0-9_]*$/, 'name the environment variable that holds the key, not the key')
    .optional(),
  /** Longest call, in milliseconds; default 60,000. */
  timeoutMs: z.int().min(1).max(600_000).optional(),
});

export type ProviderSettings = z.infer<typeof providerSettings>;

interface ProviderDefaults {
  readonly model: string | undefined;
  readonly apiKeyEnv: string;
  readonly baseUrlEnv: string;
  /** Path that is added to an address that has none. */
  readonly path: string;
}

export const providerDefaults: Readonly<Record<ProviderName, ProviderDefaults>> = {
  anthropic: {
    model: 'claude-sonnet-5-5',
    apiKeyEnv: 'ANTHROPIC_API_KEY',
    baseUrlEnv: 'ANTHROPIC_BASE_URL',
    path: '/v1',
  },
  google: {
    model: 'gemini-3.8-flash',
    apiKeyEnv: 'GOOGLE_GENERATIVE_AI_API_KEY',
    baseUrlEnv: 'GOOGLE_GENERATIVE_AI_BASE_URL',
    path: '/v1beta',
  },
  openai: { model: 'gpt-5.4-mini', apiKeyEnv: 'OPENAI_API_KEY', baseUrlEnv: 'OPENAI_BASE_URL', path: '/v1' },
  'openai-compatible': {
    model: undefined,
    apiKeyEnv: 'OPENAI_COMPATIBLE_API_KEY',
    baseUrlEnv: 'OPENAI_COMPATIBLE_BASE_URL',
    path: '/v1',
  },
};

/** Everything needed to reach a provider, read on the thread that calls it. Never stored, sent or logged. */
export interface Connection {
  readonly model: string;
  readonly apiKey: string | undefined;
  readonly baseUrl: string | undefined;
}

/** The name of the variable that holds a provider's key. */
export function apiKeyVariable(settings: ProviderSettings): string {
  return settings.apiKeyEnv ?? providerDefaults[settings.name].apiKeyEnv;
}

/** Reads the connection from settings and environment; a text says what is missing. */
export function connectionOf(settings: ProviderSettings, env: NodeJS.ProcessEnv): Connection | string {
  const fallback = providerDefaults[settings.name];
  const model = settings.model ?? fallback.model;
  const apiKey = env[apiKeyVariable(settings)];
  const baseUrl = settings.baseUrl ?? (env[fallback.baseUrlEnv] || undefined);
  if (model === undefined) return `no model is configured; set [providers.${settings.name}] model`;
  if (settings.name === 'openai-compatible') {
    if (baseUrl === undefined) return 'no address is configured; set [providers.openai-compatible] baseUrl';
  } else if (apiKey === undefined || apiKey === '') {
    return `no key is configured; set ${apiKeyVariable(settings)}`;
  }
  return { model, apiKey, baseUrl: baseUrl === undefined ? undefined : withPath(baseUrl, fallback.path) };
}

/** Vendors write their base address with or without the version; an address without any path gets it. */
function withPath(baseUrl: string, path: string): string {
  const url = new URL(baseUrl);
  return url.pathname === '/' ? `${url.origin}${path}` : baseUrl.replace(/\/+$/, '');
}
