-- Records a decided micro-batch: atomic, one round trip. The first decision on a transaction_id stands.
--
-- KEYS[1]  the log, a stream.  KEYS[2]  what its entries refer to, a hash.  KEYS[3+] claim key of each transaction.
-- ARGV[1]  the entry.  ARGV[2]  seconds that a decision is kept for retries.  ARGV[3]  number of references r.
-- ARGV[4+] r references, name and text, then claim and decision of each transaction.
-- Returns  row (from 0) and value of its claim key, one after the other, for each transaction whose id was taken: by
--          an earlier decision, or by another body. The log gets the others, marked by 1 in `fresh`.
--
-- A claim key holds the claim; with a decision: claim, id of the log entry, decision, a line each.

local first = 4 + 2 * tonumber(ARGV[3])
local rows = #KEYS - 2
local fresh, taken, ours, any = {}, {}, {}, false

for i = 1, rows do
  local key, claim = KEYS[i + 2], ARGV[first + 2 * i - 2]
  local standing = redis.call('GET', key)
  if ours[key] then
    fresh[i] = '0'
    taken[#taken + 1] = i
  elseif not standing or standing == claim then
    ours[key] = i
    fresh[i], any = '1', true
  else
    fresh[i] = '0'
    taken[#taken + 1] = i
  end
end

if any then
  for i = 4, first - 1, 2 do redis.call('HSETNX', KEYS[2], ARGV[i], ARGV[i + 1]) end
  local id = redis.call('XADD', KEYS[1], '*', 'fresh', table.concat(fresh), 'entry', ARGV[1])
  for key, i in pairs(ours) do
    local value = ARGV[first + 2 * i - 2] .. '\n' .. id .. '\n' .. ARGV[first + 2 * i - 1]
    redis.call('SET', key, value, 'EX', ARGV[2])
  end
end

local found = {}
for at, i in ipairs(taken) do
  found[2 * at - 1] = i - 1
  found[2 * at] = redis.call('GET', KEYS[i + 2])
end
return found
