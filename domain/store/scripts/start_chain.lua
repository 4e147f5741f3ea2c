-- start_chain: creates a pool's or a command's chain, or makes it live again with a new generation.
-- KEYS: 1 chain  2 due  3 the queue's list
-- ARGV: 1 chain id  2 expected generation or "" (absent)  3 expected seq or ""  4 kind  5 pool  6 config  7 countdown_ms
--       8 new generation  9 new seq  10 message  11 status
-- Answer: "started", "live" (it runs already) or "conflict" (generation or seq moved on: build the message again).
local c = redis.call("HMGET", KEYS[1], "generation", "seq", "live")
if c[3] == "1" then return "live" end
if (c[1] or "") ~= ARGV[2] or (c[2] or "") ~= ARGV[3] then return "conflict" end
local time = redis.call("TIME")
local due = string.format("%.0f", time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[7])
if not c[1] then
  redis.call("HSET", KEYS[1], "kind", ARGV[4], "pool", ARGV[5], "status", ARGV[11], "ready", "1", "state", "",
    "intents", "", "order", "", "lease_until_ms", "0")
end
redis.call("HSET", KEYS[1], "config", ARGV[6], "generation", ARGV[8], "seq", ARGV[9], "live", "1", "due_ms", due,
  "lease_token", "")
redis.call("ZADD", KEYS[2], due, ARGV[1])
redis.call("LPUSH", KEYS[3], ARGV[10])
return "started"
