-- mark_ready: the thread's wallet is set up.
-- KEYS: 1 chain
-- Answer: 1, or 0 when there is no such thread.
if redis.call("EXISTS", KEYS[1]) == 0 then return 0 end
redis.call("HSET", KEYS[1], "ready", "1")
return 1
