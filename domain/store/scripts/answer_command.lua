-- answer_command: the first answer to a command, outside of a commit.
-- KEYS: 1 command
-- ARGV: prepared writes, each led by its number of arguments
-- Answer: 1, or 0 when it has an answer already (nothing is written then).
if redis.call("HEXISTS", KEYS[1], "answer") == 1 then return 0 end
local at = 1
while at <= #ARGV do
  local last = at + tonumber(ARGV[at])
  redis.call(unpack(ARGV, at + 1, last))
  at = last + 1
end
return 1
