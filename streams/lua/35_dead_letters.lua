-- What becomes of a job whose command is a dead letter: R15 park, R16 release, R12 redrive. Management's half of the ledger decides; what a dead letter says of
-- itself, its service's workers wrote.

-- A parked publish, or one that is about to be, gets its end: what it was parked for, or a cancel by `signum`.
local function end_parked(job, open, parked, results, publish, fields, signum, now, moment)
  if signum ~= '' or #fields == 0 then
    local task_id, seq = unpack(redis.call('HMGET', job, 'task_id', 'seq'))
    fields = { 'schema', '1', 'task_id', task_id, 'attempt', seq, 'publish_id', publish, 'status', signum ~= '' and 'cancelled' or 'dead_lettered',
      'finished_at', moment }
  end
  if signum ~= '' then redis.call('HSET', job, 'cancel', signum) end
  local result = xadd(results, fields)
  redis.call('HSET', job, 'phase', 'open', 'released', 1, 'winner', results .. ' ' .. result)
  redis.call('HDEL', job, 'parked_result')
  redis.call('ZREM', parked, publish)
  redis.call('ZADD', open, now, publish)
end

-- R15, after DEAD_LETTERED is stored: the publish waits for an operator. It has no TTL meanwhile. One whose cancel came while its result was being resolved,
-- too late for R10, isn't parked: it ends as cancelled.
-- KEYS: job, open, parked, results, cancel flag, task
-- ARGV: group, entry, result id, publish, now, moment, signal of such a cancel
-- Returns {verdict}: parked | cancelled | repeated | superseded
redis.register_function('csb1_park', function(keys, args)
  local job, open, parked, results, flag, task = unpack(keys)
  local group, entry, result, publish, now, moment, signum = unpack(args)
  local phase, winner, lineage = unpack(redis.call('HMGET', job, 'phase', 'winner', 'lineage'))
  if winner ~= result then
    redis.call('XACK', results, group, entry)
    return { 'superseded' }
  end
  redis.call('XACK', results, group, entry)
  if phase ~= 'open' then return { 'repeated' } end
  local verdict = 'parked'
  if is_flagged(flag, task, lineage) then
    end_parked(job, open, parked, results, publish, {}, signum, now, moment)
    verdict = 'cancelled'
  else
    local fields = entry_fields(results, entry)
    redis.call('HSET', job, 'phase', 'parked', 'parked_at', now, 'parked_result', cmsgpack.pack(fields or {}))
    redis.call('ZREM', open, publish)
    redis.call('ZADD', parked, now, publish)
  end
  return { verdict }
end)

-- R16: a parked publish gets its end after all, as the failure that it is or, with a signal, as cancelled (R10). The bridge resolves that result like any other.
local function release(job, open, parked, results, publish, signum, now, moment)
  local phase, released, packed = unpack(redis.call('HMGET', job, 'phase', 'released', 'parked_result'))
  if phase ~= 'parked' then return released and 'repeated' or 'not parked' end
  end_parked(job, open, parked, results, publish, cmsgpack.unpack(packed), signum, now, moment)
  return 'released'
end

-- KEYS: job, open, parked, results
-- ARGV: publish, now, moment
-- Returns {verdict}: released | repeated | not parked
redis.register_function('csb1_release', function(keys, args)
  local publish, now, moment = unpack(args)
  return { release(keys[1], keys[2], keys[3], keys[4], publish, '', now, moment) }
end)

-- R12: run it again under the same task id, as a new publish of its lineage.
-- KEYS: job, run, task, open, parked, cancel flag, commands, new job, fates of dead letters, then the job of each publish of the lineage, the newest last
-- ARGV: publish, new publish, seq of the task and phase of the publish as the caller saw them, now, moment, tombstone (ms), context, data of the command or '',
-- dead letter id
-- Returns {verdict, seq, entry, lineage, 1 when the new publish waits for its outcome}: sent | duplicate | changed (look again) | gone | refused:<why>
redis.register_function('csb1_redrive', function(keys, args)
  local job, run, task, open, parked, flag, commands, new_job, fates = unpack(keys)
  local publish, new, seen, seen_phase, now, moment, tombstone, context, data, letter = unpack(args)
  local done = redis.call('HMGET', new_job, 'seq', 'entry', 'lineage', 'phase', 'winner')
  if done[1] then return { 'duplicate', done[1], done[2] or '', done[3], done[4] == 'open' and not done[5] and 1 or 0 } end
  if string.find(redis.call('HGET', fates, letter) or '', '^redriven') then return { 'refused:redriven' } end -- so long ago that its ledger is gone
  local phase, task_id, lineage, retries, service, packed = unpack(redis.call('HMGET', job, 'phase', 'task_id', 'lineage', 'retries', 'service', 'command'))
  if not phase then return { 'gone' } end
  -- The context is that of a parked publish, with its chord, or of a failed one, without it.
  if redis.call('HGET', task, 'seq') ~= seen or phase ~= seen_phase then return { 'changed' } end
  for i = 10, #keys do
    local other = redis.call('HGET', keys[i], 'phase')
    if other == 'open' then return { 'refused:open' } end
    if other == 'parked' and keys[i] ~= job then return { 'refused:parked' } end
  end
  if phase ~= 'parked' then
    local outcome = string.match(redis.call('HGET', task, 'ended:' .. lineage) or '', '%S+$') or 'unknown'
    if outcome ~= 'FAILURE' then return { 'refused:' .. outcome } end
  end

  local seq = redis.call('HINCRBY', task, 'seq', 1)
  local dropped = { attempt = 1, publish_id = 1, deliveries = 1, created_at = 1, expires_at = 1 }
  if data ~= '' then dropped['data'] = 1 end
  local command = joined(without(cmsgpack.unpack(packed), dropped), { 'attempt', seq, 'publish_id', new, 'created_at', moment })
  if data ~= '' then command = joined(command, { 'data', data }) end
  local entry = xadd(commands, command)
  redis.call('HSET', new_job, 'publish', new, 'task_id', task_id, 'lineage', lineage, 'retries', retries, 'seq', seq, 'service', service, 'stream', commands,
    'phase', 'open', 'ctx', context, 'command', cmsgpack.pack(command), 'dispatched_at', now, 'entry', entry, 'redrive_of', letter)
  redis.call('HSET', task, 'publish:' .. seq, new)
  redis.call('HINCRBY', task, 'open', 1)
  redis.call('PERSIST', task)
  redis.call('ZADD', open, now, new)
  -- The flag stays: it may be meant for another lineage of this task id, whose message is still to come.
  local cancel = redis.call('GET', flag)
  if cancel then redis.call('HSET', task, 'pardon:' .. lineage, cancel) end
  redis.call('HSET', fates, letter, 'redriven ' .. new .. ' ' .. moment)
  redis.call('HSET', job, 'redriven_as', new) -- its worker keeps the folder of the job, which runs there again
  if phase == 'parked' then
    redis.call('HSET', job, 'phase', 'closed', 'closed_at', now, 'outcome', 'REDRIVEN')
    redis.call('HDEL', job, 'parked_result')
    tombstone = kept_for(task, tombstone)
    redis.call('PEXPIRE', job, tombstone)
    redis.call('PEXPIRE', run, tombstone)
    redis.call('ZREM', parked, publish)
    redis.call('HINCRBY', task, 'open', -1)
  end
  return { 'sent', seq, entry, lineage, 1 }
end)

-- A dead letter without a ledger, of a producer that isn't ours: its command goes back on its stream, once.
-- KEYS: dead letters, fates of dead letters, commands
-- ARGV: dead letter id, data of the command or '', moment
-- Returns the new entry, or '' when there is nothing to do
redis.register_function('csb1_resend', function(keys, args)
  local dead, fates, commands = unpack(keys)
  local letter, data, moment = unpack(args)
  local fields = entry_fields(dead, letter)
  if not fields or redis.call('HEXISTS', fates, letter) == 1 then return '' end
  local dropped = { expires_at = 1 }
  if data ~= '' then dropped['data'] = 1 end
  local command = without(without(fields, DEAD_FIELDS), dropped)
  if data ~= '' then command = joined(command, { 'data', data }) end
  if #command == 0 then return '' end
  local entry = xadd(commands, command)
  redis.call('HSET', fates, letter, 'redriven ' .. entry .. ' ' .. moment)
  return entry
end)

-- The command of a publish as it was dispatched.
-- KEYS: job   Returns its flat fields, or {}
redis.register_function('csb1_command_of', function(keys)
  local packed = redis.call('HGET', keys[1], 'command')
  return packed and cmsgpack.unpack(packed) or {}
end)
