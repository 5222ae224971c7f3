-- R3 dispatch. One publish is dispatched once, however often its Celery message is delivered.

-- Where the server doesn't know a group's lag (an unread entry was deleted), so many entries are counted one by one: some milliseconds.
local COUNTED = 5000

-- Entries of a command stream that no worker has taken up: unread, or handed back. Never more than the stream holds: a server may overestimate the lag.
local function untaken(commands, group)
  local length = redis.call('XLEN', commands)
  local info = group_info(commands, group)
  if not info then return length end
  local unread = info['lag']
  if not unread then
    unread = #redis.call('XRANGE', commands, '(' .. info['last-delivered-id'], '+', 'COUNT', COUNTED)
    -- More than that: what is done with and not trimmed yet counts too.
    if unread == COUNTED then unread = math.max(unread, length - info['pending']) end
  end
  for _, row in ipairs(redis.call('XPENDING', commands, group)[4] or {}) do
    if row[1] == 'handed_back' then unread = unread + tonumber(row[2]) end
  end
  return math.min(unread, length)
end

-- How full a command stream is when it is full, else nil. Most streams hold fewer entries than that, and nothing need be counted.
local function full(commands, group, delayed, max)
  local waiting = redis.call('ZCARD', delayed)
  if redis.call('XLEN', commands) + waiting < max then return nil end
  local backlog = untaken(commands, group) + waiting
  return backlog >= max and backlog or nil
end

-- KEYS: job, task, open, cancel flag, commands, results, delayed, over memory
-- ARGV: publish, task id, lineage, retries, now, service, context, moment, group, max backlog, then the command's flat fields (without attempt and publish_id)
-- Returns {verdict, seq, entry, why not}: sent | cancelled | duplicate | full | over_memory. The last two have changed nothing.
redis.register_function('csb1_dispatch', function(keys, args)
  local job, task, open, flag, commands, results, delayed, over_memory = unpack(keys)
  local publish, task_id, lineage, retries, now, service, context, moment, group, max = unpack(args)
  local known = redis.call('HGET', job, 'seq')
  if known then return { 'duplicate', known, redis.call('HGET', job, 'entry') or '' } end
  local cancelled = redis.call('EXISTS', flag) == 1
  if not cancelled then
    local memory = redis.call('GET', over_memory)
    if memory then return { 'over_memory', 0, '', memory } end
    local backlog = full(commands, group, delayed, tonumber(max))
    if backlog then return { 'full', 0, '', tostring(backlog) } end
  end

  -- The message goes out before the ledger is written: if its stream can't be written, no ledger stays behind that waits for ever.
  local seq = redis.call('HINCRBY', task, 'seq', 1)
  local command = joined(from(args, 11), { 'attempt', seq, 'publish_id', publish })
  local ledger = { 'publish', publish, 'task_id', task_id, 'lineage', lineage, 'retries', retries, 'seq', seq, 'service', service, 'stream', commands,
    'phase', 'open', 'ctx', context, 'command', cmsgpack.pack(command), 'dispatched_at', now }
  local entry = ''
  if cancelled then
    local result = xadd(results, { 'schema', '1', 'task_id', task_id, 'attempt', seq, 'publish_id', publish, 'status', 'cancelled', 'finished_at', moment })
    ledger = joined(ledger, { 'cancel', 1, 'result_id', result })
  else
    entry = xadd(commands, command)
    ledger = joined(ledger, { 'entry', entry })
  end
  redis.call('HSET', job, unpack(ledger))
  redis.call('HSET', task, 'publish:' .. seq, publish)
  redis.call('HINCRBY', task, 'open', 1)
  redis.call('PERSIST', task)
  redis.call('ZADD', open, now, publish)
  return { cancelled and 'cancelled' or 'sent', seq, entry }
end)
