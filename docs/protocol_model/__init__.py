"""An executable model of docs/protocol.md: who takes part may be interrupted between any two atomic steps, and every order of the steps is looked at.

    python -m docs.protocol_model                   each scenario, exhaustively; then long random walks: no invariant breaks
    python -m docs.protocol_model without RULE      the shortest way to break an invariant when that rule is taken away
    python -m docs.protocol_model mutations         each rule taken away: something must break
    python -m docs.protocol_model rules             the rules that can be taken away

A state is an immutable value. What can happen next is yielded by one generator for each part: `celery_workers` (S1), `stream_workers` (S2, S5), `upkeep`
(R7, R11, R13 and what expires), `bridges` (S3, S4) and `operators` (R10, R12, R16). Ghosts are what really happened, which no part of the system sees;
invariants are looked at where a ghost changes (`State.broken`) and where nothing happens by itself any more (`at_rest`).

One task id in all, so one stored state. `a` is its first publish, `a+` the retry of `a`, `a'` the redrive of `a`; `b` is the same task id sent a second time.
"""
