import { z } from 'zod';
import { containerSpec } from './messages.ts';

/** A service as the tree of the default application manages it. */
export const serviceSettings = containerSpec.omit({ containerName: true, alias: true }).extend({
  /** Names of the services that are started before it. */
  dependsOn: z.array(z.string()).max(32).optional(),
});

export type ServiceSettings = z.infer<typeof serviceSettings>;

/** The services of the default application, in dependency order. */
export const services: Readonly<Record<string, ServiceSettings>> = {
  redis: {
    image: 'redis:7-alpine',
    ports: [{ host: 6379, container: 6379 }],
    health: { check: 'tcp', port: 6379, send: 'PING\r\n', expect: '+PONG' },
  },
  reddb: {
    image: 'dspy-lightweight:latest',
    ports: [{ host: 8082, container: 8080 }],
    environment: {
      REDDB_DATA_DIR: '/data',
      REDDB_HOST: '0.0.0.0',
      REDDB_PORT: '8080',
      REDDB_NAMESPACE: 'dspy',
    },
    health: { check: 'http', url: 'http://127.0.0.1:8082/health' },
  },
  zookeeper: {
    image: 'confluentinc/cp-zookeeper:7.5.0',
    ports: [{ host: 2181, container: 2181 }],
    environment: { ZOOKEEPER_CLIENT_PORT: '2181' },
    health: { check: 'tcp', port: 2181 },
  },
  kafka: {
    image: 'confluentinc/cp-kafka:7.5.0',
    // The listener for the host is on 29092; the one for the network, on 9092, is not published.
    ports: [{ host: 9092, container: 29092 }],
    environment: {
      KAFKA_BROKER_ID: '1',
      KAFKA_ZOOKEEPER_CONNECT: 'zookeeper:2181',
      KAFKA_LISTENERS: 'INSIDE://0.0.0.0:9092,HOST://0.0.0.0:29092',
      KAFKA_ADVERTISED_LISTENERS: 'INSIDE://kafka:9092,HOST://127.0.0.1:9092',
      KAFKA_LISTENER_SECURITY_PROTOCOL_MAP: 'INSIDE:PLAINTEXT,HOST:PLAINTEXT',
      KAFKA_INTER_BROKER_LISTENER_NAME: 'INSIDE',
      KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR: '1',
    },
    health: { check: 'tcp', port: 9092 },
    dependsOn: ['zookeeper'],
  },
  ollama: {
    image: 'ollama/ollama:latest',
    ports: [{ host: 11435, container: 11434 }],
    health: { check: 'http', url: 'http://127.0.0.1:11435/api/tags' },
  },
  prometheus: {
    image: 'prom/prometheus:latest',
    ports: [{ host: 9090, container: 9090 }],
    health: { check: 'http', url: 'http://127.0.0.1:9090/-/healthy' },
  },
  'infermesh-node-a': {
    image: 'official-infermesh:latest',
    environment: { MESH_NODE_ID: 'node-a', MESH_PORT: '9000', REDIS_URL: 'redis://redis:6379' },
    dependsOn: ['redis'],
  },
  'infermesh-node-b': {
    image: 'official-infermesh:latest',
    environment: { MESH_NODE_ID: 'node-b', MESH_PORT: '9000', REDIS_URL: 'redis://redis:6379' },
    dependsOn: ['redis'],
  },
  'infermesh-router': {
    image: 'official-infermesh:latest',
    ports: [{ host: 19000, container: 9000 }],
    environment: {
      MESH_ROLE: 'router',
      MESH_PORT: '9000',
      MESH_NODES: 'infermesh-node-a:9000,infermesh-node-b:9000',
      REDIS_URL: 'redis://redis:6379',
    },
    health: { check: 'http', url: 'http://127.0.0.1:19000/health' },
    dependsOn: ['infermesh-node-a', 'infermesh-node-b'],
  },
};
