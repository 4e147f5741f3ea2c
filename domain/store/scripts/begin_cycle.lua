-- begin_cycle: gives one delivery the chain's lease, or says why not.
-- KEYS: 1 chain  2 epoch  3 recovering  4 paused  5 journal  6 policies  7 counters:cycles  8 counters:lateness
-- ARGV: 1 generation  2 seq  3 lease_ms  4 token  5 the message's epoch or ""  6 "1": the recovery's own begin, for
--       which a chain need not be live and a recovery may be going on
-- Answer: "!reason", or one text of: epoch, now_ms, kind, due_ms, status, pool, config, state, intents, order, policy,
--         journal length, paused, joined by the unit separator, which no JSON text holds (a list costs the reader more).
--         A refusal writes its counter only.
-- The due time stays as it is: a delivery that dies is found by its lease, not by a later due time.
local c = redis.call("HMGET", KEYS[1], "kind", "generation", "seq", "live", "lease_token", "lease_until_ms",
  "due_ms", "status", "pool", "config", "state", "intents", "order")
local world = redis.call("MGET", KEYS[2], KEYS[3], KEYS[4])
local kind, epoch, recovery = c[1] or "gone", world[1] or "0", ARGV[6] == "1"

local function refuse(reason)
  redis.call("HINCRBY", KEYS[7], kind .. "." .. reason, 1)
  return "!" .. reason
end

if (ARGV[5] ~= "" and ARGV[5] ~= epoch) or (world[2] and not recovery) then return refuse("epoch") end
if not c[1] or (c[4] ~= "1" and not recovery) then return refuse("stopped") end
if c[2] ~= ARGV[1] or c[3] ~= ARGV[2] then return refuse("superseded") end

local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- the same token again is the same delivery, whose first answer got lost
local again = c[5] == ARGV[4]
if c[5] ~= "" and not again and now < tonumber(c[6]) then return refuse("busy") end

redis.call("HSET", KEYS[1], "lease_token", ARGV[4], "lease_until_ms", string.format("%.0f", now + ARGV[3]))
if not again and not recovery then
  -- histogram bucket: exact below 128 ms, then 32 per octave (histogram.py decodes them)
  local late = math.max(0, now - tonumber(c[7]))
  if late >= 128 then
    local shift = 2
    while late >= 2 ^ (shift + 6) do shift = shift + 1 end
    late = 128 + (shift - 2) * 32 + math.floor(late / 2 ^ shift) - 32
  end
  redis.call("HINCRBY", KEYS[8], kind .. ":" .. string.format("%.0f", late), 1)
  redis.call("HINCRBY", KEYS[7], kind .. ".started", 1)
end
local policy = c[9] ~= "" and redis.call("HGET", KEYS[6], c[9]) or ""
return table.concat({ epoch, string.format("%.0f", now), kind, c[7], c[8], c[9], c[10], c[11], c[12], c[13], policy,
  redis.call("XLEN", KEYS[5]), world[3] and 1 or 0 }, "\31")
