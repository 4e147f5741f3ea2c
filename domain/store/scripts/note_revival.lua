-- note_revival: may the same message of a chain be sent once more? Doubles the pause while the chain does not move.
-- KEYS: 1 chain  2 revival  3 counters:cycles
-- ARGV: 1 first pause ms  2 longest pause ms  3 life of the note, ms
-- Answer: 1 (noted and counted) or 0.
local c = redis.call("HMGET", KEYS[1], "kind", "generation", "seq", "live")
if c[4] ~= "1" then return 0 end
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local step = c[2] .. ":" .. c[3]
local seen, count, at = (redis.call("GET", KEYS[2]) or ""):match("^(%d+:%d+):(%d+):(%d+)$")
if seen == step then
  if now < at + math.min(ARGV[1] * 2 ^ (count - 1), tonumber(ARGV[2])) then return 0 end
  count = count + 1
else
  count = 1
end
redis.call("SET", KEYS[2], string.format("%s:%.0f:%.0f", step, count, now), "PX", ARGV[3])
redis.call("HINCRBY", KEYS[3], c[1] .. ".revived", 1)
return 1
