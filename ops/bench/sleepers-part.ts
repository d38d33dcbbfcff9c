/** Entry of the process in which `sleepers.ts` measures. */

import { answerAsPart } from './part.ts';
import { measureSleepers } from './sleepers.ts';

answerAsPart(measureSleepers);
