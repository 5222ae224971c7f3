-- Upkeep: whose turn it is, R14 trim, and the sweeping of what nobody needs any more. What is looked at and what is removed is one step here, so that two may do it
-- at the same moment.

-- One at a time does a work of upkeep, once in an interval.
-- KEYS: turn   ARGV: who asks, how long the turn is (ms)
-- Returns 0 when it is theirs, else how long (ms) until it is free
redis.register_function('csb1_take_turn', function(keys, args)
  if redis.call('SET', keys[1], args[1], 'NX', 'PX', args[2]) then return 0 end
  return math.max(1, redis.call('PTTL', keys[1]))
end)

-- A long work goes on.
-- KEYS: turn   ARGV: who does it, how long the turn is from now on (ms)
-- Returns 1, or 0 when it is theirs no more
redis.register_function('csb1_keep_turn', function(keys, args)
  if redis.call('GET', keys[1]) ~= args[1] then return 0 end
  redis.call('PEXPIRE', keys[1], args[2])
  return 1
end)

-- Every group of a stream as {name, first id that it still has to deal with, pending, last delivered}; {} when there is no stream or no group.
local function floors(stream)
  local rows = redis.pcall('XINFO', 'GROUPS', stream)
  if rows.err then return {} end
  local groups = {}
  for _, row in ipairs(rows) do
    local info = {}
    for i = 1, #row, 2 do info[row[i]] = row[i + 1] end
    groups[#groups + 1] = { info['name'], group_floor(stream, info), info['pending'], info['last-delivered-id'] }
  end
  return groups
end

-- The lowest of them, or nil.
local function lowest(groups)
  local floor = nil
  for _, group in ipairs(groups) do
    local low = group[2]
    if not floor or id_before(low, floor) then floor = low end
  end
  return floor
end

-- Up to where is cut: the floor, or lower when some of what is done with is to be kept: what is younger than the id `since` ('': of any age), of that the newest
-- `most` ('': all; without `since` too: none).
local function cut_at(stream, floor, since, most)
  local cut = floor
  if since ~= '' and id_before(since, cut) then cut = since end
  if most == '' then return cut end
  most = tonumber(most)
  if most == 0 then return floor end
  local kept = redis.call('XREVRANGE', stream, '(' .. floor, '-', 'COUNT', most)
  local oldest = #kept == most and kept[most][1] or '0-0'
  if since == '' then return oldest end
  return id_before(cut, oldest) and oldest or cut
end

-- R14: cut at the lowest of what any group still has to deal with, or lower when more is to be kept.
-- KEYS: stream   ARGV: '=' exact or '~' cheap, id since which is kept or '', how many are kept or ''
-- Returns {removed, floor or ''}
redis.register_function('csb1_trim', function(keys, args)
  local stream = keys[1]
  local floor = lowest(floors(stream))
  if not floor then return { 0, '' } end
  return { redis.call('XTRIM', stream, 'MINID', args[1], cut_at(stream, floor, args[2], args[3])), floor }
end)

-- What a trim would do, and who holds the floor.
-- KEYS: stream   ARGV: id since which is kept or '', how many are kept or ''
-- Returns {length, floor, cut, {{group, its first id to deal with, pending, last delivered, holder of its oldest pending entry, idle ms, deliveries} ...}}
redis.register_function { function_name = 'csb1_trim_plan', flags = { 'no-writes' }, callback = function(keys, args)
  local stream = keys[1]
  local groups = floors(stream)
  for _, group in ipairs(groups) do
    local oldest = group[3] > 0 and redis.call('XPENDING', stream, group[1], '-', '+', 1)[1]
    if oldest then for i = 2, 4 do group[#group + 1] = oldest[i] end end
  end
  local floor = lowest(groups)
  return { redis.call('XLEN', stream), floor or '', floor and cut_at(stream, floor, args[1], args[2]) or '', groups }
end }

-- Delete consumers that own nothing and have been idle: XGROUP DELCONSUMER of one that owns something would lose it.
-- KEYS: stream   ARGV: group, idle for so long (ms), name of the one that is never deleted, at most so many
-- Returns their names
redis.register_function('csb1_delete_consumers', function(keys, args)
  local group, idle, kept, most = args[1], tonumber(args[2]), args[3], tonumber(args[4])
  local rows, deleted = redis.pcall('XINFO', 'CONSUMERS', keys[1], group), {}
  if rows.err then return deleted end
  for _, row in ipairs(rows) do
    local info = {}
    for i = 1, #row, 2 do info[row[i]] = row[i + 1] end
    if info['pending'] == 0 and info['idle'] >= idle and info['name'] ~= kept and #deleted < most then
      redis.call('XGROUP', 'DELCONSUMER', keys[1], group, info['name'])
      deleted[#deleted + 1] = info['name']
    end
  end
  return deleted
end)

-- Acknowledge what is pending and no longer on its stream: deleted or trimmed by hand. Nobody can be given it again.
-- KEYS: stream   ARGV: group, idle for so long (ms), from this id on, at most so many pending entries are looked at
-- Returns {ids that were ghosts, where to go on or ''}
redis.register_function('csb1_sweep_ghosts', function(keys, args)
  local stream, group, most = keys[1], args[1], tonumber(args[4])
  local pending = redis.pcall('XPENDING', stream, group, 'IDLE', args[2], args[3], '+', most)
  if pending.err then return { {}, '' } end
  local first = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
  local ghosts = {}
  for _, row in ipairs(pending) do
    local id = row[1]
    if not first or id_before(id, first[1]) or #redis.call('XRANGE', stream, id, id) == 0 then
      redis.call('XACK', stream, group, id)
      ghosts[#ghosts + 1] = id
    end
  end
  return { ghosts, #pending == most and '(' .. pending[most][1] or '' }
end)

-- Delete dead letters that nobody can want: their job neither waits for them (parked) nor goes on (open).
-- What became of one is forgotten with it.
-- KEYS: dead letters, fates of dead letters, then the job of each   ARGV: the entries
-- Returns how many were deleted
redis.register_function('csb1_purge_dead', function(keys, args)
  local deleted = 0
  for number, entry in ipairs(args) do
    local phase = redis.call('HGET', keys[number + 2], 'phase')
    if not phase or phase == 'closed' then
      deleted = deleted + redis.call('XDEL', keys[1], entry)
      redis.call('HDEL', keys[2], entry)
    end
  end
  return deleted
end)

-- Ledgers that are closed and would stay for ever get the life of a tombstone. One that waits for its retry's dispatch (outcome RETRY) has none on purpose.
-- KEYS: jobs   ARGV: life (ms)
-- Returns how many
redis.register_function('csb1_expire_jobs', function(keys, args)
  local count = 0
  for _, job in ipairs(keys) do
    local phase, outcome = unpack(redis.call('HMGET', job, 'phase', 'outcome'))
    if phase == 'closed' and outcome ~= 'RETRY' and redis.call('PTTL', job) == -1 then count = count + redis.call('PEXPIRE', job, args[1]) end
  end
  return count
end)

-- The workers' halves whose ledger is gone or has a TTL itself.
-- KEYS: run and job of each   ARGV: life (ms)
-- Returns how many
redis.register_function('csb1_expire_runs', function(keys, args)
  local count = 0
  for i = 1, #keys, 2 do
    if redis.call('PTTL', keys[i]) == -1 and redis.call('PTTL', keys[i + 1]) ~= -1 then count = count + redis.call('PEXPIRE', keys[i], args[1]) end
  end
  return count
end)

-- Whose results lie on a stream and aren't acknowledged, a part at a time: for R13, which would look for each job's otherwise.
-- KEYS: results   ARGV: group, from this id on or '' for its first unacknowledged, at most so many
-- Returns {id of the last, 1 when there may be more, {publish id, or 'unnamed:<task id>:<attempt>' ...}}
redis.register_function { function_name = 'csb1_answered', flags = { 'no-writes' }, callback = function(keys, args)
  local results, group, from_id, most = keys[1], args[1], args[2], tonumber(args[3])
  if from_id == '' then
    local info = group_info(results, group)
    from_id = info and group_floor(results, info) or '-'
  end
  local rows, names = redis.call('XRANGE', results, from_id, '+', 'COUNT', most), {}
  for _, row in ipairs(rows) do
    names[#names + 1] = field(row[2], 'publish_id') or ('unnamed:' .. (field(row[2], 'task_id') or '') .. ':' .. (field(row[2], 'attempt') or ''))
  end
  return { rows[#rows] and rows[#rows][1] or '', #rows == most and 1 or 0, names }
end }
