-- abandon_thread: removes a thread whose setup failed for good; its sealed key stays.
-- KEYS: 1 chain  2 threads  3 tombstones  4 swap slot, only for a swap thread
-- ARGV: 1 thread id  2 tombstone
-- Answer: 1, or 0 when it is gone, ready or live.
local c = redis.call("HMGET", KEYS[1], "ready", "live")
if c[1] ~= "0" or c[2] ~= "0" then return 0 end
if KEYS[4] and redis.call("GET", KEYS[4]) == ARGV[1] then redis.call("DEL", KEYS[4]) end
redis.call("HSET", KEYS[3], ARGV[1], ARGV[2])
redis.call("ZREM", KEYS[2], ARGV[1])
redis.call("DEL", KEYS[1])
return 1
