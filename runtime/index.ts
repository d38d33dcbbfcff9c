/** The public door: what application modules and embedders import from `troupe`. */
export { type Address, parseAddress } from './address.ts';
export { type Clock, systemClock } from './clock.ts';
export type { TerminatedEvent } from './death-watch.ts';
export {
  type ActorDefinition,
  type ContextOf,
  defineActor,
  type EventsOf,
  type InvocationOptions,
  type MessageSpecs,
  type MigratedSnapshot,
  type StoredSnapshot,
} from './define-actor.ts';
export {
  type ActorChild,
  type App,
  type AutoShutdown,
  type Child,
  type DynamicSupervisorChild,
  defineApp,
  type RestartIntensity,
  type RestartType,
  type SupervisorChild,
} from './define-app.ts';
export { type DeliveryFailed, deliveryFailed } from './delivery-failed.ts';
export {
  type AskInput,
  ask,
  askOf,
  type Effect,
  effect,
  type InvocationInfo,
  invocation,
  offload,
  offloadOf,
  perform,
  type Schedule,
} from './effects.ts';
export type { Delivery, Json, MessageInfo } from './envelope.ts';
export { type ErrorData, type ErrorReason, errorTable, type Outcome, TroupeError } from './errors.ts';
export type { AskOptions, Messaging, OutgoingMessage } from './messaging.ts';
export type { OffloadInput, ResultOf, TaskContext, TaskFunction, TaskModule, Tasks } from './offload/task.ts';
export { type ActorRef, type PayloadOf, type ReplyOf, ref, type TypeOf } from './ref.ts';
export { type TypedMessaging, typed } from './typed-messaging.ts';
