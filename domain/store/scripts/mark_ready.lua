-- mark_ready: the thread's wallet is set up.
-- KEYS: 1 chain
-- ARGV: 1 state, kept only while the thread has none: by a second call the thread may have run
-- Answer: 1, or 0 when there is no such thread.
local state = redis.call("HGET", KEYS[1], "state")
if not state then return 0 end
redis.call("HSET", KEYS[1], "ready", "1", "state", state == "" and ARGV[1] or state)
return 1
