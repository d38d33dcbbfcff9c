import type { HostPlaces } from './activation/places.ts';
import type { Hosts } from './host/hosts.ts';

/** The host threads as places for actors: the running one with the fewest is next. */
export function placesOn(hosts: Hosts): HostPlaces {
  return {
    choose: (load) =>
      hosts
        .list()
        .filter((slot) => slot.status === 'running' && !slot.quarantine)
        .sort((left, right) => load(left.slot) - load(right.slot))[0]?.slot,
    post: (slot, message) => hosts.post(slot, message),
    extra: hosts,
  };
}
