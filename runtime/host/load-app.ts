import type { App } from '../define-app.ts';

/** Imports an app module. @throws Error when its default export is no app */
export async function loadApp(url: string): Promise<App> {
  const module = (await import(url)) as { readonly default?: unknown };
  const app = module.default as Partial<App> | undefined;
  if (app === undefined || !Array.isArray(app.definitions) || !Array.isArray(app.tree))
    throw new Error(`${url} has no app: write "export default defineApp({ definitions, tree })" there`);
  return app as App;
}
