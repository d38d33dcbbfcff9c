import { z } from 'zod';

export const containerStates = [
  'looking',
  'stopped',
  'starting',
  'running',
  'unhealthy',
  'restarting',
  'failed',
  'unavailable',
  'stopping',
  'removing',
] as const;

export type ContainerState = (typeof containerStates)[number];

const port = z.int().min(1).max(65_535);

/** How one knows that what runs in the container works; without it, Docker's own check where the image has one. */
const health = z.discriminatedUnion('check', [
  /** A GET that must answer 2xx or 3xx. */
  z.strictObject({ check: z.literal('http'), url: z.url({ protocol: /^https?$/ }) }),
  /** A connection; with `send`, the answer must begin with `expect`. */
  z.strictObject({
    check: z.literal('tcp'),
    port,
    send: z.string().max(1_024).optional(),
    expect: z.string().max(1_024).optional(),
  }),
  /** A program inside the container that must end with 0. */
  z.strictObject({ check: z.literal('command'), command: z.array(z.string()).min(1).max(64) }),
]);

export const containerSpec = z.strictObject({
  /** Name of the container on the Docker host. */
  containerName: z.string().regex(/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$/),
  image: z.string().min(1).max(512),
  /** In place of the image's own command. */
  command: z.array(z.string()).max(256).optional(),
  environment: z.record(z.string(), z.string()).optional(),
  /** Published on 127.0.0.1 of the Docker host. */
  ports: z
    .array(z.strictObject({ host: port, container: port }))
    .max(64)
    .optional(),
  /** A network to join, made when it is missing; `none`, `host` and `bridge` are Docker's own. */
  network: z.string().min(1).max(128).optional(),
  /** Name under which the others of the network find it. */
  alias: z.string().min(1).max(64).optional(),
  health: health.optional(),
  /** Time between two looks while it runs, in milliseconds; default 5,000. An exit is noticed at once. */
  healthIntervalMs: z.int().min(100).optional(),
  /** Time for one start, health included, in milliseconds; default 60,000. */
  startTimeoutMs: z.int().min(100).optional(),
  /** Time to end by itself after SIGTERM, in milliseconds; default 10,000. */
  stopTimeoutMs: z.int().min(0).optional(),
});

export type ContainerSpec = z.infer<typeof containerSpec>;

export const containerInput = z.strictObject({
  /** The actor's own address; the container carries it as the label `troupe.address`. */
  address: z.string(),
  spec: containerSpec,
  /** `unix://PATH` or `tcp://HOST:PORT`; default `DOCKER_HOST`, else Docker's usual socket. */
  dockerHost: z.string().optional(),
  /** Addresses of the containers that are started before this one. */
  dependsOn: z.array(z.string()).optional(),
  /** Whether `start` may pull a missing image; default false. */
  pull: z.boolean().optional(),
  /** Whether it is started with its actor; default false. */
  autostart: z.boolean().optional(),
  /** Restarts in a row, without a stable time between them, before it counts as failed; default 5. */
  maxRestarts: z.int().min(0).optional(),
  /** First delay before a restart, in milliseconds, doubling up to 30,000; default 500. */
  backoffFirstMs: z.int().min(1).optional(),
});

export type ContainerInput = z.infer<typeof containerInput>;

const status = z.object({
  address: z.string(),
  state: z.enum(containerStates),
  /** Why it is in this state, where there is something to say. */
  reason: z.string().nullable(),
  image: z.string(),
  containerName: z.string(),
  containerId: z.string().nullable(),
  startedAt: z.string().nullable(),
  /** Restarts since the actor began. */
  restarts: z.int(),
  ports: z.array(z.object({ host: port, container: port })),
});

export type ContainerStatus = z.infer<typeof status>;

const nothing = z.strictObject({});

export const containerMessages = {
  /** Brings it up with what it depends on; answers when it runs and is healthy. */
  start: { payload: nothing, reply: status },
  /** Ends it; answers when it has ended. */
  stop: { payload: nothing, reply: status },
  restart: { payload: nothing, reply: status },
  /** Ends it and removes it from the Docker host; volumes that have a name stay. */
  remove: { payload: nothing, reply: status },
  status: { payload: nothing, reply: status },
  /** The last lines that it wrote. */
  logs: {
    payload: z.strictObject({ tail: z.int().min(1).max(10_000).default(100) }),
    reply: z.object({ lines: z.array(z.object({ stream: z.enum(['stdout', 'stderr']), text: z.string() })) }),
  },
};
