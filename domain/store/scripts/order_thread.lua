-- order_thread: gives a thread a person's order and its chain a new generation, so nothing begun before can commit.
-- KEYS: 1 chain  2 due  3 running  4 eligible  5 the queue's list
-- ARGV: 1 thread id  2 expected generation  3 expected seq  4 command id  5 order kind  6 order  7 countdown_ms
--       8 new generation  9 message, then pairs: a status the order is accepted in, the status it sets
-- Answer: {"ok", status}, {"same", status} (this command's order was given before), or why not: {"gone"}, {"unready"},
--         {"conflict"} (generation or seq moved on: build the message again), {"ordered", the order at work},
--         {"state", status}.
local c = redis.call("HMGET", KEYS[1], "status", "generation", "seq", "order", "order_command", "ready")
local status = c[1]
if not status then return { "gone" } end
if c[5] == ARGV[4] then return { "same", status } end
if c[2] ~= ARGV[2] or c[3] ~= ARGV[3] then return { "conflict" } end
if c[6] ~= "1" then return { "unready" } end
if c[4] ~= "" then return { "ordered", c[4] } end
local target
for i = 10, #ARGV, 2 do
  if ARGV[i] == status then target = ARGV[i + 1] end
end
if not target then return { "state", status } end

local time = redis.call("TIME")
local due = string.format("%.0f", time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[7])
redis.call("HSET", KEYS[1], "status", target, "generation", ARGV[8], "order", ARGV[6], "order_command", ARGV[4],
  "live", "1", "due_ms", due, "lease_token", "")
redis.call("ZADD", KEYS[2], due, ARGV[1])
-- a stopped thread counts as running until its last operation is settled: what that brings must still find the
-- pool's share chain alive; the commit that ends the chain takes it out
if target == "running" then redis.call("SADD", KEYS[3], ARGV[1]) end
redis.call(target == "running" and ARGV[5] == "start" and "SADD" or "SREM", KEYS[4], ARGV[1])
redis.call("LPUSH", KEYS[5], ARGV[9])
return { "ok", target }
