-- R3 dispatch. One publish is dispatched once, however often its Celery message is delivered.
-- KEYS: job, task, open, cancel flag, commands, results
-- ARGV: publish, task id, lineage, retries, now, service, context, moment, then the command's flat fields (without attempt and publish_id)
-- Returns {verdict, seq, entry}: sent | cancelled | duplicate
redis.register_function('csb1_dispatch', function(keys, args)
  local job, task, open, flag, commands, results = unpack(keys)
  local publish, task_id, lineage, retries, now, service, context, moment = unpack(args)
  local known = redis.call('HGET', job, 'seq')
  if known then return { 'duplicate', known, redis.call('HGET', job, 'entry') or '' } end

  local seq = redis.call('HINCRBY', task, 'seq', 1)
  redis.call('HSET', task, 'publish:' .. seq, publish)
  redis.call('PERSIST', task)
  local command = joined(from(args, 9), { 'attempt', seq, 'publish_id', publish })
  redis.call('HSET', job, 'publish', publish, 'task_id', task_id, 'lineage', lineage, 'retries', retries, 'seq', seq, 'service', service,
    'phase', 'open', 'ctx', context, 'command', cmsgpack.pack(command), 'dispatched_at', now)
  redis.call('ZADD', open, now, publish)

  if redis.call('EXISTS', flag) == 1 then
    local result = xadd(results, { 'schema', '1', 'task_id', task_id, 'attempt', seq, 'publish_id', publish, 'status', 'cancelled', 'finished_at', moment })
    redis.call('HSET', job, 'cancel', 1, 'result_id', result)
    return { 'cancelled', seq, '' }
  end
  local entry = xadd(commands, command)
  redis.call('HSET', job, 'entry', entry)
  return { 'sent', seq, entry }
end)
