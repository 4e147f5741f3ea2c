-- register_command: notes a command under its idempotency id.
-- KEYS: 1 command  2 open-commands
-- ARGV: 1 command id  2 method  3 params  4 the caller's nonce
-- Answer: 1 when this caller registered it (now, or before and the reply got lost), 0 when another did.
local nonce = redis.call("HGET", KEYS[1], "nonce")
if nonce == ARGV[4] then return 1 end
if redis.call("EXISTS", KEYS[1]) == 1 then return 0 end
local time = redis.call("TIME")
local now = string.format("%.0f", time[1] * 1000 + math.floor(time[2] / 1000))
redis.call("HSET", KEYS[1], "method", ARGV[2], "params", ARGV[3], "nonce", ARGV[4], "created_ms", now)
redis.call("ZADD", KEYS[2], now, ARGV[1])
return 1
