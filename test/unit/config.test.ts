import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { z } from 'zod';
import { describeConfig } from '../../ops/config/describe.ts';
import { ConfigError } from '../../ops/config/fault.ts';
import { nearest } from '../../ops/config/nearest.ts';
import { type ConfigSources, resolveConfig } from '../../ops/config/resolve.ts';
import { envOf, keyOf, type SettingName, settingNames, settings } from '../../ops/config/settings.ts';
import { formatDuration, parseDurationMs, parseListenAddress } from '../../ops/config/values.ts';

const sections = z.strictObject({
  codex: z.strictObject({ allowHostExecution: z.boolean().default(false) }).prefault({}),
  providers: z.record(z.string(), z.strictObject({ apiKey: z.string().optional() })).default({}),
  infra: z.strictObject({ autostart: z.array(z.string()).default([]) }).prefault({}),
});

const sources = (given: Partial<ConfigSources> & { toml?: string }): ConfigSources => ({
  flags: {},
  env: {},
  workingFolder: '/work folder',
  homeFolder: '/home folder',
  ...given,
  ...(given.toml === undefined ? {} : { file: { path: '/etc/troupe/troupe.toml', text: given.toml } }),
});

const faultsOf = (given: Parameters<typeof sources>[0]): string => {
  try {
    resolveConfig(sources(given), sections);
  } catch (error) {
    assert(error instanceof ConfigError);
    return error.message;
  }
  return '';
};

/** Two different legal spellings of each setting, as text and as the file has it. */
const samples: { readonly [Name in SettingName]: readonly [string, string, string] } = {
  dataDir: ['/a', '/b', '/c'],
  engine: ['memory', 'redis://h:1', 'postgres://h/d'],
  grpcAddr: ['127.0.0.1:1', '127.0.0.1:2', '127.0.0.1:3'],
  httpAddr: ['127.0.0.1:1', '127.0.0.1:2', '127.0.0.1:3'],
  adminAddr: ['127.0.0.1:1', '127.0.0.1:2', '127.0.0.1:3'],
  token: ['a'.repeat(16), 'b'.repeat(16), 'c'.repeat(16)],
  threads: ['3', '4', '5'],
  offloadThreads: ['3', '4', '5'],
  heapLimitMb: ['128', '256', '512'],
  app: ['/a.ts', '/b.ts', '/c.ts'],
  namespace: ['a', 'b', 'c'],
  shards: ['3', '4', '5'],
  logLevel: ['debug', 'warn', 'error'],
  acceptWeakDurability: ['true', 'false', 'true'],
  allowFaults: ['true', 'false', 'true'],
  drainGraceMs: ['1s', '2s', '3s'],
  watchdogMs: ['1s', '2s', '3s'],
  startTimeoutMs: ['1s', '2s', '3s'],
};

describe('configuration', () => {
  it('takes flags over variables over the file over defaults, for every setting and every mixture', () => {
    fc.assert(
      fc.property(fc.constantFrom(...settingNames), fc.subarray(['flag', 'env', 'file'] as const), (name, given) => {
        const [flag, env, file] = samples[name];
        const config = resolveConfig(
          sources({
            flags: given.includes('flag') ? { [name]: flag } : {},
            env: given.includes('env') ? { [envOf(name)]: env } : {},
            ...(given.includes('file') ? { toml: `${keyOf(name)} = "${file}"` } : {}),
          }),
        );
        const from = given.includes('flag')
          ? 'flag'
          : given.includes('env')
            ? 'env'
            : given.includes('file')
              ? 'file'
              : 'default';
        const written = { flag, env, file, default: settings[name].default }[from];
        const expected = settings[name].schema.parse(written);
        assert.equal(config.origins.get(keyOf(name))?.from, from);
        if (name !== 'dataDir') assert.deepEqual(config.settings[name], expected);
      }),
    );
  });

  it('counts relative paths from where they are written', () => {
    assert.equal(resolveConfig(sources({})).settings.dataDir, resolve('/home folder/.troupe'));
    assert.equal(resolveConfig(sources({ toml: 'data_dir = "d"' })).settings.dataDir, resolve('/etc/troupe/d'));
    assert.equal(resolveConfig(sources({ env: { TROUPE_DATA_DIR: 'd' } })).settings.dataDir, resolve('/work folder/d'));
  });

  it('tells every unknown name at once, with its place and the nearest known one', () => {
    const told = faultsOf({
      env: { TROUPE_ENGIN: 'memory', PATH: '/bin' },
      toml: 'grpc_adr = "127.0.0.1:1"\n\n[codex]\nallowHostExecutoin = true\n\n[agent]\nx = 1\n',
    });
    assert.match(told, /TROUPE_ENGIN: no such setting; did you mean TROUPE_ENGINE\?/);
    assert.match(told, /troupe\.toml:1: no such setting "grpc_adr"; did you mean grpc_addr\?/);
    assert.match(
      told,
      /troupe\.toml:4: no such setting "codex\.allowHostExecutoin"; did you mean allowHostExecution\?/,
    );
    assert.match(told, /troupe\.toml:6: no such setting "agent"/);
  });

  it('says which value does not fit, where it stands, and how it is written', () => {
    assert.match(faultsOf({ flags: { grpcAddr: '50051' } }), /--grpc-addr: write host:port/);
    assert.match(faultsOf({ env: { TROUPE_THREADS: 'many' } }), /TROUPE_THREADS: write a whole number from 1 to 256/);
    assert.match(faultsOf({ toml: 'drain_grace = "20"' }), /troupe\.toml: drain_grace: write a time .* with its unit/);
    assert.match(faultsOf({ env: { TROUPE_CODEX_ALLOW_HOST_EXECUTION: 'perhaps' } }), /write true or false/);
    assert.match(faultsOf({ toml: 'engine = \n' }), /troupe\.toml:1:\d+: /);
  });

  it('refuses an address that others reach unless a token is set', () => {
    assert.match(faultsOf({ flags: { httpAddr: '0.0.0.0:8000' } }), /can be reached from outside .* set TROUPE_TOKEN/);
    assert.equal(faultsOf({ flags: { httpAddr: '0.0.0.0:8000', token: 't'.repeat(20) } }), '');
    assert.equal(
      resolveConfig(sources({ env: { TROUPE_HTTP_ADDR: '0.0.0.0:8000' } })).settings.httpAddr,
      '0.0.0.0:8000',
      'a command that only talks to the node needs no token of its own',
    );
    for (const addr of ['[::1]:0', 'localhost:1', '127.8.8.8:1'])
      assert.equal(faultsOf({ flags: { httpAddr: addr } }), '');
  });

  it('lets a variable set a value of a section, and remembers it', () => {
    const config = resolveConfig(
      sources({ env: { TROUPE_CODEX_ALLOW_HOST_EXECUTION: 'true', TROUPE_INFRA_AUTOSTART: 'redis, kafka' } }),
      sections,
    );
    assert.deepEqual(config.application.codex, { allowHostExecution: true });
    assert.deepEqual(config.application.infra, { autostart: ['redis', 'kafka'] });
    assert.deepEqual(config.origins.get('codex.allowHostExecution'), {
      from: 'env',
      name: 'TROUPE_CODEX_ALLOW_HOST_EXECUTION',
    });
  });

  it('still reads the variables of the replaced systems, below our own', () => {
    const env = { ENV_MANAGER_GRPC_ADDR: '127.0.0.1:7', ENV_MANAGER_VERBOSE: 'true', DSPY_AGENT_SERVICE_TIMEOUT: '90' };
    const config = resolveConfig(sources({ env }));
    assert.equal(config.settings.grpcAddr, '127.0.0.1:7');
    assert.equal(config.settings.logLevel, 'debug');
    assert.equal(config.settings.startTimeoutMs, 90_000);
    const both = resolveConfig(sources({ env: { ...env, TROUPE_GRPC_ADDR: '127.0.0.1:8' } }));
    assert.equal(both.settings.grpcAddr, '127.0.0.1:8');
  });

  it('never shows a secret', () => {
    const shown = JSON.stringify(
      describeConfig(
        resolveConfig(
          sources({
            env: { TROUPE_TOKEN: 'hunter2hunter2hunter2', TROUPE_ENGINE: 'redis://me:pa55word@h:1/0' },
            toml: '[providers.x]\napiKey = "sk-12345"',
          }),
          sections,
        ),
      ),
    );
    for (const secret of ['hunter2', 'pa55word', 'sk-12345']) assert(!shown.includes(secret), secret);
    assert.match(shown, /redis:\/\/me:\*+@h:1/);
  });

  it('writes what it reads', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 10 ** 8 }), (ms) => assert.equal(parseDurationMs(formatDuration(ms)), ms)),
    );
    assert.equal(parseDurationMs('30'), undefined);
    assert.deepEqual(parseListenAddress('[::1]:80'), { host: '::1', port: 80 });
    assert.equal(parseListenAddress('::1:80'), undefined);
    assert.equal(nearest('grcp_addr', ['http_addr', 'grpc_addr']), 'grpc_addr');
    assert.equal(nearest('zzzzzz', ['http_addr']), undefined);
  });
});
