-- A worker says how things stand with it, and hears what is asked of it. It is of no job, so no rule of the protocol has a number for it.

-- KEYS: status
-- ARGV: orders, workers, name, last order heard, status cap, then the flat fields of a worker status
-- `orders` and `workers` are management's, which a worker may only read: they come through ARGV, as `job` does elsewhere. A worker that may not read them
-- is still heard of.
-- Returns {orders after the last one heard: {{id, fields} ...}, what was last told under this name, or ''}
redis.register_function('csb1_announce', function(keys, args)
  local orders, workers, name, heard, cap = unpack(args)
  redis.call('XADD', keys[1], 'MAXLEN', '~', cap, '*', unpack(from(args, 6)))
  local given = redis.pcall('XRANGE', orders, '(' .. heard, '+')
  local told = redis.pcall('HGET', workers, name)
  return { given.err and {} or given, type(told) == 'string' and told or '' }
end)
