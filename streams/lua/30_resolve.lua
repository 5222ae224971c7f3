-- What the bridge does with a result: R8 begin, R9 resolved; and R2, the order of a task's states.

-- R8: the first result of an open publish wins; a replay is only of the winner.
-- KEYS: job, results, superseded
-- ARGV: group, entry, result id (stream and entry), cap of the superseded stream, and whose result it says it is: task id, service of its stream
-- Returns {verdict, replay, signal of the cancel or 0, seq, lineage, retries, context, announced, released}: won | superseded | repeated | unknown
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
      redis.call('XADD', superseded, 'MAXLEN', '~', cap, '*', unpack(joined(without(fields, SOURCE_FIELDS), { 'source_stream', results, 'source_id', entry, 'verdict', verdict })))
    end
    redis.call('XACK', results, group, entry)
    return { verdict }
  end
  redis.call('HSET', job, 'winner', result)
  local ledger = redis.call('HMGET', job, 'cancel', 'seq', 'lineage', 'retries', 'ctx', 'announced', 'released')
  return { 'won', winner and 1 or 0, ledger[1] or 0, ledger[2], ledger[3], ledger[4], ledger[5], ledger[6] or '', ledger[7] or 0 }
end)

-- R9: the ledger is closed, with the task's state as its outcome, and the result acknowledged; the closed entry stays as a tombstone. A repeat does nothing.
-- One whose outcome is RETRY has no TTL before its retry is dispatched, which may have been: the message of that one may be lost.
-- KEYS: job, run, task, open, results, retrying, closed, job of the retry
-- ARGV: group, entry, result id, publish, tombstone (ms), now, outcome, when its retry is due, how many are listed as closed
-- Returns {verdict}: closed | repeated | superseded
redis.register_function('csb1_resolved', function(keys, args)
  local job, run, task, open, results, retrying, closed, retry_job = unpack(keys)
  local group, entry, result, publish, tombstone, now, outcome, due, most = unpack(args)
  local phase, winner, seq, lineage, came = unpack(redis.call('HMGET', job, 'phase', 'winner', 'seq', 'lineage', 'retry_came'))
  redis.call('XACK', results, group, entry)
  if winner ~= result then return { 'superseded' } end
  if phase ~= 'open' then return { 'repeated' } end
  if outcome == 'RETRY' and came and came ~= 'DISPATCHED' then outcome = came end
  redis.call('HSET', job, 'phase', 'closed', 'closed_at', now, 'outcome', outcome)
  lineage_ended(task, lineage, seq, outcome)
  redis.call('ZADD', closed, now, publish)
  redis.call('ZREMRANGEBYRANK', closed, 0, -1 - most)
  tombstone = kept_for(task, tombstone)
  redis.call('PEXPIRE', run, tombstone)
  redis.call('ZREM', open, publish)
  if outcome == 'RETRY' and not came and redis.call('EXISTS', retry_job) == 0 then
    redis.call('ZADD', retrying, due, publish)
  else
    redis.call('PEXPIRE', job, tombstone)
    one_fewer_open(task, tombstone)
  end
  return { 'closed' }
end)

-- R2: may this state be stored? (run number, rank) only ever rises; SUCCESS is sticky while it is stored; an older run writes no terminal state over a newer
-- one of its lineage. Raises the mark. `args` begins with: seq, rank, lineage, state ('': only raise the mark), terminal (0|1), ttl of the mark (s).
local PROGRESS = 3
local function may_store(mark, args, success_is_stored)
  local seq, rank, lineage, state, terminal, ttl = unpack(args)
  seq, rank = tonumber(seq), tonumber(rank)
  local old = redis.call('HMGET', mark, 'seq', 'rank', 'state', 'lineage:' .. lineage)
  local old_seq, old_rank, newest = tonumber(old[1] or 0), tonumber(old[2] or 0), tonumber(old[4] or 0)
  local rises = seq > old_seq or (seq == old_seq and rank > old_rank)

  if state ~= '' then
    if old[3] == 'SUCCESS' and success_is_stored() then return false end
    if terminal == '1' then
      if newest > seq then return false end
    elseif not rises and not (seq == old_seq and rank == PROGRESS and old_rank == PROGRESS) then
      return false
    end
    redis.call('HSET', mark, 'state', state)
  end
  if rises then redis.call('HSET', mark, 'seq', seq, 'rank', rank) end
  if seq > newest then redis.call('HSET', mark, 'lineage:' .. lineage, seq) end
  redis.call('EXPIRE', mark, ttl)
  return true
end

-- R2 put_state, where the result is on this server.
-- KEYS: the task's result, mark
-- ARGV: those of may_store, then ttl of the result (s, 0: none), value
-- Returns 1 when it was written, else 0
redis.register_function('csb1_put_state', function(keys, args)
  local meta, mark = unpack(keys)
  local state, ttl, value = args[4], tonumber(args[7]), args[8]
  if not may_store(mark, args, function() return redis.call('EXISTS', meta) == 1 end) then return 0 end
  if state == '' then return 1 end
  if ttl > 0 then redis.call('SETEX', meta, ttl, value) else redis.call('SET', meta, value) end
  redis.call('PUBLISH', meta, value)
  return 1
end)

-- R2, where the result is somewhere that can't compare and set: the mark decides here, and the result is written afterwards. Each decision has a number.
-- What was decided last is kept while anybody is writing: a writer who was overtaken may have written over it, and writes it again.
-- KEYS: mark
-- ARGV: those of may_store, then value. (SUCCESS is kept sticky by the backend itself, which knows whether it is stored.)
-- Returns the decision's number; 0 when it is refused, or only the mark was raised
redis.register_function('csb1_decide_state', function(keys, args)
  local mark, state, value = keys[1], args[4], args[7]
  local old = redis.call('HMGET', mark, 'seq', 'rank', 'decided')
  local unwritten = old[1] == args[1] and old[2] == args[2] and old[3] -- decided before, by somebody who died or is still writing
  if not may_store(mark, args, function() return false end) and not unwritten or state == '' then return 0 end
  redis.call('HINCRBY', mark, 'writers', 1)
  redis.call('HSET', mark, 'decided', value)
  return redis.call('HINCRBY', mark, 'decision', 1)
end)

-- R2, afterwards: decision `number` is written, or its writer gives up (it is decided again when it is tried again).
-- KEYS: mark   ARGV: number, 1 when the writer gives up, else 0
-- Returns {} when nothing more is to be written, else {number, value} of what was decided meanwhile
redis.register_function('csb1_state_written', function(keys, args)
  local mark, number, gives_up = keys[1], args[1], args[2] == '1'
  local last, value = unpack(redis.call('HMGET', mark, 'decision', 'decided'))
  if not last then return {} end -- the mark has expired
  if last ~= number and value and not gives_up then return { last, value } end
  if redis.call('HINCRBY', mark, 'writers', -1) <= 0 then redis.call('HDEL', mark, 'writers', 'decided') end
  return {}
end)
