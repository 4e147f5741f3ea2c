-- raise_epoch: notes the Redis process that is seen now; another one than before may have lost data.
-- KEYS: 1 epoch  2 redis-run  3 recovering
-- ARGV: 1 run id
-- Answer: the epoch that holds now.
local seen = redis.call("GET", KEYS[2])
if seen and seen ~= ARGV[1] then
  redis.call("SET", KEYS[3], redis.call("INCR", KEYS[1]))
end
if seen ~= ARGV[1] then redis.call("SET", KEYS[2], ARGV[1]) end
return tonumber(redis.call("GET", KEYS[1]) or "0")
