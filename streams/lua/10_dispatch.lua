-- R3 dispatch. One publish is dispatched once, however often its Celery message is delivered.
-- KEYS: job, task, open, cancel flag, commands, results, retrying, the parent's job
-- ARGV: publish, task id, lineage, retries, now, service, context, moment, the publish that this one is a retry of or '', tombstone (ms), then the command's
-- flat fields (without attempt and publish_id)
-- Returns {verdict, seq, entry}: sent | cancelled | duplicate
redis.register_function('csb1_dispatch', function(keys, args)
  local job, task, open, flag, commands, results, retrying, parent_job = unpack(keys)
  local publish, task_id, lineage, retries, now, service, context, moment, parent, tombstone = unpack(args)
  -- The retry that its parent was kept for has arrived (R9).
  if redis.call('ZREM', retrying, parent) == 1 then
    redis.call('PEXPIRE', parent_job, tombstone)
    redis.call('HINCRBY', task, 'open', -1)
  end
  local known = redis.call('HGET', job, 'seq')
  if known then return { 'duplicate', known, redis.call('HGET', job, 'entry') or '' } end

  -- The message goes out before the ledger is written: if its stream can't be written, no ledger stays behind that waits for ever.
  local seq = redis.call('HINCRBY', task, 'seq', 1)
  -- A lineage that was redriven is pardoned: that revoke, not a later one, is no longer meant for it (R12).
  local cancel = redis.call('GET', flag)
  local cancelled = cancel and cancel ~= redis.call('HGET', task, 'pardon:' .. lineage)
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
