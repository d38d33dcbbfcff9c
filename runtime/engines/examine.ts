/** One diagnosis of every engine: `doctor` asks before a start, a running node for `/readyz` and `status`. */

import { type Clock, systemClock } from '../clock.ts';
import { textOf } from '../errors.ts';
import { type Examination, type Finding, fails, warns } from './finding.ts';

/** What is found of the engine that a URL names; never rejects, and changes nothing. */
export async function examineEngine(url: string, asked: Examination, clock: Clock = systemClock): Promise<Finding[]> {
  try {
    if (url === 'memory' || url === 'memory:')
      return [
        warns(
          'engine',
          'memory: nothing survives the end of the process',
          'use --engine embedded, redis://… or postgres://…',
        ),
      ];
    if (url === 'embedded') {
      const { examineEmbedded } = await import('./postgres/embedded-diagnosis.ts');
      return await examineEmbedded(asked, clock);
    }
    if (url.startsWith('redis')) {
      const { examineRedis } = await import('./redis/diagnosis.ts');
      return await examineRedis(url, asked, clock);
    }
    const { examinePostgres } = await import('./postgres/diagnosis.ts');
    return await examinePostgres(url, asked, clock);
  } catch (error) {
    return [fails('engine', textOf(error), 'correct its URL, or choose another with --engine')];
  }
}
