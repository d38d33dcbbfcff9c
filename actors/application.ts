/**
 * The application that `troupe up` runs when no other is named.
 *
 *   /breakers  one for each provider
 *   /agents    claude, gemini, codex
 *   /infra     managed containers, in dependency order; nothing is started until someone asks or `autostart` names it
 *
 * The node builds the tree with its settings, on the main thread. Host threads import this module for its definitions
 * only; the settings reach their actors as input.
 */

import { type App, type Child, defineApp } from '../runtime/define-app.ts';
import { TroupeError, textOf } from '../runtime/errors.ts';
import { type AgentInput, claude, codex, gemini } from './agent/machine.ts';
import { type ProviderName, providerNames } from './agent/providers/settings.ts';
import { breaker } from './breaker/machine.ts';
import type { BreakerInput } from './breaker/messages.ts';
import { container } from './container/machine.ts';
import type { ContainerInput } from './container/messages.ts';
import { type ServiceSettings, services } from './container/services.ts';
import { type ApplicationSettings, applicationSettings } from './settings.ts';

/** The tree for these settings. @throws TroupeError `INVALID_MESSAGE` where the services contradict each other */
export function createApplication(settings: ApplicationSettings = applicationSettings.parse({})): App {
  return defineApp({
    tree: [
      { id: 'breakers', strategy: 'one_for_one', children: breakers(settings) },
      { id: 'agents', strategy: 'one_for_one', children: agents(settings) },
      { id: 'infra', strategy: 'one_for_one', children: containers(settings) },
    ],
  });
}

function breakers(settings: ApplicationSettings): Child[] {
  const used = new Set<string>(Object.values(settings.agents).map(({ provider }) => provider));
  return providerNames
    .filter((name) => name !== 'openai-compatible' || used.has(name) || settings.providers[name].baseUrl !== undefined)
    .map((name) => {
      const input: BreakerInput = { name, ...settings.providers[name].breaker };
      return { id: name, actor: breaker, input };
    });
}

function agents(settings: ApplicationSettings): Child[] {
  const { allowHostExecution, workingDir, maxConcurrent } = settings.codex;
  const codexInput: AgentInput = {
    allowHostExecution,
    maxConcurrent,
    ...(workingDir === undefined ? {} : { workingDir }),
  };
  return [
    { id: 'claude', actor: claude, input: agentInput(settings, settings.agents.claude) },
    { id: 'gemini', actor: gemini, input: agentInput(settings, settings.agents.gemini) },
    { id: 'codex', actor: codex, input: codexInput },
  ];
}

function agentInput(
  settings: ApplicationSettings,
  { provider, maxConcurrent }: { readonly provider: ProviderName | 'rule-based'; readonly maxConcurrent: number },
): AgentInput {
  if (provider === 'rule-based') return { maxConcurrent };
  const { breaker: _, ...section } = settings.providers[provider];
  return { maxConcurrent, provider: { name: provider, ...section }, breaker: `/breakers/${provider}` };
}

function containers({ infra }: ApplicationSettings): Child[] {
  const all = mergedServices(infra.services);
  for (const name of infra.autostart)
    if (!(name in all))
      fault(`[infra] autostart: there is no service "${name}"; there are ${Object.keys(all).join(', ')}`);
  return inDependencyOrder(all).map((name) => {
    const { dependsOn = [], ...spec } = all[name] as ServiceSettings;
    const input: ContainerInput = {
      address: `/infra/${name}`,
      spec: {
        network: infra.network,
        ...spec,
        containerName: `${infra.containerPrefix}-${name}`,
        alias: name,
      },
      pull: infra.pull,
      autostart: infra.autostart.includes(name),
      dependsOn: dependsOn.map((needed) => `/infra/${needed}`),
      ...(infra.dockerHost === undefined ? {} : { dockerHost: infra.dockerHost }),
    };
    return { id: name, actor: container, input };
  });
}

function mergedServices(changes: ApplicationSettings['infra']['services']): Record<string, ServiceSettings> {
  const merged: Record<string, ServiceSettings> = { ...services };
  for (const [name, change] of Object.entries(changes)) {
    const image = change.image ?? services[name]?.image;
    if (image === undefined) fault(`[infra.services.${name}]: a service of one's own needs an image`);
    const environment = { ...services[name]?.environment, ...change.environment };
    merged[name] = { ...services[name], ...defined(change), image, environment };
  }
  return merged;
}

/** Each service after those it needs; otherwise in the order written. */
function inDependencyOrder(all: Readonly<Record<string, ServiceSettings>>): string[] {
  const ordered = new Set<string>();
  const visit = (name: string, path: readonly string[]): void => {
    if (ordered.has(name)) return;
    if (path.includes(name)) fault(`[infra.services]: ${[...path, name].join(' needs ')}: a circle`);
    const service = all[name];
    if (service === undefined) fault(`[infra.services.${path.at(-1)}]: there is no service "${name}" to depend on`);
    for (const needed of service.dependsOn ?? []) visit(needed, [...path, name]);
    ordered.add(name);
  };
  for (const name of Object.keys(all)) visit(name, []);
  return [...ordered];
}

function defined<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, part]) => part !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>;
  };
}

function fault(message: string): never {
  throw new TroupeError('INVALID_MESSAGE', message);
}

function settingsFrom(text: string | undefined): ApplicationSettings {
  try {
    return applicationSettings.parse(JSON.parse(text ?? '{}'));
  } catch (error) {
    throw new TroupeError('INVALID_MESSAGE', `TROUPE_APPLICATION_SETTINGS: ${textOf(error)}`);
  }
}

export default createApplication(settingsFrom(process.env.TROUPE_APPLICATION_SETTINGS));
