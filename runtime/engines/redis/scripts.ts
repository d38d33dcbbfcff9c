/**
 * The Lua scripts. Each declares itself with `#!lua`, so that Redis refuses it as a whole when memory is short. A
 * script that fails in the middle is not rolled back: each checks everything before its first write.
 *
 * KEYS[1] decides the slot; the other keys of a shard carry the same hash tag and are made from the prefix in ARGV[1].
 */

import type { Redis } from 'ioredis';

const now = `
local time = redis.call('TIME')
local nowUs = time[1] * 1000000 + time[2]
local nowMs = math.floor(nowUs / 1000)
local function whole(number) return string.format('%.0f', number) end
`;

/** KEYS: lease. ARGV: prefix, nonce, seq, then operations. Answers 1, or 0 when the fence does not hold. */
const commit = `#!lua
${now}
local widths = {P = 4, D = 3, A = 3, T = 3, R = 4, U = 3}
local lease = redis.call('HMGET', KEYS[1], 'nonce', 'seq', 'until', 'released')
if lease[1] ~= ARGV[2] or lease[2] ~= ARGV[3] or lease[4] ~= '0' or nowMs >= tonumber(lease[3]) then return 0 end
local at, last = 4, #ARGV
while at <= last do
  local width = widths[ARGV[at]]
  if not width or at + width - 1 > last then return redis.error_reply('ERR troupe: malformed commit') end
  if ARGV[at] == 'T' and not tonumber(ARGV[at + 2]) then return redis.error_reply('ERR troupe: malformed count') end
  if ARGV[at] == 'R' and not tonumber(ARGV[at + 3]) then return redis.error_reply('ERR troupe: malformed score') end
  at = at + width
end
local prefix, lists = ARGV[1], ARGV[1] .. 'lists'
redis.call('HINCRBY', KEYS[1], 'seq', 1)
at = 4
while at <= last do
  local code, name = ARGV[at], ARGV[at + 1]
  if code == 'P' then
    if redis.call('HSET', prefix .. 'table:' .. name, ARGV[at + 2], ARGV[at + 3]) == 1 then
      redis.call('ZADD', prefix .. 'keys:' .. name, 0, ARGV[at + 2])
    end
  elseif code == 'D' then
    if redis.call('HDEL', prefix .. 'table:' .. name, ARGV[at + 2]) == 1 then
      redis.call('ZREM', prefix .. 'keys:' .. name, ARGV[at + 2])
    end
  elseif code == 'A' then
    if redis.call('RPUSH', prefix .. 'list:' .. name, ARGV[at + 2]) == 1 then redis.call('ZADD', lists, 0, name) end
  elseif code == 'T' then
    local list = prefix .. 'list:' .. name
    redis.call('LTRIM', list, ARGV[at + 2], -1)
    if redis.call('EXISTS', list) == 0 then redis.call('ZREM', lists, name) end
  elseif code == 'R' then
    redis.call('ZADD', prefix .. 'index:' .. name, ARGV[at + 3], ARGV[at + 2])
  else
    redis.call('ZREM', prefix .. 'index:' .. name, ARGV[at + 2])
  end
  at = at + widths[code]
end
return 1
`;

/** KEYS: keys of a table, the table. ARGV: after, limit. Answers key, value, key, value … */
const page = `#!lua flags=no-writes
local keys = redis.call('ZRANGEBYLEX', KEYS[1], '(' .. ARGV[1], '+', 'LIMIT', 0, ARGV[2])
local rows = {}
for _, key in ipairs(keys) do
  rows[#rows + 1] = key
  rows[#rows + 1] = redis.call('HGET', KEYS[2], key)
end
return rows
`;

/**
 * KEYS: lease. ARGV: node, ttl, nonce, succeeds or '', nonce of the caller's last lease or ''. Answers taken?, engine ms, until, epoch, seq, clean, unclean in
 * row.
 */
const acquire = `#!lua
${now}
local former = redis.call('HMGET', KEYS[1], 'node', 'epoch', 'until', 'seq', 'released', 'unclean', 'nonce')
local released = not former[1] or former[5] == '1'
if not released and nowMs < tonumber(former[3]) and former[1] ~= ARGV[4] then return {'0', whole(nowMs), former[3]} end
local epoch = whole(math.max((tonumber(former[2]) or 0) + 1, nowUs))
local until_ = whole(nowMs + tonumber(ARGV[2]))
local seq = former[4] or '0'
local own = former[7] and former[7] == ARGV[5]
local unclean = released and '0' or whole(tonumber(former[6]) + (own and 0 or 1))
redis.call('HSET', KEYS[1], 'node', ARGV[1], 'epoch', epoch, 'nonce', ARGV[3], 'until', until_, 'seq', seq,
  'released', '0', 'unclean', unclean)
return {'1', whole(nowMs), until_, epoch, seq, (released or own) and '1' or '0', unclean}
`;

/** KEYS: lease. ARGV: nonce, ttl. Answers engine ms, until and seq, or nothing. */
const renew = `#!lua
${now}
local lease = redis.call('HMGET', KEYS[1], 'nonce', 'until', 'released', 'seq')
if lease[1] ~= ARGV[1] or lease[3] ~= '0' or nowMs >= tonumber(lease[2]) then return false end
local until_ = whole(nowMs + tonumber(ARGV[2]))
redis.call('HSET', KEYS[1], 'until', until_)
return {whole(nowMs), until_, lease[4]}
`;

/** KEYS: lease. ARGV: nonce. */
const release = `#!lua
if redis.call('HGET', KEYS[1], 'nonce') == ARGV[1] then redis.call('HSET', KEYS[1], 'released', '1') end
return 1
`;

/** KEYS: members by end, their labels, meta. ARGV: ttl, label, succeeds or ''. */
const join = `#!lua
${now}
local members = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
for index = 1, #members, 2 do
  local epoch, until_ = members[index], tonumber(members[index + 1])
  if epoch ~= ARGV[3] and nowMs < until_ then
    return {'0', whole(nowMs), whole(until_), redis.call('HGET', KEYS[2], epoch) or ''}
  end
end
local epoch = whole(math.max((tonumber(redis.call('HGET', KEYS[3], 'lastNode') or '0')) + 1, nowUs))
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[3], 'lastNode', epoch)
redis.call('ZADD', KEYS[1], whole(nowMs + tonumber(ARGV[1])), epoch)
redis.call('HSET', KEYS[2], epoch, ARGV[2])
return {'1', whole(nowMs), epoch}
`;

/** KEYS: members by end. ARGV: epoch, ttl. Answers 1, or 0 when the node's lease had ended. */
const renewNode = `#!lua
${now}
local until_ = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not until_ or nowMs >= tonumber(until_) then return 0 end
redis.call('ZADD', KEYS[1], whole(nowMs + tonumber(ARGV[2])), ARGV[1])
return 1
`;

/** KEYS: members by end. Answers the epochs of the live ones. */
const liveNodes = `#!lua flags=no-writes
${now}
return redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. whole(nowMs), '+inf')
`;

const scripts = {
  troupeCommit: { lua: commit, numberOfKeys: 1 },
  troupePage: { lua: page, numberOfKeys: 2 },
  troupeAcquire: { lua: acquire, numberOfKeys: 1 },
  troupeRenew: { lua: renew, numberOfKeys: 1 },
  troupeRelease: { lua: release, numberOfKeys: 1 },
  troupeJoin: { lua: join, numberOfKeys: 3 },
  troupeRenewNode: { lua: renewNode, numberOfKeys: 1 },
  troupeLiveNodes: { lua: liveNodes, numberOfKeys: 1 },
} as const;

/** Runs one of the scripts; arguments are its keys, then its ARGV. */
export type RunScript = (name: keyof typeof scripts, values: readonly string[]) => Promise<unknown>;

export function defineScripts(client: Redis): RunScript {
  for (const [name, { lua, numberOfKeys }] of Object.entries(scripts))
    client.defineCommand(name, { lua, numberOfKeys });
  const commands = client as unknown as Record<string, (values: readonly string[]) => Promise<unknown>>;
  // As one list: so many arguments as a commit may have would not fit the stack.
  return async (name, values) => commands[name]?.(values);
}
