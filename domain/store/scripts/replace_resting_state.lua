-- replace_resting_state: another document for a thread that has no cycle to write it.
-- KEYS: 1 chain
-- ARGV: 1 expected generation  2 expected seq  3 expected state  4 state
-- Answer: 1, or 0 when the thread is gone, runs, or has moved on.
local c = redis.call("HMGET", KEYS[1], "generation", "seq", "state", "live")
if c[4] == "1" or c[1] ~= ARGV[1] or c[2] ~= ARGV[2] or c[3] ~= ARGV[3] then return 0 end
redis.call("HSET", KEYS[1], "state", ARGV[4])
return 1
