-- acquire_lease: one holder of a name for some time.
-- KEYS: 1 lease
-- ARGV: 1 token  2 ttl_ms
-- Answer: 1 when the token holds the lease now, else 0.
local holder = redis.call("GET", KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call("SET", KEYS[1], ARGV[1], "PX", ARGV[2])
return 1
