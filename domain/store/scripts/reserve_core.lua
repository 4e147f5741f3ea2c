-- reserve_core: sets lamports of the core wallet aside. Amounts are below 2^53 (the wrapper checks), so sums are exact
-- as long as they matter: a sum that is not is above any balance.
-- KEYS: 1 core-reserved
-- ARGV: 1 reservation id  2 lamports  3 balance of the core wallet
-- Answer: 1 when so much is reserved (now or before), 0 when the balance does not cover it.
local held = tonumber(redis.call("HGET", KEYS[1], ARGV[1]) or "-1")
if held >= tonumber(ARGV[2]) then return 1 end
local sum = ARGV[2] - math.max(held, 0)
for _, lamports in ipairs(redis.call("HVALS", KEYS[1])) do sum = sum + tonumber(lamports) end
if sum > tonumber(ARGV[3]) then return 0 end
redis.call("HSET", KEYS[1], ARGV[1], ARGV[2])
return 1
