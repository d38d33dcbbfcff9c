/** The gRPC edge: ActorService, TaskService, AdminService, health and reflection on one port. */

import { logVerbosity, Server, ServerCredentials, type ServerOptions, setLogVerbosity } from '@grpc/grpc-js';
import { HealthImplementation } from 'grpc-health-check';
import { ActorServiceService } from '../../proto/gen/troupe/v1/actor.ts';
import { AdminServiceService } from '../../proto/gen/troupe/v1/admin.ts';
import { TaskServiceService } from '../../proto/gen/troupe/v1/task.ts';
import { type Clock, systemClock } from '../../runtime/clock.ts';
import { limits } from '../../runtime/limits.ts';
import type { Log } from '../../runtime/log.ts';
import { type EdgeAddress, formatListen, listenError, listenOf, tokenCheck } from '../access.ts';
import { adminOperations } from '../admin/operations.ts';
import type { AdminSources } from '../admin/sources.ts';
import type { Dispatch } from '../dispatch.ts';
import type { Edge } from '../edge.ts';
import { actorService } from './actor-service.ts';
import { adminService } from './admin-service.ts';
import type { Channel } from './channel.ts';
import { Door } from './door.ts';
import { lenient } from './forms.ts';
import { addReflection } from './reflection.ts';
import { taskService } from './task-service.ts';

export interface GrpcServerOptions extends EdgeAddress {
  readonly dispatch: Dispatch;
  /** Without it there is no AdminService. */
  readonly admin?: AdminSources;
  readonly clock?: Clock;
  readonly log?: Log;
}

// What it would print reaches us as errors; standard error belongs to the node's own log.
setLogVerbosity(logVerbosity.NONE);

const actorServiceName = 'troupe.v1.ActorService';
const taskServiceName = 'troupe.v1.TaskService';
const adminServiceName = 'troupe.v1.AdminService';

/** Time that connections get to close after their last call was ended. */
const closingMs = 250;

const serverOptions: ServerOptions = {
  // Above our own bound, so that an oversized payload gets our error with its details.
  'grpc.max_receive_message_length': limits.transportBytes,
  'grpc.max_send_message_length': limits.transportBytes,
  'grpc.max_concurrent_streams': limits.connectionCalls,
  'grpc.keepalive_time_ms': 60_000,
  'grpc.keepalive_timeout_ms': 20_000,
  'grpc.enable_channelz': 0,
};

/**
 * Starts the gRPC edge.
 *
 * @throws TroupeError `PERMISSION_DENIED` off loopback without a token, `UNAVAILABLE` when the port is taken
 */
export async function startGrpcServer(options: GrpcServerOptions): Promise<Edge> {
  const listen = listenOf(options);
  const clock = options.clock ?? systemClock;
  const channels = new Set<Channel>();
  const door = new Door(options.token === undefined ? undefined : tokenCheck(options.token), clock);
  const server = new Server({ ...serverOptions, interceptors: [door.interceptor] });

  const { dispatch } = options;
  const closing = new AbortController();
  const services = [actorServiceName, taskServiceName];
  server.addService(lenient(ActorServiceService), actorService({ dispatch, clock, channels }));
  server.addService(lenient(TaskServiceService), taskService({ dispatch, clock, closing: closing.signal }));
  if (options.admin !== undefined) {
    services.push(adminServiceName);
    const operations = adminOperations(options.admin, options.log);
    server.addService(lenient(AdminServiceService), adminService(operations));
  }
  const health = new HealthImplementation();
  const setServing = (serving: boolean): void => {
    for (const name of ['', ...services]) health.setStatus(name, serving ? 'SERVING' : 'NOT_SERVING');
  };
  setServing(true);
  health.addToServer(server);
  addReflection(server, [...services, 'grpc.health.v1.Health']);

  const port = await new Promise<number>((resolve, reject) => {
    const address = formatListen(listen.host, listen.port);
    server.bindAsync(address, ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(listenError(options, error)),
    );
  });

  return {
    address: formatListen(listen.host, port),
    port,
    drain() {
      setServing(false);
    },
    async stop(graceMs) {
      setServing(false);
      for (const channel of channels) channel.finish();
      closing.abort();
      await new Promise<void>((resolve) => {
        door.endForeign();
        let cancel = clock.after(
          graceMs,
          () => {
            door.endAll();
            // A connection that never spoke HTTP/2 would hold the port for as long as it likes.
            cancel = clock.after(closingMs, resolve, { keepAlive: true });
          },
          { keepAlive: true },
        );
        server.tryShutdown(() => {
          cancel();
          resolve();
        });
      });
    },
  };
}
