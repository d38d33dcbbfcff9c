import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectFolder } from './config/read.ts';

/** The version in package.json. */
export function version(): string {
  return (JSON.parse(readFileSync(join(projectFolder(), 'package.json'), 'utf8')) as { version: string }).version;
}
