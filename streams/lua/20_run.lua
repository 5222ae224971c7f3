-- What a worker does with an entry of its service: R4 take_up, R5 heartbeat, R6 finish / retry_later / dead_letter, and the orderly hand_back.
-- take_up and heartbeat work while the server is out of memory, as XREADGROUP and XCLAIM do: else each lease that passes meanwhile takes every running job from
-- its live worker, and costs each command that a worker holds a delivery that never ran.

-- R4, for the owner of the pending entry.
-- KEYS: commands, results, dead letters, status, run
-- ARGV: job, group, consumer, entry, nonce, max deliveries, now, expires at or '', deliveries the message carries, status cap, moment, then `sender`
-- Returns {verdict, token, delivery, crashes}: run | lost | resolved | cancelled | expired | dead_lettered
-- `crashes` are the runs before this one whose worker died, or lost its lease: not those that ended, whichever way, or were handed back.
local function take_up(keys, args)
  local commands, results, dead, status, run = unpack(keys)
  local job, group, consumer, entry, nonce, max, now, expires, carried, cap, moment = unpack(args)
  local sender = from(args, 12)
  local row = owned(commands, group, entry, consumer)
  if not row then return { 'lost' } end

  -- The reply of this very call was lost, and it is sent again: no second delivery is counted.
  if redis.call('HGET', run, 'nonce') == nonce then
    return { 'run', redis.call('HGET', run, 'token'), redis.call('HGET', run, 'runs'), redis.call('HGET', run, 'crashes') or 0 }
  end
  local function park_it(reason, failure, deliveries)
    write_dead_letter(dead, results, run, commands, entry, command_fields(commands, entry, job) or sender, reason, failure, deliveries, moment, sender)
    redis.call('XACK', commands, group, entry)
    keep_run(run, redis.call('EXISTS', job) == 1)
    return { 'dead_lettered' }
  end
  local function answer(status)
    local result = try_xadd(results, '*', unpack(joined(sender, { 'status', status, 'finished_at', moment })))
    if not result then return park_it('undecodable', cjson.encode({ type = 'DecodeError', message = 'callback_stream is no stream' }), row[4]) end
    -- Nobody knows of the commands of a producer that isn't ours: what is never run is kept where an operator sees it.
    if status == 'expired' and redis.call('EXISTS', job) == 0 then
      local failure = cjson.encode({ type = 'Expired', message = 'its expires_at had passed when a worker would have taken it up' })
      write_dead_letter(dead, results, run, commands, entry, command_fields(commands, entry, job) or sender, status, failure, row[4] - 1, moment,
        { 'worker', field(sender, 'worker') or '' })
    end
    redis.call('XACK', commands, group, entry)
    redis.call('HSET', run, 'result_id', result)
    keep_run(run, redis.call('EXISTS', job) == 1)
    return { status }
  end
  local stands = standing(job)
  if stands == 'resolved' then
    redis.call('XACK', commands, group, entry)
    return { 'resolved' }
  end
  if stands == 'cancelled' then return answer('cancelled') end
  local before = tonumber(redis.call('HGET', run, 'runs') or 0)
  local delivery = math.max(before + 1, tonumber(carried) + row[4])
  local used_up = delivery > tonumber(max)
  local once = used_up and at_most_once(command_fields(commands, entry, job))
  -- `expired` says that it never ran; of one that may run once only, and may have, nobody knows.
  if expires ~= '' and tonumber(expires) <= tonumber(now) and not once then return answer('expired') end
  if used_up then
    local failure, why = unpack(redis.call('HMGET', run, 'failure', 'failure_reason'))
    local reason = once and 'uncertain' or (failure and (why or 'exhausted') or 'poison')
    return park_it(reason, failure
      or cjson.encode({ type = 'WorkerCrashed', message = 'each worker that ran this job died or lost its lease', retryable = false }), delivery - 1)
  end
  local last, orderly = unpack(redis.call('HMGET', run, 'token', 'orderly'))
  local crashes = last and last ~= orderly and redis.call('HINCRBY', run, 'crashes', 1) or tonumber(redis.call('HGET', run, 'crashes') or 0)
  local token = redis.call('HINCRBY', run, 'token', 1)
  redis.call('HSET', run, 'runs', delivery, 'nonce', nonce, 'entry', entry, 'worker', field(sender, 'worker') or '', 'heartbeat', now, 'started_at', moment)
  redis.call('HSETNX', run, 'first_started_at', moment)
  redis.call('HDEL', run, 'current', 'total', 'message', 'progress_at') -- an earlier run's
  keep_run(run, stands)
  try_xadd(status, 'MAXLEN', '~', cap, '*', unpack(joined(sender, { 'kind', 'started', 'at', moment })))
  return { 'run', tostring(token), tostring(delivery), crashes }
end
redis.register_function{ function_name = 'csb1_take_up', callback = take_up, flags = { 'allow-oom' } }

-- R5: renew the lease, report progress if there is news, and learn whether the job was cancelled.
-- KEYS: commands, status, run
-- ARGV: job, group, consumer, entry, token, now, status cap, then the flat fields of a status message, or nothing
-- Returns {verdict}: held | cancelled | lost
local function heartbeat(keys, args)
  local commands, status, run = unpack(keys)
  local job, group, consumer, entry, token, now, cap = unpack(args)
  if not fenced(commands, group, entry, consumer, run, token) then return { 'lost' } end
  -- XCLAIM drops an entry that was deleted from the pending list: nobody holds it any more, and R13 sends it again.
  if not redis.call('XCLAIM', commands, group, consumer, 0, entry, 'JUSTID')[1] then return { 'lost' } end
  redis.call('HSET', run, 'heartbeat', now)
  local phase, cancel = unpack(redis.call('HMGET', job, 'phase', 'cancel'))
  if phase ~= 'closed' then keep_run(run, phase) end
  if #args > 7 then
    local message = from(args, 8)
    try_xadd(status, 'MAXLEN', '~', cap, '*', unpack(message))
    if field(message, 'kind') == 'progress' then
      local current = field(message, 'current') or ''
      if redis.call('HGET', run, 'current') ~= current then redis.call('HSET', run, 'progress_at', now) end
      redis.call('HSET', run, 'current', current, 'total', field(message, 'total') or '', 'message', field(message, 'message') or '')
    end
  end
  return { cancel and 'cancelled' or 'held' }
end
redis.register_function{ function_name = 'csb1_heartbeat', callback = heartbeat, flags = { 'allow-oom' } }

-- R6 finish: the result and the acknowledgement, one step. Sent again after a lost reply it answers the same.
-- KEYS: commands, results, run
-- ARGV: group, consumer, entry, token, then the result's flat fields
-- Returns {verdict, result id}: finished | lost
redis.register_function('csb1_finish', function(keys, args)
  local commands, results, run = unpack(keys)
  local group, consumer, entry, token = unpack(args)
  local done = redis.call('HMGET', run, 'result_token', 'result_id')
  if done[1] == token then return { 'finished', done[2] } end
  if not fenced(commands, group, entry, consumer, run, token) then return { 'lost' } end
  local result = xadd(results, from(args, 5))
  redis.call('XACK', commands, group, entry)
  redis.call('HSET', run, 'result_id', result, 'result_token', token)
  return { 'finished', result }
end)

-- R6 retry_later: a passing trouble. Used up: dead letter; else the command waits in `delayed`, with its counter.
-- KEYS: commands, results, dead letters, delayed, run
-- ARGV: job, group, consumer, entry, token, max deliveries, due, member of `delayed`, reason when used up, error JSON, moment, then `sender`
-- Returns {verdict}: delayed | dead_lettered | lost
redis.register_function('csb1_retry_later', function(keys, args)
  local commands, results, dead, delayed, run = unpack(keys)
  local job, group, consumer, entry, token, max, due, member, reason, failure, moment = unpack(args)
  local sender = from(args, 12)
  local done = redis.call('HMGET', run, 'delayed_token', 'delayed_verdict')
  if done[1] == token then return { done[2] } end
  if not fenced(commands, group, entry, consumer, run, token) then return { 'lost' } end
  local runs = tonumber(redis.call('HGET', run, 'runs'))
  local fields = command_fields(commands, entry, job)
  local verdict = 'delayed'
  redis.call('HSETNX', run, 'first_failed_at', moment)
  redis.call('HSET', run, 'failure', failure)
  -- Poison is what took its worker or its process down each time: one run that ended by itself, and it isn't.
  if reason == 'poison' then
    redis.call('HSETNX', run, 'failure_reason', reason)
    reason = redis.call('HGET', run, 'failure_reason')
  else
    redis.call('HSET', run, 'failure_reason', reason)
  end
  if runs >= tonumber(max) or not fields then
    write_dead_letter(dead, results, run, commands, entry, fields or sender, reason, failure, runs, moment, sender)
    verdict = 'dead_lettered'
  else
    redis.call('HSET', run, 'delayed', cmsgpack.pack(fields), 'stream', commands)
    redis.call('ZADD', delayed, due, member)
  end
  redis.call('XACK', commands, group, entry)
  redis.call('HSET', run, 'delayed_token', token, 'delayed_verdict', verdict, 'orderly', token)
  return { verdict }
end)

-- R6 dead_letter: for the owner of an entry that can't be taken up at all (undecodable, of a type nobody here knows).
-- KEYS: commands, results, dead letters, run
-- ARGV: job, group, consumer, entry, reason, error JSON, deliveries, moment, then `sender` (without task_id: no result is sent)
-- Returns {verdict}: dead_lettered | resolved | lost
redis.register_function('csb1_dead_letter', function(keys, args)
  local commands, results, dead, run = unpack(keys)
  local job, group, consumer, entry, reason, failure, deliveries, moment = unpack(args)
  if not owned(commands, group, entry, consumer) then return { 'lost' } end
  local sender, stands, verdict = from(args, 9), standing(job), 'resolved'
  if stands ~= 'resolved' then
    verdict = 'dead_lettered'
    write_dead_letter(dead, results, run, commands, entry, command_fields(commands, entry, job) or sender, reason, failure, deliveries, moment, sender)
    keep_run(run, stands)
  end
  redis.call('XACK', commands, group, entry)
  return { verdict }
end)

-- Orderly hand-back: the run didn't count, and any worker may take the entry at once (its idle time is made very long).
-- KEYS: commands, run
-- ARGV: group, consumer, entry, token, name of the consumer that holds what was handed back, idle time (ms)
-- Returns {verdict}: handed_back | lost
redis.register_function('csb1_hand_back', function(keys, args)
  local commands, run = unpack(keys)
  local group, consumer, entry, token, nobody, idle = unpack(args)
  local row = owned(commands, group, entry, consumer)
  if not row or redis.call('HGET', run, 'token') ~= token then return { 'lost' } end
  redis.call('HINCRBY', run, 'runs', -1)
  redis.call('HSET', run, 'orderly', redis.call('HINCRBY', run, 'token', 1))
  redis.call('XCLAIM', commands, group, nobody, 0, entry, 'IDLE', idle, 'RETRYCOUNT', math.max(0, row[4] - 1), 'JUSTID')
  return { 'handed_back' }
end)
