-- release_lease: gives a lease back.
-- KEYS: 1 lease
-- ARGV: 1 token
-- Answer: 1, or 0 when the token does not hold it.
if redis.call("GET", KEYS[1]) ~= ARGV[1] then return 0 end
redis.call("DEL", KEYS[1])
return 1
