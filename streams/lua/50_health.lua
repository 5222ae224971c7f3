-- What health counts, so that no entry is carried out of the server for it. These only read.

-- How many of the newest entries have which value of a field. At most `most` at a time: the server does nothing else meanwhile.
-- KEYS: stream   ARGV: name of the field, before this id ('+': from the newest on), most
-- Returns {id of the oldest one counted, '' when there are no more; then value, count, value, count ...}; without the field the value is ''
redis.register_function('csb1_count_values', function(keys, args)
  local name, before, most = args[1], args[2], args[3]
  local rows = redis.call('XREVRANGE', keys[1], before == '+' and '+' or '(' .. before, '-', 'COUNT', most)
  local order, counts = {}, {}
  for _, row in ipairs(rows) do
    local value = field(row[2], name) or ''
    if not counts[value] then order[#order + 1] = value end
    counts[value] = (counts[value] or 0) + 1
  end
  local reply = { #rows == tonumber(most) and rows[#rows][1] or '' }
  for _, value in ipairs(order) do
    reply[#reply + 1] = value
    reply[#reply + 1] = counts[value]
  end
  return reply
end)
