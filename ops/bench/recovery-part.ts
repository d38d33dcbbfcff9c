/** Entry of the process in which `recovery.ts` measures. */

import { answerAsPart } from './part.ts';
import { measureRecovery } from './recovery.ts';

answerAsPart(measureRecovery);
