-- Shared by all functions. A rule's number (R3 ...) is that of docs/protocol.md. No key is spelled here: they come in through KEYS.
-- One exception: a worker's functions get management's half of the ledger, `job`, through ARGV. FCALL asks for the right to write each of KEYS, and a worker
-- may only read that one; within the function Redis checks each command as it comes. Keys of one deployment share a slot by its prefix ({tag}) in a cluster.
-- Times are milliseconds since the epoch; a moment in a message is ISO-8601 text made by the caller.

-- The pending entry {id, consumer, idle_ms, times_delivered} when `consumer` owns it, else nil. A missing group owns nothing.
local function owned(stream, group, entry, consumer)
  local rows = redis.pcall('XPENDING', stream, group, entry, entry, 1)
  if rows.err or not rows[1] or rows[1][2] ~= consumer then return nil end
  return rows[1]
end

-- The fence of R5 and R6: the caller owns the entry, and its token is the current one. A name alone is no fence: it may have restarted.
local function fenced(stream, group, entry, consumer, run, token)
  return redis.call('HGET', run, 'token') == token and owned(stream, group, entry, consumer) ~= nil
end

-- The flat fields of one entry, or nil when it is gone.
local function entry_fields(stream, entry)
  local rows = redis.call('XRANGE', stream, entry, entry)
  return rows[1] and rows[1][2] or nil
end

-- A copy of flat fields without those named in `drop`.
local function without(fields, drop)
  local kept = {}
  for i = 1, #fields, 2 do
    if not drop[fields[i]] then
      kept[#kept + 1] = fields[i]
      kept[#kept + 1] = fields[i + 1]
    end
  end
  return kept
end

local function field(fields, name)
  for i = 1, #fields, 2 do
    if fields[i] == name then return fields[i + 1] end
  end
  return nil
end

-- unpack() has a limit of some 8,000 values on Lua's stack; messages have a few dozen fields. A foreign entry with more is kept as one value.
local function xadd(stream, fields)
  if #fields > 4000 then fields = { 'packed', cmsgpack.pack(fields) } end
  return redis.call('XADD', stream, '*', unpack(fields))
end

-- For what goes to a stream that a message names, or that only informs: nil when it can't be written (the key is of another type).
local function try_xadd(stream, ...)
  local entry = redis.pcall('XADD', stream, ...)
  return type(entry) == 'string' and entry or nil
end

local function joined(...)
  local all = {}
  for _, list in ipairs({...}) do
    for _, value in ipairs(list) do all[#all + 1] = value end
  end
  return all
end

-- Everything in `list` from position `first` on.
local function from(list, first)
  local rest = {}
  for i = first, #list do rest[#rest + 1] = list[i] end
  return rest
end

-- Compares stream ids; true when a < b.
local function id_before(a, b)
  local ams, aseq = string.match(a, '(%d+)-(%d+)')
  local bms, bseq = string.match(b, '(%d+)-(%d+)')
  if #ams ~= #bms then return #ams < #bms end
  if ams ~= bms then return ams < bms end
  if #aseq ~= #bseq then return #aseq < #bseq end
  return aseq < bseq
end

-- The group's row of XINFO GROUPS as a table, or nil.
local function group_info(stream, group)
  local rows = redis.pcall('XINFO', 'GROUPS', stream)
  if rows.err then return nil end
  for _, row in ipairs(rows) do
    local info = {}
    for i = 1, #row, 2 do info[row[i]] = row[i + 1] end
    if info['name'] == group then return info end
  end
  return nil
end

-- The first id a group still has to deal with: its oldest pending entry, or the one after the last it was given.
local function group_floor(stream, info)
  if info['pending'] > 0 then return redis.call('XPENDING', stream, info['name'])[2] end
  local ms, seq = string.match(info['last-delivered-id'], '(%d+)-(%d+)')
  if #seq > 15 then return info['last-delivered-id'] end -- Lua can't count that far: an id that somebody chose; the entry itself stays
  return ms .. '-' .. string.format('%.0f', tonumber(seq) + 1)
end

-- How a publish stands, for a worker that holds its entry: 'resolved' (or about to be, or parked), 'cancelled', 'open', or nil without a ledger.
local function standing(job)
  local phase, winner, cancel = unpack(redis.call('HMGET', job, 'phase', 'winner', 'cancel'))
  if phase == 'closed' or phase == 'parked' or winner then return 'resolved' end
  if cancel then return 'cancelled' end
  return phase and 'open' or nil
end

-- Nobody resolves what has no ledger (a foreign producer's command): its half of one goes by itself. With a ledger it stays until R9.
local WITHOUT_LEDGER_MS = 7 * 24 * 3600 * 1000
local function keep_run(run, has_ledger)
  if has_ledger then redis.call('PERSIST', run) else redis.call('PEXPIRE', run, WITHOUT_LEDGER_MS) end
end

-- Whether a cancel flag is meant for this lineage: a redrive pardons the one that it finds, and no later one (R12).
local function is_flagged(flag, task, lineage)
  local cancel = redis.call('GET', flag)
  return cancel and cancel ~= redis.call('HGET', task, 'pardon:' .. lineage)
end

-- For how long (ms) a closed ledger of this task is kept: what is closed later for no shorter time than what was closed before it. Else a dead letter, which is
-- kept for long, would be redriven once more after the ledger of its successful redrive is gone.
local function kept_for(task, tombstone)
  local longest = math.max(tonumber(tombstone), tonumber(redis.call('HGET', task, 'tombstone') or 0))
  redis.call('HSET', task, 'tombstone', longest)
  return longest
end

-- A task has one open publish fewer. Its run counter outlives every one of them, what waits for a retry or an operator included, and every tombstone: a later
-- run must not reuse a run number.
local function one_fewer_open(task, tombstone)
  if redis.call('HINCRBY', task, 'open', -1) <= 0 then redis.call('PEXPIRE', task, 2 * tonumber(tombstone)) end
end

-- How the newest publish of a lineage has ended: beside the counter of the task, which outlives all of their ledgers. They may be closed out of their order.
local function lineage_ended(task, lineage, seq, outcome)
  local last = redis.call('HGET', task, 'ended:' .. lineage)
  if last and tonumber(string.match(last, '^%d+')) > tonumber(seq) then return end
  redis.call('HSET', task, 'ended:' .. lineage, seq .. ' ' .. outcome)
end

-- The fields of a command: of its entry, or when that is gone, as it was dispatched; else nil.
local function command_fields(stream, entry, job)
  local fields = entry_fields(stream, entry)
  if fields then return fields end
  local packed = redis.call('HGET', job, 'command')
  return packed and cmsgpack.unpack(packed) or nil
end

-- A command that may run once only (S6): nobody runs it again when it isn't known what became of it.
local function at_most_once(fields)
  return fields ~= nil and field(fields, 'at_most_once') == 'true'
end

local SOURCE_FIELDS = { source_stream = 1, source_id = 1, verdict = 1 }
local DEAD_FIELDS = { source_stream = 1, source_id = 1, reason = 1, error = 1, deliveries = 1, worker = 1, first_failed_at = 1, last_failed_at = 1 }

-- The dead letter of a command, and the `dead_lettered` result, together (R6). The caller acknowledges.
-- `sender` are the flat fields common to a result of this worker: schema, task_id, attempt, publish_id, worker, pid.
local function write_dead_letter(dead, results, run, stream, entry, fields, reason, failure, deliveries, at, sender)
  local first = redis.call('HGET', run, 'first_failed_at') or at
  local letter = xadd(dead, joined(without(fields, DEAD_FIELDS), {
    'source_stream', stream, 'source_id', entry, 'reason', reason, 'error', failure, 'deliveries', deliveries,
    'worker', field(sender, 'worker') or '', 'first_failed_at', first, 'last_failed_at', at }))
  if field(sender, 'task_id') then
    local result = try_xadd(results, '*', unpack(joined(sender, { 'status', 'dead_lettered', 'reason', reason, 'dead_letter_id', letter,
      'deliveries', deliveries, 'error', failure, 'finished_at', at })))
    if result then redis.call('HSET', run, 'result_id', result) end
  end
  return letter
end
