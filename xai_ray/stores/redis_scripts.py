"""The Lua scripts of the Redis store. Each runs whole or not at all, and may be sent again without harm.

All keys of a job carry the hash tag {job}, so that they lie in one slot of a Redis Cluster, and every script names them all:

    xr:{job}:manifest   string   sealed JSON, put once; the job is there while this key is
    xr:{job}:status     hash     epoch: of the last claim; discards: how often records were removed; digest: of the manifest;
                                 state: of the last outcome, as JSON; units, evaluations: what was ever put (they only grow);
                                 group:<s>:<g>: units of group g of segment s put since it was last folded
    xr:{job}:segments   list     "start:stop:unit", contiguous from draw 0
    xr:{job}:units      hash     "start-stop" -> the record (stores/records.py), or, where it spilled, a pointer (redis_spill.py)
    xr:{job}:index      zset     "start:stop:size" of every fold, scored by start: draws [start, stop) in units of `size` draws
    xr:{job}:folds      hash     "start:stop:size" -> the records of these units as one blob (redis_folding.py)
    xr:{job}:commits    stream   unit, rows, token of the newest 10,000 commits: a wake-up for whoever follows, not the truth
    xr:{job}:events     stream   event, token: the event log, whole
    xr:{job}:schedule   stream   the same for the log of the scheduler
    xr:{job}:cancel     string   there while cancellation is requested
    xr:{job}:outcome    string   sealed JSON, replaced

    xr:jobs             zset     every job, scored by its creation (microseconds); has no hash tag and is used by no script

A unit has its record in `units` or in one fold, never in both. A token is drawn for every call: a script that is sent again because
its answer was lost finds its own token and answers as it did. Where a script adds and removes, it adds first: Redis refuses a first
write when it is out of memory and none after it, so a script is refused before it has changed anything.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

KEYS = (
    "manifest",
    "status",
    "segments",
    "units",
    "index",
    "folds",
    "commits",
    "events",
    "cancel",
    "outcome",
    "schedule",
)
"""Names of the keys of a job, in the order in which scripts take them."""

JOBS = "xr:jobs"

COMMANDS = (
    "eval evalsha exists get set del pttl persist pexpire hget hset hsetnx hdel hexists hkeys hlen hstrlen hincrby "
    "lindex rpush lrange zadd zrem zrange zrevrangebyscore xadd xrange xrevrange zscore info"
)
"""All that the store asks of a server: what an ACL must allow, on the keys ~xr:*, besides @connection."""


@dataclass(frozen=True, slots=True)
class Script:
    """A script and the name by which a server that has seen it finds it."""

    source: str
    sha: str


def keys_of(job: str) -> list[str]:
    """The keys of a job, in the order of `KEYS`."""
    return [f"xr:{{{job}}}:{name}" for name in KEYS]


_PRELUDE = """
local manifest, status, segments, units, index, folds, commits, events, cancel, outcome, schedule = unpack(KEYS)
if redis.call('EXISTS', manifest) == 0 then return 'no such job' end
local function revive()
  if redis.call('PTTL', manifest) > 0 then
    for _, key in ipairs(KEYS) do redis.call('PERSIST', key) end
  end
end
local function fold_of(start, stop)
  local found = redis.call('ZREVRANGEBYSCORE', index, start, '-inf', 'LIMIT', 0, 1)[1]
  if not found then return false end
  local first, last, size = string.match(found, '^(%d+):(%d+):(%d+)$')
  first, last, size, start, stop = tonumber(first), tonumber(last), tonumber(size), tonumber(start), tonumber(stop)
  if start < last and (start - first) % size == 0 and stop == math.min(start + size, last) then return found end
  return false
end
local function put_by_this_call(stream, token, back)
  for _, entry in ipairs(redis.call('XREVRANGE', stream, '+', '-', 'COUNT', back)) do
    local pairs_of = entry[2]
    if pairs_of[#pairs_of] == token then return true end
  end
  return false
end
"""


def _script(body: str, prelude: str = _PRELUDE) -> Script:
    source = prelude + body
    return Script(source, hashlib.sha1(source.encode()).hexdigest())


OPEN = _script(
    """
local manifest, status = KEYS[1], KEYS[2]
local there = redis.call('GET', manifest)
if not there then
  redis.call('SET', manifest, ARGV[1])
  redis.call('HSET', status, 'digest', ARGV[2])
  return ARGV[1]
end
if redis.call('HGET', status, 'digest') == ARGV[2] and redis.call('PTTL', manifest) > 0 then
  for _, key in ipairs(KEYS) do redis.call('PERSIST', key) end
end
return there
""",
    prelude="",
)
"""ARGV: sealed manifest, digest. The manifest that is there."""

GET = _script("return redis.call('GET', KEYS[tonumber(ARGV[1])])")
"""ARGV: place in `KEYS`. The string there, or nil."""

CLAIM = _script("revive() return redis.call('HINCRBY', status, 'epoch', 1)")
"""The new epoch."""

EXTEND = _script(
    """
local newest = redis.call('LINDEX', segments, -1)
local stop = newest and string.match(newest, ':(%d+):') or '0'
if stop == ARGV[1] then
  redis.call('RPUSH', segments, ARGV[1] .. ':' .. ARGV[2] .. ':' .. ARGV[3])
  revive()
end
return redis.call('LRANGE', segments, 0, -1)
"""
)
"""ARGV: start, stop, unit. The segments that hold now."""

SEGMENTS = _script("return redis.call('LRANGE', segments, 0, -1)")

COMMIT = _script(
    """
local unit, record, start, stop, epoch, rows, token, group, full = unpack(ARGV)
if tonumber(epoch) > 0 and tonumber(epoch) < tonumber(redis.call('HGET', status, 'epoch') or 0) then return {-1, 0} end
if fold_of(start, stop) or redis.call('HSETNX', units, unit, record) == 0 then
  return {put_by_this_call(commits, token, 1000) and 1 or 0, 0}
end
redis.call('HINCRBY', status, 'units', 1)
redis.call('HINCRBY', status, 'evaluations', rows)
redis.call('XADD', commits, 'MAXLEN', '~', 10000, '*', 'unit', unit, 'rows', rows, 'token', token)
revive()
if group == '' then return {1, 0} end
return {1, redis.call('HINCRBY', status, group, 1) >= tonumber(full) and 1 or 0}
"""
)
"""ARGV: unit, record, start, stop, epoch, rows, token, counter of the group or '', units in a full group.

{1 put, 0 duplicate, -1 fenced; 1 if the group may be full}."""

COMMITTED = _script("return {redis.call('HKEYS', units), redis.call('ZRANGE', index, 0, -1)}")
"""Units, folds."""

READ = _script(
    """
local answer, bytes, budget = {redis.call('HGET', status, 'discards') or '0'}, 0, tonumber(ARGV[1])
for at = 2, #ARGV, 2 do
  if bytes > budget then break end
  local record = redis.call('HGET', units, ARGV[at] .. '-' .. ARGV[at + 1])
  if record then
    bytes = bytes + #record
    answer[#answer + 1] = record
  else
    local fold = fold_of(ARGV[at], ARGV[at + 1])
    answer[#answer + 1] = fold and {fold} or 0
  end
end
return answer
"""
)
"""ARGV: bytes after which to stop, then start and stop of units. Discards, and for each unit, as far as it goes: record, {fold} or 0."""

READ_FOLD = _script(
    """
return redis.call('HGET', folds, ARGV[1]) or (redis.call('ZSCORE', index, ARGV[1]) and '')
"""
)
"""ARGV: fold. Its blob, nil if it was taken apart meanwhile, empty if it is lost."""

SIZES = _script(
    """
local sizes = {}
for at = 1, #ARGV, 2 do
  local unit = ARGV[at] .. '-' .. ARGV[at + 1]
  local size = redis.call('HSTRLEN', units, unit)
  if size == 0 and redis.call('HEXISTS', units, unit) == 0 then
    size = fold_of(ARGV[at], ARGV[at + 1]) and -1 or 0
  elseif size < 1024 and string.sub(redis.call('HGET', units, unit), 1, 1) == '{' then
    size = -1
  end
  sizes[#sizes + 1] = size
end
return {redis.call('HGET', status, 'discards') or '0', sizes}
"""
)
"""ARGV: start and stop of units. {discards, for each unit: bytes, -1 if it is folded or spilled, 0 if it has no record}."""

FOLD = _script(
    """
local first, last, size = string.match(ARGV[2], '^(%d+):(%d+):(%d+)$')
local known = false
for _, segment in ipairs(redis.call('LRANGE', segments, 0, -1)) do
  local start, stop, unit = string.match(segment, '^(%d+):(%d+):(%d+)$')
  start, stop = tonumber(start), tonumber(stop)
  known = known or unit == size and first - start >= 0 and last - stop <= 0 and (first - start) % unit == 0
end
if not known then return 0 end
if (redis.call('HGET', status, 'discards') or '0') ~= ARGV[1] then return 0 end
for at = 6, #ARGV do
  if redis.call('HEXISTS', units, ARGV[at]) == 0 then return 0 end
end
redis.call('HSET', folds, ARGV[2], ARGV[3])
redis.call('ZADD', index, ARGV[4], ARGV[2])
for at = 6, #ARGV do redis.call('HDEL', units, ARGV[at]) end
redis.call('HDEL', status, ARGV[5])
if redis.call('PTTL', manifest) > 0 then
  redis.call('PEXPIRE', folds, redis.call('PTTL', manifest))
  redis.call('PEXPIRE', index, redis.call('PTTL', manifest))
end
return 1
"""
)
"""ARGV: discards when the records were read, fold, blob, start, counter of the group, units. 1, or 0 if they changed meanwhile.

A record is put once and changes only by a discard, so the same count of discards means the same records. Only units of a segment are
folded: they do not overlap, so a unit is looked for in one fold. (Whoever remembers segments of a job that expired is refused here.)"""

DISCARD = _script(
    """
local held = redis.call('HGET', units, ARGV[1])
if held then
  redis.call('HDEL', units, ARGV[1])
  redis.call('HINCRBY', status, 'discards', 1)
  return held
end
local fold = fold_of(ARGV[2], ARGV[3])
return fold and {fold, redis.call('HGET', status, 'discards') or '0'} or 0
"""
)
"""ARGV: unit, start, stop. What was removed, 0 if there was nothing, or {fold, discards} if the unit is in a fold."""

UNFOLD = _script(
    """
if (redis.call('HGET', status, 'discards') or '0') ~= ARGV[1] then return 0 end
if not redis.call('ZSCORE', index, ARGV[2]) then return 0 end
for at = 3, #ARGV, 2 do redis.call('HSET', units, ARGV[at], ARGV[at + 1]) end
redis.call('ZREM', index, ARGV[2])
redis.call('HDEL', folds, ARGV[2])
redis.call('HINCRBY', status, 'discards', 1)
revive()
return 1
"""
)
"""ARGV: discards, fold, then unit and record of those that stay. 1, or 0 if something changed meanwhile."""

APPEND = _script(
    """
local log = KEYS[tonumber(ARGV[3])]
if put_by_this_call(log, ARGV[2], 64) then return 1 end
redis.call('XADD', log, '*', 'event', ARGV[1], 'token', ARGV[2])
if redis.call('PTTL', manifest) > 0 then redis.call('PEXPIRE', log, redis.call('PTTL', manifest)) end
return 1
"""
)
"""ARGV: event, token, place of the log in `KEYS`."""

EVENTS = _script(
    """
local texts = {}
local from = ARGV[2]
for _, entry in ipairs(redis.call('XRANGE', KEYS[tonumber(ARGV[1])], from, '+', 'COUNT', 64)) do
  texts[#texts + 1] = entry[1]
  texts[#texts + 1] = entry[2][2]
end
return texts
"""
)
"""ARGV: place of the log in `KEYS`, where to begin: '-', or '(' and the last id. Ids and events, at most 64 at a time."""

CANCEL = _script(
    """
if ARGV[1] == '1' then redis.call('SET', cancel, '1') else redis.call('DEL', cancel) end
if redis.call('PTTL', manifest) > 0 then redis.call('PEXPIRE', cancel, redis.call('PTTL', manifest)) end
return 1
"""
)
"""ARGV: 1 or 0."""

CANCELLED = _script("return redis.call('EXISTS', cancel)")

CLOSE = _script(
    """
if tonumber(ARGV[3]) > 0 and tonumber(ARGV[3]) < tonumber(redis.call('HGET', status, 'epoch') or 0) then return -1 end
redis.call('SET', outcome, ARGV[1])
redis.call('HSET', status, 'state', ARGV[2])
revive()
return 1
"""
)
"""ARGV: sealed outcome, its state, epoch. 1, or -1 if fenced."""

EXPIRE = _script(
    """
local state = redis.call('HGET', status, 'state') or ''
if state == '"done"' then
  for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, ARGV[1]) end
end
return {state}
"""
)
"""ARGV: milliseconds. {state of the job}; only a job that is done gets them."""
