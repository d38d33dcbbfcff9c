import { existsSync } from 'node:fs';
import { extname } from 'node:path';
import { pathToFileURL } from 'node:url';
import { createApplication } from '../actors/application.ts';
import type { ApplicationSettings } from '../actors/settings.ts';
import type { App } from '../runtime/define-app.ts';
import { textOf } from '../runtime/errors.ts';
import { CommandFailed } from './cli/failure.ts';
import { exitCodes } from './exit-codes.ts';

export interface LoadedApp {
  readonly app: App;
  /** What each host thread imports. */
  readonly url: string;
}

/** The application at a path, or the one that comes with Troupe, with its settings. */
export async function loadApp(path: string | undefined, settings: ApplicationSettings): Promise<LoadedApp> {
  if (path === undefined) {
    // Compiled, this file and the application end in .js.
    const url = new URL(`../actors/application${extname(import.meta.filename)}`, import.meta.url).href;
    return { app: createApplication(settings), url };
  }
  if (!existsSync(path))
    throw new CommandFailed(
      exitCodes.notFound,
      `--app: there is no file ${path}`,
      'name a module that exports defineApp(…)',
    );
  const url = pathToFileURL(path).href;
  let app: unknown;
  try {
    ({ default: app } = (await import(url)) as { default?: unknown });
  } catch (error) {
    throw new CommandFailed(
      exitCodes.failed,
      `--app: ${path} cannot be loaded: ${textOf(error)}`,
      'run it with node to see where',
    );
  }
  if (!isApp(app))
    throw new CommandFailed(
      exitCodes.usage,
      `--app: the default export of ${path} is no application`,
      'write: export default defineApp({ tree: [ … ] })',
    );
  return { app, url };
}

function isApp(value: unknown): value is App {
  const { definitions, tree } = (value ?? {}) as Partial<App>;
  return Array.isArray(definitions) && Array.isArray(tree);
}
