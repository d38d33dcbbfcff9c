import { TroupeError } from '../../runtime/errors.ts';
import type { SubtreeActions, SubtreeOutcome } from '../../supervisors/index.ts';

const refuse = async (): Promise<never> => {
  throw new TroupeError('NOT_FOUND', 'nothing in the tree has this address');
};

export const refusingSubtrees: SubtreeActions = { stop: refuse, restart: refuse, pause: refuse, resume: refuse };

/** Notes what is asked, and says that it is done. */
export function fakeSubtrees(done: string[]): SubtreeActions {
  const act =
    (action: keyof SubtreeActions, status: SubtreeOutcome['status']) =>
    async (address: string, reason?: string): Promise<SubtreeOutcome> => {
      done.push([action, address, ...(reason === undefined ? [] : [reason])].join(' '));
      return { address, status, actors: 1 };
    };
  return {
    stop: act('stop', 'stopped'),
    restart: act('restart', 'running'),
    pause: act('pause', 'paused'),
    resume: act('resume', 'running'),
  };
}
