-- commit_cycle: everything one cycle writes, in one step; all checks come before the first write.
-- KEYS: 1 chain  2 due  3 epoch  4 farewell  5 outbox  6 eligible  7 running  8 policies  9 marks  10 broken-marks,
--       from 11 on the signature keys that must be unused
-- ARGV: 1 token  2 epoch  3 generation  4 seq  5 state  6 intents  7 order  8 status  9 new generation  10 new seq
--       11 countdown_ms of the next cycle, "" ends the chain  12 chain id  13 farewell_ms when the chain is deleted, or ""
--       from 14 on groups, each led by its number of arguments: outbox (id, text expected there or "")*, members*,
--       policy (pool, text expected or "")?, idle (change of the outbox's length)?, marks (names*, slots*, values*);
--       then prepared writes, each led by its number of arguments, to the end
-- Answer: "!reason", or "generation:seq" and a line "name|stored slot|stored value|slot|value" per mark that fell.
-- Amounts, slots and marks are decimal text without leading zeros, compared by length, then text.
local c = redis.call("HMGET", KEYS[1], "generation", "seq", "lease_token", "last_token", "last_answer")
if c[4] == ARGV[1] then return c[5] end
if not c[1] then
  local last = redis.call("GET", KEYS[4]) or ""
  if last:sub(1, #ARGV[1] + 1) == ARGV[1] .. "|" then return last:sub(#ARGV[1] + 2) end
  return "!superseded"
end
if (redis.call("GET", KEYS[3]) or "0") ~= ARGV[2] then return "!epoch" end
if c[1] ~= ARGV[3] or c[2] ~= ARGV[4] then return "!superseded" end
if c[3] ~= ARGV[1] then return "!lease" end
if #KEYS > 10 and redis.call("EXISTS", unpack(KEYS, 11)) > 0 then return "!signature" end

local at = 14
local function group()
  local first, count = at + 1, tonumber(ARGV[at])
  at = first + count
  return first, at - 1
end
local first, last = group()
for i = first, last, 2 do
  if (redis.call("HGET", KEYS[5], ARGV[i]) or "") ~= ARGV[i + 1] then return "!outbox" end
end
first, last = group()
for i = first, last do
  if redis.call("SISMEMBER", KEYS[6], ARGV[i]) == 0 then return "!members" end
end
first, last = group()
if first < last and (redis.call("HGET", KEYS[8], ARGV[first]) or "") ~= ARGV[last] then return "!policy" end
first, last = group()
if first == last and (redis.call("SCARD", KEYS[7]) > 0 or redis.call("HLEN", KEYS[5]) + ARGV[first] > 0) then
  return "!occupied"
end

local function below(a, b) return #a < #b or (#a == #b and a < b) end
local moved, answer = {}, { ARGV[9] .. ":" .. ARGV[10] }
first, last = group()
local n = (last - first + 1) / 3
local stored = n > 0 and redis.call("HMGET", KEYS[9], unpack(ARGV, first, first + n - 1))
for i = first, first + n - 1 do
  local name, slot, value = ARGV[i], ARGV[i + n], ARGV[i + 2 * n]
  local s, v = (stored[i - first + 1] or "|"):match("^(%d*)|(%d*)$")
  local later, earlier = below(s, slot), below(slot, s)
  if (later and below(value, v)) or (earlier and below(v, value)) then
    answer[#answer + 1] = table.concat({ name, s, v, slot, value }, "|")
  end
  if later or (not earlier and below(v, value)) then
    moved[#moved + 1], moved[#moved + 2] = name, slot .. "|" .. value
  end
end

if #moved > 0 then redis.call("HSET", KEYS[9], unpack(moved)) end
if #answer > 1 then redis.call("RPUSH", KEYS[10], unpack(answer, 2)) end
answer = table.concat(answer, "\n")
local due, live = "0", ARGV[11] ~= "" and "1" or "0"
if live == "1" then
  local time = redis.call("TIME")
  due = string.format("%.0f", time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[11])
  redis.call("ZADD", KEYS[2], due, ARGV[12])
else
  redis.call("ZREM", KEYS[2], ARGV[12])
end
if ARGV[13] == "" then
  redis.call("HSET", KEYS[1], "state", ARGV[5], "intents", ARGV[6], "order", ARGV[7], "status", ARGV[8], "generation",
    ARGV[9], "seq", ARGV[10], "live", live, "due_ms", due, "lease_token", "", "last_token", ARGV[1], "last_answer", answer)
else
  redis.call("DEL", KEYS[1])
  redis.call("SET", KEYS[4], ARGV[1] .. "|" .. answer, "PX", ARGV[13])
end
while at <= #ARGV do redis.call(unpack(ARGV, group())) end
return answer
