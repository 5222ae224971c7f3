-- What the bridge does with a result: R8 begin, R9 resolved; and R2 put_state on the result backend's server.

-- R8: the first result of an open publish wins; a replay is only of the winner.
-- KEYS: job, results, superseded
-- ARGV: group, entry, result id (stream and entry), cap of the superseded stream, and whose result it says it is: task id, service of its stream
-- Returns {verdict, replay, cancelled, seq, lineage, retries, context, announced}: won | superseded | repeated | unknown
redis.register_function('csb1_begin', function(keys, args)
  local job, results, superseded = unpack(keys)
  local group, entry, result, cap, task_id, service = unpack(args)
  local phase, winner, ledger_task, ledger_service = unpack(redis.call('HMGET', job, 'phase', 'winner', 'task_id', 'service'))
  local forged = phase and (task_id ~= ledger_task or service ~= ledger_service)
  if forged or phase ~= 'open' or (winner and winner ~= result) then
    local verdict = not phase and 'unknown' or ((winner == result and not forged) and 'repeated' or 'superseded')
    local fields = entry_fields(results, entry)
    if fields and verdict ~= 'repeated' then
      if #fields > 4000 then fields = { 'packed', cmsgpack.pack(fields) } end
      redis.call('XADD', superseded, 'MAXLEN', '~', cap, '*', unpack(joined(without(fields, SOURCE_FIELDS), { 'source_stream', results, 'source_id', entry })))
    end
    redis.call('XACK', results, group, entry)
    return { verdict }
  end
  redis.call('HSET', job, 'winner', result)
  local ledger = redis.call('HMGET', job, 'cancel', 'seq', 'lineage', 'retries', 'ctx', 'announced')
  return { 'won', winner and 1 or 0, ledger[1] and 1 or 0, ledger[2], ledger[3], ledger[4], ledger[5], ledger[6] or '' }
end)

-- R9: the ledger is closed and the result acknowledged; the closed entry stays as a tombstone. A repeat does nothing.
-- KEYS: job, run, task, open, results
-- ARGV: group, entry, result id, publish, tombstone (ms), now
-- Returns {verdict}: closed | repeated | superseded
redis.register_function('csb1_resolved', function(keys, args)
  local job, run, task, open, results = unpack(keys)
  local group, entry, result, publish, tombstone, now = unpack(args)
  local phase, winner = unpack(redis.call('HMGET', job, 'phase', 'winner'))
  redis.call('XACK', results, group, entry)
  if winner ~= result then return { 'superseded' } end
  if phase == 'closed' then return { 'repeated' } end
  redis.call('HSET', job, 'phase', 'closed', 'closed_at', now)
  redis.call('PEXPIRE', job, tombstone)
  redis.call('PEXPIRE', run, tombstone)
  redis.call('ZREM', open, publish)
  -- The counter outlives every open publish of the task id (its retry is sent before it is closed), and every tombstone: a later run must not
  -- reuse a run number.
  if redis.call('HINCRBY', task, 'open', -1) <= 0 then redis.call('PEXPIRE', task, 2 * tonumber(tombstone)) end
  return { 'closed' }
end)

-- R2: (run number, rank) only ever rises; SUCCESS is sticky while it is stored; an older run writes no terminal state over a newer one of its lineage.
-- KEYS: the task's result, mark
-- ARGV: seq, rank, lineage, state, terminal (0|1), ttl of the result (s, 0: none), ttl of the mark (s), value ('': only raise the mark)
-- Returns 1 when it was written, else 0
redis.register_function('csb1_put_state', function(keys, args)
  local meta, mark = unpack(keys)
  local seq, rank, lineage, state, terminal, ttl, mark_ttl, value = unpack(args)
  seq, rank = tonumber(seq), tonumber(rank)
  local old = redis.call('HMGET', mark, 'seq', 'rank', 'state', 'lineage:' .. lineage)
  local old_seq, old_rank, newest = tonumber(old[1] or 0), tonumber(old[2] or 0), tonumber(old[4] or 0)
  local rises = seq > old_seq or (seq == old_seq and rank > old_rank)
  local PROGRESS = 3

  if value ~= '' then
    if old[3] == 'SUCCESS' and redis.call('EXISTS', meta) == 1 then return 0 end
    if terminal == '1' then
      if newest > seq then return 0 end
    elseif not rises and not (seq == old_seq and rank == PROGRESS and old_rank == PROGRESS) then
      return 0
    end
  end
  if rises then redis.call('HSET', mark, 'seq', seq, 'rank', rank) end
  if seq > newest then redis.call('HSET', mark, 'lineage:' .. lineage, seq) end
  redis.call('EXPIRE', mark, mark_ttl)
  if value == '' then return 1 end
  redis.call('HSET', mark, 'state', state)
  if tonumber(ttl) > 0 then redis.call('SETEX', meta, ttl, value) else redis.call('SET', meta, value) end
  redis.call('PUBLISH', meta, value)
  return 1
end)
