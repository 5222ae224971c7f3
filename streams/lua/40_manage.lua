-- What the management side does beside the straight way: R7 promote_due, R10 cancel, R11 reap, R13 repair; and what it counts.

-- A command of this service is on its stream again, as this entry. Its workers may have named any publish: the ledger of another service's job stays as it is.
local function note_entry(job, service, entry)
  if redis.call('HGET', job, 'service') == service then redis.call('HSET', job, 'entry', entry) end
end

-- R7: a delayed command goes back onto its stream; one counter, never reset.
-- KEYS: commands, delayed, job, run
-- ARGV: member of `delayed`, now, service
-- Returns the new entry, or '' when it isn't due or somebody else promoted it
redis.register_function('csb1_promote', function(keys, args)
  local commands, delayed, job, run = unpack(keys)
  local member, now, service = unpack(args)
  local due = redis.call('ZSCORE', delayed, member)
  if not due or tonumber(due) > tonumber(now) then return '' end
  local packed = redis.call('HGET', run, 'delayed')
  redis.call('ZREM', delayed, member)
  if not packed then return '' end
  local entry = xadd(commands, joined(without(cmsgpack.unpack(packed), { deliveries = 1 }), { 'deliveries', redis.call('HGET', run, 'runs') or 0 }))
  redis.call('HDEL', run, 'delayed')
  note_entry(job, service, entry)
  return entry
end)

-- R10, for one publish of the task: accepted unless a result has already begun. A parked one is released (R16).
-- KEYS: job, run, open, parked, results
-- ARGV: 1 when a job that a worker has taken up is to be left alone, else 0; the signal that stops it, for those who ask how; publish, now, moment
redis.register_function('csb1_cancel', function(keys, args)
  local job, run, open, parked, results = unpack(keys)
  local phase, winner = unpack(redis.call('HMGET', job, 'phase', 'winner'))
  if not phase then return 'unknown' end
  if phase == 'parked' then
    release(job, open, parked, results, args[3], args[2], args[4], args[5])
    return 'accepted'
  end
  if phase ~= 'open' or winner then return 'too late' end
  if args[1] == '1' and redis.call('HEXISTS', run, 'token') == 1 then return 'running' end
  redis.call('HSET', job, 'cancel', args[2])
  return 'accepted'
end)

-- True when a result of this publish is on the stream and not yet acknowledged. `after`: the caller has looked at everything up to this id, '' when it hasn't.
local function unacknowledged_result(results, group, publish, task_id, seq, after)
  local info = after == '' and group_info(results, group)
  local from_id = after ~= '' and '(' .. after or (info and group_floor(results, info) or '-')
  while true do
    local rows = redis.call('XRANGE', results, from_id, '+', 'COUNT', 500)
    for _, row in ipairs(rows) do
      local named = field(row[2], 'publish_id')
      if named == publish or (not named and field(row[2], 'task_id') == task_id and field(row[2], 'attempt') == seq) then return true end
    end
    if #rows < 500 then return false end
    from_id = '(' .. rows[#rows][1]
  end
end

-- R13: send an open publish again whose command vanished (failover, XDEL by hand) before it gave a result, or whose result vanished before it was resolved.
-- KEYS: job, run, commands, delayed, results, dead letters
-- ARGV: publish, workers' group, bridge's group, max deliveries, moment, id up to which no unacknowledged result is of this publish or '',
-- 1 to only say what would be done, then `sender`
-- Returns {verdict}: fine:<why> | lost (the command), result_lost (only said) | repaired | dead_lettered
redis.register_function('csb1_repair', function(keys, args)
  local job, run, commands, delayed, results, dead = unpack(keys)
  local publish, group, results_group, max, moment, after, only_say = unpack(args)
  local phase, winner, entry, task_id, seq, early = unpack(redis.call('HMGET', job, 'phase', 'winner', 'entry', 'task_id', 'seq', 'result_id'))
  if phase ~= 'open' then return { 'fine:closed' } end
  if winner then return { 'fine:resolving' } end
  local given = early or redis.call('HGET', run, 'result_id')
  if given and entry_fields(results, given) then return { 'fine:finished' } end
  if redis.call('ZSCORE', delayed, publish) then return { 'fine:delayed' } end
  if entry then
    local info = group_info(commands, group)
    if entry_fields(commands, entry) and (not info or id_before(info['last-delivered-id'], entry)) then return { 'fine:unread' } end
    local pending = redis.pcall('XPENDING', commands, group, entry, entry, 1)
    if not pending.err and pending[1] then return { 'fine:pending' } end
  end
  if unacknowledged_result(results, results_group, publish, task_id, seq, after) then return { 'fine:answered' } end

  if only_say == '1' then return { given and 'result_lost' or 'lost' } end
  redis.call('HDEL', run, 'result_id', 'result_token')
  redis.call('HDEL', job, 'result_id')
  -- A foreign worker may have run the lost entry: a repair counts as a delivery.
  local runs = redis.call('HINCRBY', run, 'runs', 1)
  local command = cmsgpack.unpack(redis.call('HGET', job, 'command'))
  if runs >= tonumber(max) or at_most_once(command) then
    local failure = redis.call('HGET', run, 'failure') or cjson.encode({ type = 'CommandLost', message = 'the command vanished from its stream', retryable = false })
    local reason = at_most_once(command) and 'uncertain' or 'exhausted'
    write_dead_letter(dead, results, run, commands, entry or '', command, reason, failure, runs, moment, from(args, 8))
    return { 'dead_lettered' }
  end
  redis.call('HSET', job, 'entry', xadd(commands, joined(without(command, { deliveries = 1 }), { 'deliveries', runs })))
  return { 'repaired' }
end)

-- R11, for a service whose workers don't claim: an entry whose consumer has been silent for too long is sent again, or is a dead letter.
-- KEYS: commands, results, dead letters, job, run
-- ARGV: group, entry, least idle time (ms), max deliveries, moment, service, then `sender`
-- Returns {verdict}: reaped | dead_lettered | cancelled | resolved | vanished | fresh | gone
redis.register_function('csb1_reap', function(keys, args)
  local commands, results, dead, job, run = unpack(keys)
  local group, entry, min_idle, max, moment, service = unpack(args)
  local sender = from(args, 7)
  local rows = redis.pcall('XPENDING', commands, group, entry, entry, 1)
  if rows.err or not rows[1] then return { 'gone' } end
  local idle, delivered = rows[1][3], rows[1][4]
  if idle < tonumber(min_idle) then return { 'fresh' } end
  local fields, stands = entry_fields(commands, entry), standing(job)
  if stands == 'resolved' or not fields then -- a command that is gone is R13's
    redis.call('XACK', commands, group, entry)
    return { fields and 'resolved' or 'vanished' }
  end
  if stands == 'cancelled' then
    local result = try_xadd(results, '*', unpack(joined(sender, { 'status', 'cancelled', 'finished_at', moment })))
    if result then redis.call('HSET', run, 'result_id', result) end
    redis.call('XACK', commands, group, entry)
    return { 'cancelled' }
  end
  local runs = math.max(tonumber(redis.call('HGET', run, 'runs') or 0), tonumber(field(fields, 'deliveries') or 0) + delivered)
  redis.call('HSET', run, 'runs', runs)
  keep_run(run, stands)
  if runs >= tonumber(max) or at_most_once(fields) then
    local failure = cjson.encode({ type = 'WorkerCrashed', message = 'each worker that took this job was silent for too long', retryable = false })
    write_dead_letter(dead, results, run, commands, entry, fields, at_most_once(fields) and 'uncertain' or 'poison', failure, runs, moment, sender)
    redis.call('XACK', commands, group, entry)
    return { 'dead_lettered' }
  end
  local again = xadd(commands, joined(without(fields, { deliveries = 1 }), { 'deliveries', runs }))
  note_entry(job, service, again)
  redis.call('XACK', commands, group, entry)
  return { 'reaped' }
end)

-- How many entries lie between two ids, without carrying them out of the server. At most `most` at a time: the server does nothing else meanwhile.
-- KEYS: stream   ARGV: after this id, before that id, most
-- Returns {count, id of the last one counted, '' when there are no more}
redis.register_function('csb1_count_between', function(keys, args)
  local rows = redis.call('XRANGE', keys[1], '(' .. args[1], '(' .. args[2], 'COUNT', args[3])
  return { #rows, #rows == tonumber(args[3]) and rows[#rows][1] or '' }
end)
