-- renew_lease: keeps a lease that is still held.
-- KEYS: 1 lease
-- ARGV: 1 token  2 ttl_ms
-- Answer: 1, or 0 when the token does not hold it any more.
if redis.call("GET", KEYS[1]) ~= ARGV[1] then return 0 end
redis.call("PEXPIRE", KEYS[1], ARGV[2])
return 1
