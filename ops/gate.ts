import { TroupeError } from '../runtime/errors.ts';
import type { SupervisionPort } from '../runtime/supervision.ts';

/**
 * A tree's port while the tree starts. Until it is open, an actor that does not run yet is neither absent nor between
 * two lives: whoever asks is told to ask again, so that mail which waited for the node is not judged by a tree that is
 * half there.
 */
export function gated(port: SupervisionPort): { readonly port: SupervisionPort; open(): void } {
  let isOpen = false;
  return {
    port: {
      ...port,
      async ensure(address) {
        if (isOpen) return await port.ensure(address);
        if ((await port.ensure(address).catch(() => 'absent')) === 'running') return 'running';
        throw new TroupeError('UNAVAILABLE', 'the node is starting', { retryAfterMs: 500 });
      },
    },
    open() {
      isOpen = true;
    },
  };
}
