-- The retry that its parent was kept for (R9) is dispatched, or has ended before that. When R9 of the parent is still to come, it is told.
local function retry_came(retrying, parent_job, parent, state)
  if redis.call('ZREM', retrying, parent) == 1 then
    local keep = redis.call('HGET', parent_job, 'keep')
    if keep then redis.call('PEXPIRE', parent_job, keep) end
    return keep ~= false
  end
  if parent ~= '' and redis.call('HGET', parent_job, 'phase') == 'open' then redis.call('HSET', parent_job, 'retry_came', state) end
  return false
end

-- R3 dispatch. One publish is dispatched once, however often its Celery message is delivered.
-- KEYS: job, task, open, cancel flag, commands, results, retrying, the parent's job
-- ARGV: publish, task id, lineage, retries, now, service, context, moment, the publish that this one is a retry of or '', then the command's flat fields
-- (without attempt and publish_id)
-- Returns {verdict, seq, entry}: sent | cancelled | duplicate
redis.register_function('csb1_dispatch', function(keys, args)
  local job, task, open, flag, commands, results, retrying, parent_job = unpack(keys)
  local publish, task_id, lineage, retries, now, service, context, moment, parent = unpack(args)
  retry_came(retrying, parent_job, parent, 'DISPATCHED')
  local known = redis.call('HGET', job, 'seq')
  if known then return { 'duplicate', known, redis.call('HGET', job, 'entry') or '' } end

  -- The message goes out before the ledger is written: if its stream can't be written, no ledger stays behind that waits for ever.
  local seq = redis.call('HINCRBY', task, 'seq', 1)
  local cancelled = redis.call('EXISTS', flag) == 1
  local command = joined(from(args, 10), { 'attempt', seq, 'publish_id', publish })
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
  if not retry_came(retrying, parent_job, parent, state) then return { 'told' } end
  local seq, lineage = unpack(redis.call('HMGET', parent_job, 'seq', 'lineage'))
  redis.call('HSET', parent_job, 'outcome', state)
  lineage_ended(task, lineage, seq, state)
  if tonumber(redis.call('HGET', task, 'open')) <= 0 then redis.call('PEXPIREAT', task, redis.call('HGET', task, 'kept_until')) end
  return { 'ended' }
end)
