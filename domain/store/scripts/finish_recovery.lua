-- finish_recovery: ends the recovery of one epoch.
-- KEYS: 1 recovering
-- ARGV: 1 the epoch whose recovery is done
-- Answer: 1, or 0 when none or another one is going on.
if redis.call("GET", KEYS[1]) ~= ARGV[1] then return 0 end
redis.call("DEL", KEYS[1])
return 1
