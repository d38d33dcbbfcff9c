import type { Directory } from './activation/directory.ts';
import type { Address } from './address.ts';
import { TroupeError } from './errors.ts';
import type { Hosts } from './host/hosts.ts';
import type { FaultControl } from './messaging.ts';

/** The fault door; whoever opens it decides who may come in. */
export function createFaultDoor(directory: Directory, hosts: Hosts): FaultControl {
  const inject = (address: string, fault: 'crash' | 'hang'): void => {
    const activation = directory.get(address as Address);
    if (activation === undefined) throw new TroupeError('NOT_FOUND', `no actor is awake at ${address}`);
    hosts.post(activation.slot, { to: 'fault', activation: activation.number, fault });
  };
  return {
    crashActor: async (address) => inject(address, 'crash'),
    hangActor: async (address) => inject(address, 'hang'),
    killThread: (slot) => hosts.kill(slot),
  };
}
