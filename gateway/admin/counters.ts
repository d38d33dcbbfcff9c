/**
 * The runtime's running totals and what each counts. They are shown from the first scrape on, at zero: a rate over a
 * counter that appears with its first event would miss that event. Others that the runtime may count are shown too.
 */
export const countedHelp: Readonly<Record<string, string>> = {
  answers_unclaimed_total: 'Answers that nobody waited for any more',
  dead_letters_total: 'Messages that ended unhandled',
  dead_letters_replayed_total: 'Dead letters that were sent once more',
  dead_letters_discarded_total: 'Dead letters that were removed by hand',
  delivery_failed_total: 'Messages of actors that could not be delivered',
  effects_refused_total: 'Effects of turns that could not be carried out',
  idempotent_repeats_total: 'Messages that repeated another under its idempotency key',
  lost_gaps_total: 'Messages that the engine has lost',
  parked_total: 'Messages that were moved from the queue of their shard to the store of their actor',
  invocation_reruns_total: 'Invocations that ran again in the next life of their actor',
  invocations_interrupted_total: 'Invocations that the next life of their actor was told were interrupted',
  passivations_total: 'Idle actors that were put to sleep',
  redeliveries_total: 'Messages that were attempted once more',
  redeliveries_recognised_total: 'Messages that the queue delivered again and that were taken already',
};
