/**
 * What an agent does with one request to a language model: permit, call, report, answer.
 *
 * 1. A caller always gets an answer: where the provider cannot be asked or fails, fixed rules answer, and the answer
 *    says so and why.
 * 2. Each call holds a permit of its provider's breaker, and each permit is reported, also when the caller leaves.
 * 3. A call that was cut short by the caller's own deadline says nothing about the provider, and is not counted.
 * 4. The key stays in the environment of the thread; it enters no input, context, answer or log.
 */

import { fromPromise } from 'xstate';
import { type Clock, systemClock } from '../../runtime/clock.ts';
import { type ChunkEffect, effect } from '../../runtime/effects.ts';
import { type ErrorReason, textOf } from '../../runtime/errors.ts';
import { type HostPort, hostPort } from '../../runtime/host/port.ts';
import { DeadlineReached, withDeadline } from '../deadline.ts';
import type { Origin, Request, Step } from './messages.ts';
import { callFailure, complete } from './providers/provider.ts';
import { ruleBasedBody } from './providers/rule-based.ts';
import { apiKeyVariable, type Connection, connectionOf, type ProviderSettings } from './providers/settings.ts';
import { type Body, bodyOf, finishedSteps, questionOf } from './questions.ts';

export interface RequestInput {
  readonly messageId: string;
  readonly request: Request;
  /** Caller's deadline, milliseconds since the epoch. */
  readonly deadlineMs?: number;
  /** Whether the provider is asked to stream, so that chunks leave before the answer is complete. */
  readonly stream: boolean;
  readonly provider?: ProviderSettings;
  /** Address of the provider's breaker; without it calls are not guarded. */
  readonly breaker?: string;
}

/** How a request ended, for the machine to pass on. */
export type RequestResult =
  | { readonly result: 'reply'; readonly value: unknown }
  | { readonly result: 'fail'; readonly reason: ErrorReason; readonly text: string };

/** What the handling of a request stands on. */
export interface RequestWorld {
  readonly clock: Clock;
  readonly env: NodeJS.ProcessEnv;
  readonly port: () => HostPort;
}

const world: RequestWorld = { clock: systemClock, env: process.env, port: hostPort };

const defaultTimeoutMs = 60_000;
const breakerTimeoutMs = 5_000;
/** Part of the caller's time that is kept for the rule-based answer when the provider uses up the rest. */
const reserveMs = 500;

/** The promise actor that answers one request. */
export function requestHandler({ clock, env, port }: RequestWorld = world) {
  return fromPromise<RequestResult, RequestInput, ChunkEffect>(async ({ input, signal, emit }) => {
    const steps = new StepChunks((value) => emit(effect.chunk(value, input.messageId)));
    const asked = await askProvider(input, signal, steps);
    if ('body' in asked) return reply(asked.body, asked.origin, steps);
    signal.throwIfAborted();
    const origin = { provider: 'rule-based', degraded: true, degradedReason: asked.degradedReason };
    return reply(ruleBasedBody(input.request, clock), origin, steps);
  });

  async function askProvider(
    input: RequestInput,
    signal: AbortSignal,
    steps: StepChunks,
  ): Promise<{ body: Body; origin: Origin } | { degradedReason: string }> {
    const { provider } = input;
    if (provider === undefined)
      return {
        degradedReason: 'this agent is configured to answer by rules; name a provider in [agents] to change that',
      };
    const connection = connectionOf(provider, env);
    if (typeof connection === 'string') return { degradedReason: `${provider.name}: ${connection}` };
    const leftMs = input.deadlineMs === undefined ? Number.POSITIVE_INFINITY : input.deadlineMs - clock.now();
    const ownMs = provider.timeoutMs ?? defaultTimeoutMs;
    const withinMs = Math.min(ownMs, leftMs - Math.min(reserveMs, leftMs / 2));
    if (withinMs < 1) return { degradedReason: `${provider.name}: the caller's deadline left no time to ask` };

    const permit = await acquire(input.breaker, signal);
    if ('refused' in permit) return { degradedReason: `${provider.name}: ${permit.refused}` };
    try {
      const body = await withDeadline(clock, withinMs, signal, (inner) =>
        call(input, provider, connection, inner, steps),
      );
      await report(input.breaker, permit.permit, 'ok');
      return { body, origin: { provider: provider.name, model: connection.model, degraded: false } };
    } catch (error) {
      if (signal.aborted || (error instanceof DeadlineReached && withinMs < ownMs)) {
        await report(input.breaker, permit.permit, 'ignored');
        if (signal.aborted) throw error;
        return { degradedReason: `${provider.name}: the caller's deadline left only ${Math.round(withinMs)} ms` };
      }
      const failure =
        error instanceof DeadlineReached
          ? { code: 'DEADLINE_EXCEEDED', text: `no answer within ${ownMs} ms` }
          : callFailure(error);
      await report(input.breaker, permit.permit, 'failed', failure.code);
      return { degradedReason: masked(`${provider.name}: ${failure.text}`, provider) };
    }
  }

  async function call(
    input: RequestInput,
    provider: ProviderSettings,
    connection: Connection,
    signal: AbortSignal,
    steps: StepChunks,
  ): Promise<Body> {
    const answer = await complete({
      provider: provider.name,
      connection,
      question: questionOf(input.request),
      signal,
      ...(input.stream && input.request.type === 'plan'
        ? { onPartial: (partial: unknown) => steps.emitNew(finishedSteps(partial), false) }
        : {}),
    });
    return bodyOf(input.request, answer, clock);
  }

  async function acquire(
    breaker: string | undefined,
    signal: AbortSignal,
  ): Promise<{ permit: string } | { refused: string }> {
    if (breaker === undefined) return { permit: '' };
    try {
      const { permit } = (await port().ask(breaker, 'acquire', {}, { timeoutMs: breakerTimeoutMs, signal })) as {
        permit: string;
      };
      return { permit };
    } catch (error) {
      signal.throwIfAborted();
      return { refused: textOf(error) };
    }
  }

  async function report(
    breaker: string | undefined,
    permit: string,
    outcome: 'ok' | 'failed' | 'ignored',
    code?: string,
  ): Promise<void> {
    if (breaker === undefined) return;
    try {
      // Asked, not told: the next request of this caller must already meet the breaker's new state.
      await port().ask(
        breaker,
        'report',
        { permit, outcome, ...(code === undefined ? {} : { code }) },
        { timeoutMs: breakerTimeoutMs },
      );
    } catch {
      // A breaker that restarts meanwhile has forgotten the permit; the answer must not fail for it.
    }
  }

  function masked(text: string, provider: ProviderSettings): string {
    const key = env[apiKeyVariable(provider)];
    return key === undefined || key === '' ? text : text.replaceAll(key, '***');
  }
}

function reply(body: Body, origin: Origin, steps: StepChunks): RequestResult {
  if ('steps' in body) steps.emitNew(body.steps, origin.degraded);
  return { result: 'reply', value: { ...body, ...origin } };
}

/** Sends each step of a plan once, in order. */
class StepChunks {
  readonly #send: (chunk: { step: Step; degraded: boolean }) => void;
  #sent = 0;
  #degraded = false;

  constructor(send: (chunk: { step: Step; degraded: boolean }) => void) {
    this.#send = send;
  }

  /** Sends the steps that were not sent yet; when rules take over from a provider that failed midway, all of theirs. */
  emitNew(steps: readonly Step[], degraded: boolean): void {
    if (degraded !== this.#degraded) this.#sent = 0;
    this.#degraded = degraded;
    for (const step of steps.slice(this.#sent)) this.#send({ step, degraded });
    this.#sent = Math.max(this.#sent, steps.length);
  }
}
