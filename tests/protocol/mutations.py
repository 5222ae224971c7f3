"""The function library with one of its checks taken out: whoever tests the protocol must find each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from streams.bus.functions import library_source


@dataclass(frozen=True, slots=True)
class Mutation:
    """Some text of the library, and what is there instead."""

    name: str
    old: str
    new: str
    seed: int = 1
    """Where to begin to look, when it is rarely found."""

    def source(self) -> str:
        """The whole library, changed in that place."""
        whole = library_source()
        assert whole.count(self.old) == 1, f"{self.name}: this isn't in the library once: {self.old}"
        return whole.replace(self.old, self.new)


MUTATIONS: Final = (
    Mutation("dispatch knows no publish", "if known then return { 'duplicate'", "if known and false then return { 'duplicate'"),
    Mutation("dispatch sees no flag", "local cancelled = is_flagged(", "local cancelled = false and is_flagged("),
    Mutation(
        "the open ledger has a TTL", "redis.call('PERSIST', task)\n  redis.call('ZADD', open, now, publish)", "redis.call('PEXPIRE', job, 100000)"
    ),
    Mutation(
        "take_up runs what is resolved", "if stands == 'resolved' then\n    redis.call('XACK', commands, group, entry)\n", "if false then\n", seed=50
    ),
    Mutation("take_up runs what is cancelled", "if stands == 'cancelled' then return", "if false then return"),
    Mutation("take_up counts by the pending list", "math.max(before + 1, tonumber(carried) + row[4])", "row[4]"),
    Mutation("take_up counts a lost reply", "redis.call('HGET', run, 'nonce') == nonce", "false"),
    Mutation("a name is the fence", "return redis.call('HGET', run, 'token') == token and owned(", "return owned("),
    Mutation("the token is the fence", "== token and owned(stream, group, entry, consumer) ~= nil", "== token"),
    Mutation("finish sends twice", "if done[1] == token then return { 'finished', done[2] } end", ""),
    Mutation(
        "finish doesn't acknowledge",
        "local result = xadd(results, from(args, 5))\n  redis.call('XACK', commands, group, entry)",
        "local result = xadd(results, from(args, 5))",
    ),
    Mutation("retry_later never gives up", "if runs >= tonumber(max) or not fields then", "if not fields then"),
    Mutation("retry_later forgets", "redis.call('ZADD', delayed, due, member)", ""),
    Mutation("what was handed back counts", "redis.call('HINCRBY', run, 'runs', -1)", "redis.call('HINCRBY', run, 'runs', -2)"),
    Mutation("the last result wins", "phase ~= 'open' or (winner and winner ~= result)", "phase ~= 'open'", seed=20),
    Mutation("begin opens what is closed", "phase ~= 'open' or (winner and winner ~= result)", "winner and winner ~= result"),
    Mutation("begin sees no cancel", "ledger[1] or 0", "0"),
    Mutation("begin drops what lost", "if fields and verdict ~= 'repeated' then", "if false then"),
    Mutation("resolved closes nothing", "redis.call('HSET', job, 'phase', 'closed', 'closed_at', now, 'outcome', outcome)", ""),
    Mutation("resolved lets the counter go", "if redis.call('HINCRBY', task, 'open', -1) <= 0 then", "if true then"),
    Mutation("SUCCESS isn't sticky", "if old[3] == 'SUCCESS' and success_is_stored() then return false end", ""),
    Mutation(
        "any state is stored", "elseif not rises and not (seq == old_seq and rank == PROGRESS and old_rank == PROGRESS) then", "elseif false then"
    ),
    Mutation("the mark isn't raised", "if rises then redis.call('HSET', mark, 'seq', seq, 'rank', rank) end", ""),
    Mutation("promote forgets", "redis.call('ZREM', delayed, member)\n", "redis.call('ZREM', delayed, member)\n  do return '' end\n"),
    Mutation("cancel is never too late", "if phase ~= 'open' or winner then return 'too late' end", ""),
    Mutation("repair sees no unread command", "then return { 'fine:unread' } end", "then end"),
    Mutation("repair sees no pending command", "then return { 'fine:pending' } end", "then end"),
    Mutation("repair sees no delayed command", "if redis.call('ZSCORE', delayed, publish) then", "if false then"),
    Mutation("repair sees no result", "if unacknowledged_result(results, results_group, publish, task_id, seq, after) then", "if false then"),
    Mutation("repair counts nothing", "local runs = redis.call('HINCRBY', run, 'runs', 1)", "local runs = 0", seed=35),
    Mutation("repair repairs nothing", "if phase ~= 'open' then return { 'fine:closed' } end", "do return { 'fine:closed' } end"),
    Mutation(
        "expired is said of what may have run",
        "tonumber(expires) <= tonumber(now) and not once then",
        "tonumber(expires) <= tonumber(now) then",
        seed=65,
    ),
    Mutation("repair runs at most once again", "if runs >= tonumber(max) or at_most_once(command) then", "if runs >= tonumber(max) then"),
    Mutation("reap runs what is resolved", "if stands == 'resolved' or not fields then", "if not fields then", seed=35),
    Mutation("reap runs at most once again", "if runs >= tonumber(max) or at_most_once(fields) then", "if runs >= tonumber(max) then"),
    Mutation(
        "reap counts nothing",
        "local runs = math.max(tonumber(redis.call('HGET', run, 'runs') or 0), tonumber(field(fields,",
        "local runs = math.max(0, 0 * tonumber(field(fields,",
        seed=75,
    ),
    Mutation("resolved keeps no parent", "if outcome == 'RETRY' and not came and redis.call('EXISTS', retry_job) == 0 then", "if false then"),
    Mutation(
        "resolved keeps each parent", "if outcome == 'RETRY' and not came and redis.call('EXISTS', retry_job) == 0 then", "if outcome == 'RETRY' then"
    ),
    Mutation("dispatch lets no parent go", "if redis.call('ZREM', retrying, parent) == 1 then", "if false then"),
    Mutation("a retry that has ended leaves no outcome", "redis.call('HSET', parent_job, 'outcome', state)\n", "", seed=180),
    Mutation(
        "what is closed later is forgotten first",
        "local longest = math.max(tonumber(tombstone), tonumber(redis.call('HGET', task, 'tombstone') or 0))",
        "local longest = tonumber(tombstone)",
    ),
    Mutation("redrive knows no redrive", "if done[1] then return { 'duplicate',", "if false then return { 'duplicate',"),
    Mutation("redrive sees nothing open", "if other == 'open' then return { 'refused:open' } end", ""),
    Mutation("redrive sees nothing parked", "if other == 'parked' and keys[i] ~= job then return { 'refused:parked' } end", "", seed=180),
    Mutation("redrive of what hasn't failed", "if outcome ~= 'FAILURE' then return { 'refused:'", "if false then return { 'refused:'", seed=80),
    Mutation("redrive sees no discard", " or phase ~= seen_phase then", " then", seed=130),
    Mutation("redrive sees no new run", "if redis.call('HGET', task, 'seq') ~= seen or", "if"),
    Mutation("redrive pardons nothing", "if cancel then redis.call('HSET', task, 'pardon:' .. lineage, cancel) end", "", seed=1100),
    Mutation(
        "redrive takes the flag away",
        "if cancel then redis.call('HSET', task, 'pardon:' .. lineage, cancel) end",
        "redis.call('DEL', flag)",
        seed=150,
    ),
    Mutation("redrive leaves it parked", "redis.call('HSET', job, 'phase', 'closed', 'closed_at', now, 'outcome', 'REDRIVEN')", ""),
    Mutation("park by any result", "if winner ~= result then\n    redis.call('XACK', results, group, entry)\n    return { 'superseded' }\n  end", ""),
    Mutation("park whatever its phase", "if phase ~= 'open' then return { 'repeated' } end\n  local verdict", "local verdict"),
    Mutation(
        "park acknowledges nothing",
        "redis.call('XACK', results, group, entry)\n  if phase ~= 'open' then return { 'repeated' } end\n  local verdict",
        "if phase ~= 'open' then return { 'repeated' } end\n  local verdict",
    ),
    Mutation("park sees no revoke", "if is_flagged(flag, task, lineage) then", "if false then"),
    Mutation(
        "a retry's end is not its lineage's", "  lineage_ended(task, lineage, seq, state)\n  return { 'ended' }", "  return { 'ended' }", seed=180
    ),
    Mutation(
        "whatever is closed last ends the lineage", "if last and tonumber(string.match(last, '^%d+')) > tonumber(seq) then return end", "", seed=1008
    ),
    Mutation("release isn't for good", "'phase', 'open', 'released', 1, 'winner'", "'phase', 'open', 'winner'"),
    Mutation("release keeps the old winner", "'released', 1, 'winner', results .. ' ' .. result)", "'released', 1)"),
    Mutation("a revoke sees nothing parked", "if phase == 'parked' then\n    release(", "if false then\n    release("),
    Mutation("a revoke of what is parked is no cancel", "if signum ~= '' then redis.call('HSET', job, 'cancel', signum) end", ""),
    Mutation("trim sees no pending entry", "if info['pending'] > 0 then return", "if false then return"),
    Mutation("trim sees one group", "if not floor or id_before(low, floor) then floor = low end", "floor = low"),
)
