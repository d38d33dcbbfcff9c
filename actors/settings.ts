/** What can be configured of the default application: the sections `agents`, `providers`, `codex` and `infra`. */

import { z } from 'zod';
import { type ProviderName, providerDefaults, providerNames, providerSettings } from './agent/providers/settings.ts';
import { breakerInput } from './breaker/messages.ts';
import { serviceSettings } from './container/services.ts';

const providerSection = providerSettings.omit({ name: true }).extend({
  /** The breaker at `/breakers/<provider>`. */
  breaker: breakerInput.omit({ name: true }).prefault({}),
});

const agentSection = (provider: ProviderName) =>
  z.strictObject({
    /** The language model's provider; `rule-based` asks none. */
    provider: z.enum([...providerNames, 'rule-based']).default(provider),
    /** Requests in flight at most. */
    maxConcurrent: z.int().min(1).max(10_000).default(16),
  });

const serviceName = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'a service name is 1 to 63 of a-z 0-9 -');

export const applicationSettings = z.strictObject({
  agents: z
    .strictObject({
      claude: agentSection('anthropic').prefault({}),
      gemini: agentSection('google').prefault({}),
    })
    .prefault({}),
  providers: z
    .strictObject({
      anthropic: providerSection.prefault({}),
      google: providerSection.prefault({}),
      openai: providerSection.prefault({}),
      'openai-compatible': providerSection.prefault({}),
    })
    .prefault({}),
  codex: z
    .strictObject({
      /** Whether `execute` may run programs on this host. */
      allowHostExecution: z.boolean().default(false),
      /** Where relative working folders begin; default the node's own. */
      workingDir: z.string().min(1).optional(),
      maxConcurrent: z.int().min(1).max(1_000).default(8),
    })
    .prefault({}),
  infra: z
    .strictObject({
      /** Services that are started with the node. */
      autostart: z.array(serviceName).default([]),
      /** Whether `start` may pull a missing image. */
      pull: z.boolean().default(false),
      /** `unix://PATH` or `tcp://HOST:PORT`; default `DOCKER_HOST`, else Docker's usual socket. */
      dockerHost: z
        .string()
        .regex(/^(unix:\/\/\/.+|tcp:\/\/[^/]+)$/, 'write unix:///PATH or tcp://HOST:PORT')
        .optional(),
      /** The network that the services share; made when it is missing. */
      network: z.string().min(1).max(128).default('lightweight_default'),
      /** Containers are called `<containerPrefix>-<service>`. */
      containerPrefix: z
        .string()
        .regex(/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,32}$/)
        .default('troupe'),
      /** Changes to the services that come with Troupe, and services of one's own (these need an image). */
      services: z.record(serviceName, serviceSettings.partial()).default({}),
    })
    .prefault({}),
});

export type ApplicationSettings = z.output<typeof applicationSettings>;

/** What each agent asks, in words, for the lines that `up` prints. */
export function describeAgents(
  settings: ApplicationSettings,
  env: NodeJS.ProcessEnv,
): readonly { readonly agent: string; readonly provider: string }[] {
  const described = (['claude', 'gemini'] as const).map((agent) => ({
    agent,
    provider: describeProvider(settings, settings.agents[agent].provider, env),
  }));
  const codex = settings.codex.allowHostExecution
    ? 'runs programs on this host'
    : 'refuses to run programs on this host ([codex] allowHostExecution = false)';
  return [...described, { agent: 'codex', provider: codex }];
}

function describeProvider(
  settings: ApplicationSettings,
  name: ProviderName | 'rule-based',
  env: NodeJS.ProcessEnv,
): string {
  if (name === 'rule-based') return 'rule-based';
  const section = settings.providers[name];
  const fallback = providerDefaults[name];
  const key = section.apiKeyEnv ?? fallback.apiKeyEnv;
  const model = section.model ?? fallback.model;
  const reachable =
    name === 'openai-compatible'
      ? model !== undefined && (section.baseUrl ?? env[fallback.baseUrlEnv]) !== undefined
      : (env[key] ?? '') !== '';
  if (reachable) return `${name} (${model})`;
  return name === 'openai-compatible'
    ? 'rule-based (set [providers.openai-compatible] baseUrl and model to use it)'
    : `rule-based (set ${key} to use ${name})`;
}
