/** The gateway's door: three edges, one dispatch, a client. */

export type { EdgeAddress } from './access.ts';
export { type AdminServerOptions, startAdminServer } from './admin/server.ts';
export type {
  AdminSources,
  ConfigEntry,
  Overview,
  Readiness,
  ReadinessCheck,
  TreeSource,
} from './admin/sources.ts';
export type { SubtreeAction } from './admin/tree-operations.ts';
export { type TreeView, viewTree } from './admin/tree-view.ts';
export type { RawMessage } from './admission.ts';
export {
  type ChannelClient,
  type Client,
  type ClientAskOptions,
  type ClientMessage,
  type ClientOptions,
  type ClientTask,
  type ClientTell,
  connect,
} from './client.ts';
export { createDispatch, type Dispatch, type DispatchOptions, type Sender } from './dispatch.ts';
export type { Edge } from './edge.ts';
export { type GrpcServerOptions, startGrpcServer } from './grpc/server.ts';
export { parseDuration } from './http/duration.ts';
export { fromProblem, type Problem } from './http/problem.ts';
export { type HttpServerOptions, startHttpServer } from './http/server.ts';
