-- The event bus: messages of any kind, outside the ledger of jobs.

-- Add a message once, however often it is sent: what its idempotency key stands for is remembered in the same step.
-- KEYS: sent, stream   ARGV: life of the key (ms), cap or '', then the message's flat fields
-- Returns {verdict, entry}: sent | known
redis.register_function('csb1_send_once', function(keys, args)
  local sent, stream = unpack(keys)
  local life, cap = unpack(args)
  local earlier = redis.call('GET', sent)
  if earlier then return { 'known', earlier } end
  local entry = xadd(stream, from(args, 3))
  redis.call('SET', sent, entry, 'PX', life)
  if cap ~= '' then redis.call('XTRIM', stream, 'MAXLEN', '~', cap) end
  return { 'sent', entry }
end)

-- The next delivery of an entry whose handler failed, to the consumer that has it. The number makes a repeat of this step harmless.
-- KEYS: stream   ARGV: group, consumer, entry, number of that delivery
-- Returns {verdict}: run | lost
redis.register_function('csb1_deliver_again', function(keys, args)
  local group, consumer, entry, number = unpack(args)
  if not owned(keys[1], group, entry, consumer) then return { 'lost' } end
  redis.call('XCLAIM', keys[1], group, consumer, 0, entry, 'RETRYCOUNT', number, 'JUSTID')
  return { 'run' }
end)

-- Give an entry up: the dead letter and the acknowledgement are one step, of the entry's owner only.
-- KEYS: stream, dead letters
-- ARGV: group, consumer, entry, number of what is said of it, that (name, value ...), then the entry's fields as they were read, should it be gone
-- Returns {verdict, dead letter id}: dead_lettered | lost
redis.register_function('csb1_give_up', function(keys, args)
  local stream, dead = unpack(keys)
  local group, consumer, entry, said = unpack(args)
  if not owned(stream, group, entry, consumer) then return { 'lost', '' } end
  local last = 4 + tonumber(said)
  local why, read = { unpack(args, 5, last) }, from(args, last + 1)
  local letter = xadd(dead, joined(without(entry_fields(stream, entry) or read, DEAD_FIELDS), { 'source_stream', stream, 'source_id', entry }, why))
  redis.call('XACK', stream, group, entry)
  return { 'dead_lettered', letter }
end)

-- Move entries of the predecessor's streams, each to its place now, in the order they are named: an entry is added and deleted together, or neither.
-- KEYS: the streams, old and new   ARGV: moment, then for each entry the number of its stream in KEYS, its id, its time, the number of the new stream
-- Returns how many were moved; one that is gone was moved by another run.
redis.register_function('csb1_migrate', function(keys, args)
  local moved = 0
  for i = 2, #args, 4 do
    local source, entry, written, target = keys[tonumber(args[i])], args[i + 1], args[i + 2], keys[tonumber(args[i + 3])]
    local fields = entry_fields(source, entry)
    if fields then
      xadd(target, joined(fields, { 'original_stream', source, 'original_id', entry, 'original_time', written, 'migrated_at', args[1] }))
      redis.call('XDEL', source, entry)
      moved = moved + 1
    end
  end
  return moved
end)
