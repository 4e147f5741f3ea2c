-- create_thread: stores a new thread with its sealed key and takes its swap slot.
-- KEYS: 1 chain  2 threads  3 wallets  4 tombstones  5 numbers  6 swap slot, only for a swap thread
-- ARGV: 1 thread id  2 wallet address  3 sealed key  4 kind  5 pool  6 config  7 state  8 status  9 index  10 ready "1"|"0"
-- Answer: "new", "same" (this thread with this wallet is there), "taken" (the slot is another's), "used" (the id is).
local wallet = redis.call("HGET", KEYS[1], "wallet")
if wallet == ARGV[2] then return "same" end
if wallet or redis.call("HEXISTS", KEYS[4], ARGV[1]) == 1 then return "used" end
if KEYS[6] then
  local holder = redis.call("GET", KEYS[6])
  if holder and holder ~= ARGV[1] then return "taken" end
  redis.call("SET", KEYS[6], ARGV[1])
end
-- an imported thread brings a number and an index of its own: those to come go on after them
local function at_least(field, number)
  if number > tonumber(redis.call("HGET", KEYS[5], field) or "0") then redis.call("HSET", KEYS[5], field, number) end
end
at_least(ARGV[4], tonumber(ARGV[1]:match("_(%d+)$") or "0"))
at_least("index", ARGV[9] + 1)
redis.call("HSET", KEYS[3], ARGV[1], ARGV[3])
redis.call("ZADD", KEYS[2], ARGV[9], ARGV[1])
redis.call("HSET", KEYS[1], "kind", ARGV[4], "status", ARGV[8], "generation", "0", "seq", "0", "live", "0", "ready",
  ARGV[10], "lease_token", "", "lease_until_ms", "0", "due_ms", "0", "pool", ARGV[5], "config", ARGV[6],
  "state", ARGV[7], "intents", "", "order", "", "wallet", ARGV[2])
return "new"
