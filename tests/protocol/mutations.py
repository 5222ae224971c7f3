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
    Mutation("dispatch knows no publish", "if known then", "if known and false then"),
    Mutation("dispatch sees no flag", "local cancelled = redis.call('EXISTS', flag) == 1", "local cancelled = false"),
    Mutation(
        "the open ledger has a TTL", "redis.call('PERSIST', task)\n  redis.call('ZADD', open, now, publish)", "redis.call('PEXPIRE', job, 100000)"
    ),
    Mutation(
        "take_up runs what is resolved", "if stands == 'resolved' then\n    redis.call('XACK', commands, group, entry)\n", "if false then\n", seed=125
    ),
    Mutation("take_up runs what is cancelled", "if stands == 'cancelled' then return", "if false then return"),
    Mutation("take_up counts by the pending list", "math.max(before + 1, tonumber(carried) + row[4])", "row[4]"),
    Mutation("take_up counts a lost reply", "redis.call('HGET', run, 'nonce') == nonce", "false"),
    Mutation("a name is the fence", "return redis.call('HGET', run, 'token') == token and owned(", "return owned(", seed=167),
    Mutation("the token is the fence", "== token and owned(stream, group, entry, consumer) ~= nil", "== token"),
    Mutation("finish sends twice", "if done[1] == token then return { 'finished', done[2] } end", ""),
    Mutation(
        "finish doesn't acknowledge",
        "local result = xadd(results, from(args, 5))\n  redis.call('XACK', commands, group, entry)",
        "local result = xadd(results, from(args, 5))",
    ),
    Mutation("retry_later never gives up", "if runs >= tonumber(max) or not fields then", "if not fields then", seed=277),
    Mutation("retry_later forgets", "redis.call('ZADD', delayed, due, member)", ""),
    Mutation("what was handed back counts", "redis.call('HINCRBY', run, 'runs', -1)", "redis.call('HINCRBY', run, 'runs', -2)", seed=1157),
    Mutation("the last result wins", "phase ~= 'open' or (winner and winner ~= result)", "phase ~= 'open'", seed=359),
    Mutation("begin opens what is closed", "phase ~= 'open' or (winner and winner ~= result)", "winner and winner ~= result"),
    Mutation("begin sees no cancel", "ledger[1] or 0", "0"),
    Mutation("begin drops what lost", "if fields and verdict ~= 'repeated' then", "if false then", seed=128),
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
    Mutation("repair sees no result", "if unacknowledged_result(results, results_group, publish, task_id, seq) then", "if false then"),
    Mutation("repair counts nothing", "local runs = redis.call('HINCRBY', run, 'runs', 1)", "local runs = 0", seed=161),
    Mutation("repair repairs nothing", "if phase ~= 'open' then return { 'fine:closed' } end", "do return { 'fine:closed' } end"),
    Mutation("trim sees no pending entry", "if info['pending'] > 0 then return", "if false then return"),
    Mutation("trim sees one group", "if not floor or id_before(low, floor) then floor = low end", "floor = low"),
)
