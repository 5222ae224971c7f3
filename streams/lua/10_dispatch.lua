-- The retry that its parent was kept for (R9) is dispatched, or has ended before that. When R9 of the parent is still to come, it is told.
local function retry_came(retrying, parent_job, parent, task, state)
  if redis.call('ZREM', retrying, parent) == 1 then
    local tombstone = redis.call('HGET', task, 'tombstone')
    if redis.call('EXISTS', parent_job) == 0 then return false end
    redis.call('PEXPIRE', parent_job, tombstone)
    one_fewer_open(task, tombstone)
    return true
  end
  if parent ~= '' and redis.call('HGET', parent_job, 'phase') == 'open' then redis.call('HSET', parent_job, 'retry_came', state) end
  return false
end

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

-- KEYS: job, task, open, cancel flag, commands, results, delayed, over memory, retrying, the parent's job
-- ARGV: publish, task id, lineage, retries, now, service, context, moment, group, max backlog, the publish that this one is a retry of or '', then the
-- command's flat fields (without attempt and publish_id)
-- Returns {verdict, seq, entry, why not}: sent | cancelled | duplicate | full | over_memory. The last two have changed nothing.
redis.register_function('csb1_dispatch', function(keys, args)
  local job, task, open, flag, commands, results, delayed, over_memory, retrying, parent_job = unpack(keys)
  local publish, task_id, lineage, retries, now, service, context, moment, group, max, parent = unpack(args)
  local known = redis.call('HGET', job, 'seq')
  if known then return { 'duplicate', known, redis.call('HGET', job, 'entry') or '' } end
  local cancelled = is_flagged(flag, task, lineage)
  if not cancelled then
    local memory = redis.call('GET', over_memory)
    if memory then return { 'over_memory', 0, '', memory } end
    local backlog = full(commands, group, delayed, tonumber(max))
    if backlog then return { 'full', 0, '', tostring(backlog) } end
  end

  retry_came(retrying, parent_job, parent, task, 'DISPATCHED')
  -- The message goes out before the ledger is written: if its stream can't be written, no ledger stays behind that waits for ever.
  local seq = redis.call('HINCRBY', task, 'seq', 1)
  local command = joined(from(args, 12), { 'attempt', seq, 'publish_id', publish })
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

-- R9, for a retry that ends before its dispatch: its function raises, or it is revoked or has expired. Its end is that of its lineage.
-- KEYS: retrying, the parent's job, task   ARGV: the publish that it is a retry of, its state
-- Returns {verdict}: ended | told (R9 of the parent is still to come)
redis.register_function('csb1_retry_ended', function(keys, args)
  local retrying, parent_job, task = unpack(keys)
  local parent, state = unpack(args)
  if not retry_came(retrying, parent_job, parent, task, state) then return { 'told' } end
  local seq, lineage = unpack(redis.call('HMGET', parent_job, 'seq', 'lineage'))
  redis.call('HSET', parent_job, 'outcome', state)
  lineage_ended(task, lineage, seq, state)
  return { 'ended' }
end)
