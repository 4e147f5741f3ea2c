-- count_threads: how many of the given threads there are by pool, kind and status.
-- KEYS: 1 and on: the threads' chain records
-- Answer: a flat list of "pool|kind|status" and its count; a record that is gone is not counted.
local found, order = {}, {}
for i = 1, #KEYS do
  local c = redis.call("HMGET", KEYS[i], "pool", "kind", "status")
  if c[3] then
    local group = c[1] .. "|" .. c[2] .. "|" .. c[3]
    if not found[group] then
      found[group] = 0
      order[#order + 1] = group
    end
    found[group] = found[group] + 1
  end
end
local answer = {}
for i = 1, #order do
  answer[2 * i - 1], answer[2 * i] = order[i], found[order[i]]
end
return answer
