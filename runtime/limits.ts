/**
 * Every bound of the system, once, with its unit in its name. The relations between them are asserted at load, so
 * that a careless change fails at start and not in production.
 */

import assert from 'node:assert/strict';

const KIB = 1024;
const MIB = 1024 * KIB;

export const limits = {
  /** Longest address, in bytes (every legal character is one byte). */
  addressBytes: 512,
  /** Deepest address, in segments. */
  addressDepth: 16,
  /** Longest segment of an address, in characters. */
  addressSegmentCharacters: 64,
  /** Longest message type, in characters. */
  messageTypeCharacters: 128,
  /** Largest payload of one message, as JSON bytes. */
  payloadBytes: 1 * MIB,
  /** Largest frame the transports accept; above `payloadBytes` so that our error answers, not the transport's. */
  transportBytes: 16 * MIB,
  /** Deepest nesting of a payload. */
  payloadDepth: 64,
  /** Headers of one message: how many, and how long key and value together may be. */
  headers: 32,
  headerBytes: 2 * KIB,
  /** Most envelopes in one BullMQ job. */
  batchEnvelopes: 256,
  /** Most JSON bytes in one BullMQ job; a single larger envelope still goes alone. */
  batchBytes: 1 * MIB,
  /** Mailbox capacities of one actor, in messages. */
  ephemeralMailboxMessages: 1_000,
  durableMailboxMessages: 10_000,
  /** Ephemeral messages of all actors of one shard that wait in one process. */
  shardEphemeralMessages: 32_768,
  /** Those that actors of one host thread have sent each other, and that wait there. */
  threadEphemeralMessages: 131_072,
  /** Envelopes a shard's owner holds in memory, fetched and not yet committed. */
  shardInHandEnvelopes: 4_096,
  /** Durable messages of all actors of one shard that are parked in the store. */
  shardParkedEnvelopes: 250_000,
  /** Idempotency keys and results of tasks that one shard keeps. */
  shardKeptRows: 1_000_000,
  /** Of these, how many whose time is over are removed in one round of housekeeping, which comes with each renewal. */
  expiredPerRound: 1_024,
  /** Durable messages of one actor that wait in memory before the rest is parked in the store. */
  actorWaitingEnvelopes: 512,
  /** What actors send may exceed a durable mailbox, and the rows of a shard, so many times; then it is a dead letter. */
  actorSentReserve: 2,
  /** Parked envelopes of one actor that are read, and kept in memory, at once. */
  parkedPageEnvelopes: 256,
  /** Messages of one shard whose time has not come. */
  delayedPerShard: 100_000,
  /** Longest delay of a message, in milliseconds. */
  delayMaxMs: 365 * 24 * 60 * 60 * 1_000,
  /** Turns of one activation that may be with its thread before the first of them is committed. */
  activationInFlightTurns: 256,
  /** Turns posted to a thread at once, which it commits as one unit. */
  turnsPerPost: 64,
  /** What one turn may say: effects, timers set and children begun, and their JSON bytes together. */
  turnEffects: 4_096,
  turnBytes: 4 * MIB,
  /** Largest stored state of one actor, its timers included, as JSON bytes. */
  actorBytes: 4 * MIB,
  /** Operations and characters that units share in one write to the store; a single larger unit goes alone. */
  commitOperations: 2_048,
  commitCharacters: 8 * MIB,
  /**
   * What each engine writes well within its time-out of 5 s, in bytes. Measured on 2 cores: PostgreSQL takes 32 MiB in
   * 2 to 3 s and 64 MiB not always, Redis 256 MiB in 3.5 s.
   */
  storeWriteBytes: 32 * MIB,
  /** Chunks of one stream that may wait for a slow reader. */
  streamBufferedChunks: 1_024,
  /** Calls that one gRPC connection may have open. */
  connectionCalls: 2_048,
  /** Open tells, and open asks, of one channel; frames of one of its requests; frames and bytes of one of its answers. */
  channelOpenFrames: 8_192,
  channelRequestFrames: 1_024,
  channelAnswerFrames: 256,
  channelAnswerBytes: 256 * KIB,
  /** Items in one page of a list. */
  pageItems: 500,
  /** Open asks of one process. */
  openAsks: 100_000,
  /** Longest ask, in milliseconds. */
  askTimeoutMaxMs: 24 * 60 * 60 * 1_000,
  /** Longest wait of one HTTP request for the end of a task, in milliseconds. */
  taskWaitMaxMs: 60_000,
  /** Stored dead letters of one shard; the oldest go first. */
  deadLettersPerShard: 10_000,
  /** Dead letters that one replay or discard may change. */
  deadLettersPerAction: 1_000,
  /** Threads for actors whose messages are suspected of ending theirs, or did, each with one actor. */
  quarantineThreads: 4,
  /** Offloaded tasks that may wait for a thread. */
  offloadWaitingTasks: 1_000,
  /** Longest offloaded task, in milliseconds, waiting included. */
  offloadTimeoutMaxMs: 60 * 60 * 1_000,
  /** Microsteps of one transition before the machine counts as looping. */
  machineMicrosteps: 10_000,
  /** Longest idempotency key, and tenant, in characters. */
  idempotencyKeyCharacters: 255,
  tenantCharacters: 64,
  /** Idempotency keys of a shard that are known without asking the store. */
  rememberedKeys: 10_000,
  /** Callers that may wait in one process for one kept result. */
  resultWatchers: 1_000,
  /** A result that never came is forgotten after so long, in milliseconds. */
  resultAwaitedMs: 30 * 24 * 60 * 60 * 1_000,
  /** Living children of one dynamic supervisor, or of one actor that spawns. */
  dynamicChildren: 100_000,
  /** Starts under way at once: of the children of one supervisor, and of all actors of the node. */
  supervisorStarts: 64,
  nodeStarts: 256,
  /** Exits, and restarts that have become due, that the supervisors take in one round of the event loop. */
  exitsPerRound: 64,
  /** Subtrees that are stopped or paused by order at once. */
  heldSubtrees: 10_000,
  /** Lives that one actor may watch at once, and children that the record of a persistent actor may hold. */
  tiesPerActor: 1_000,
  /** Timers that one actor may have set at once, and the longest id of one that it schedules, in characters. */
  actorTimers: 1_000,
  timerIdCharacters: 128,
  /** Invocations of one actor that may run at once, whatever its definition says. */
  actorInvocations: 10_000,
  /** Invocations of one actor that may wait for others to end; while so many do, the actor takes no messages. */
  waitingInvocations: 1_000,
  /** Messages that one actor may have set aside at once. */
  stashedMessages: 1_000,
  /** Longest reason that an operator gives, in characters. */
  reasonCharacters: 200,
  /** Longest error text that is kept or sent, in characters. */
  errorTextCharacters: 2_000,
} as const;

export const defaults = {
  /** Ask timeout. */
  askTimeoutMs: 30_000,
  /** Grace period at SIGTERM. */
  drainGraceMs: 20_000,
  /** Restart intensity: at most `max` restarts within `withinMs`. */
  restartMax: 5,
  restartWithinMs: 60_000,
  /** Restart backoff: first delay, doubling up to the cap, full jitter. */
  backoffFirstMs: 100,
  backoffMaxMs: 30_000,
  /** Results of tasks, from their completion, and idempotency keys, from their first use. */
  resultKeptMs: 24 * 60 * 60 * 1_000,
  /** Idle time after which a persistent actor is put to sleep. */
  passivateAfterMs: 300_000,
  /** Invocations of one actor that run at once. */
  concurrency: 1_000,
  /** Attempts at one message before it becomes a dead letter. The second follows at once. */
  messageAttempts: 5,
  /** Wait before the third attempt, doubling with each further one up to the cap; up to twice as long by chance. */
  retryFirstMs: 100,
  retryMaxMs: 30_000,
  /** A durable message that waits longer in memory is parked, so that its job can be acknowledged. */
  parkAfterMs: 5_000,
  /** Shard and node lease. */
  leaseMs: 10_000,
  /** How often a lease is renewed. */
  leaseRenewMs: 3_000,
  /** Slow poll of a shard's queue, which covers a lost wake-up. */
  fetchPollMs: 2_000,
  /** Shards of a namespace, fixed at its creation. */
  shards: 16,
  /** A host whose event loop answers no ping for this long is killed. */
  watchdogMs: 5_000,
  /** A life that hangs of itself so soon after another one did is parked. */
  hangMemoryMs: 10 * 60_000,
  /** An actor whom senders had end threads lives on quarantine threads for so long after the last of them. */
  distrustMs: 10 * 60_000,
  /** So long a suspect that runs may keep its thread while others wait for one. */
  quarantineMs: 30_000,
  /** How long a host that hangs may take to be interrupted and asked what it runs. */
  stuckCodeMs: 1_500,
  /** A host whose heap is filled to this share of its limit is named in the log, garbage included. */
  heapHighShare: 0.8,
  /** Until when an offloaded task must be done, waiting included. */
  offloadTimeoutMs: 60_000,
  /** How long a thread for offloaded tasks is kept without one. */
  offloadIdleMs: 30_000,
  /** How long a child may take to stop before it is dropped. */
  shutdownMs: 5_000,
} as const;

assert(limits.payloadBytes < limits.transportBytes, 'a payload must fit the transport');
assert(
  limits.parkedPageEnvelopes <= limits.actorWaitingEnvelopes,
  'a page of parked mail must fit the memory of its actor',
);
assert(
  limits.ephemeralMailboxMessages <= limits.shardEphemeralMessages &&
    limits.shardEphemeralMessages <= limits.threadEphemeralMessages,
  'a mailbox must fit its shard, and that its thread',
);
assert(limits.durableMailboxMessages <= limits.shardParkedEnvelopes, 'a mailbox must fit the store of its shard');
assert(limits.batchEnvelopes <= limits.shardInHandEnvelopes, 'a batch must fit the hands of its shard');
assert(
  limits.batchBytes + limits.turnBytes + limits.actorBytes + 2 * limits.payloadBytes <= limits.storeWriteBytes,
  'turns that leave their thread together, with state, children and a refused message, must fit one write to the store',
);
assert(limits.commitCharacters <= limits.storeWriteBytes, 'what shares a write must fit it');
assert(limits.payloadBytes <= limits.turnBytes, 'a turn must be able to send a payload');
assert(limits.supervisorStarts <= limits.nodeStarts, 'one supervisor may not start more than the node');
assert(defaults.concurrency <= limits.actorInvocations, 'the usual concurrency must be allowed');
assert(defaults.offloadTimeoutMs <= limits.offloadTimeoutMaxMs, 'the usual task must be allowed');
assert(defaults.leaseRenewMs * 2 < defaults.leaseMs, 'a lease must survive one lost renewal');
assert(defaults.backoffFirstMs <= defaults.backoffMaxMs, 'the first delay must not exceed the cap');
assert(defaults.backoffFirstMs <= 200, 'a first restart is prompt');
