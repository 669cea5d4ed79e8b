-- Reads the past of each transaction of a micro-batch, then appends the transaction: atomic, one round trip.
--
-- The constants in capitals come from features/definitions.py and stand before this text (features/online.py).
-- KEYS     customer, device, merchant and claim key of each transaction, in order of arrival; '' where it has none.
-- ARGV[1]  '1' to return the past, '0' to append alone (backfill).
-- ARGV[2+] an event record and a claim a transaction. The record has RECORD_BYTES: time_ms i64, amount_minor i64,
--          hash 8 bytes, lat_udeg i32, long_udeg i32, little-endian.
-- Returns  customer log, device log and merchant state of each transaction, as they were before it; '' where
--          there is none. (Concatenating them here costs several times what the client pays to join them.)
--
-- A transaction that its customer's log already holds is a retry: its past is returned, nothing is written. One
-- whose id is claimed for another body is written nowhere; the decision log (deployments/ledger) tells its client.

local function holds(log, hash)
  local at = 0
  while true do
    at = string.find(log, hash, at + 1, true)
    if not at then return false end
    if at % RECORD_BYTES == HASH_AT then return true end
  end
end

local function append(key, log, record, time_ms)
  local size = #log
  if size == 0 then
    redis.call('SET', key, record, 'EX', LOG_TTL_S)
    return
  end
  local oldest_ms = time_ms - LOG_RETENTION_MS
  -- A day of slack, and twice the bound on events, make the rewrite rare. What lies past the bounds does not
  -- count in any evaluator, so when it leaves does not matter.
  if size >= 2 * LOG_BYTES or struct.unpack('<i8', log) < oldest_ms - DAY_MS then
    local from = math.max(1, size - LOG_BYTES + 1)
    while from <= size and struct.unpack('<i8', log, from) < oldest_ms do from = from + RECORD_BYTES end
    redis.call('SET', key, string.sub(log, from) .. record, 'EX', LOG_TTL_S)
    return
  end
  redis.call('APPEND', key, record)
  -- Once a day of event time is enough to keep the key alive.
  local last_ms = struct.unpack('<i8', log, size - RECORD_BYTES + 1)
  if math.floor(last_ms / DAY_MS) ~= math.floor(time_ms / DAY_MS) then
    redis.call('EXPIRE', key, LOG_TTL_S)
  end
end

-- How many of a day lie before its second, third and fourth quarter, with one more at time_ms.
local function count_before_quarters(state, at, is_new, time_ms)
  local second, third, fourth = 0, 0, 0
  if not is_new then second, third, fourth = struct.unpack('<I4I4I4', state, at + 1) end
  local quarter = math.floor(time_ms % DAY_MS / DAY_QUARTER_MS)
  if quarter < 1 then second = second + 1 end
  if quarter < 2 then third = third + 1 end
  if quarter < 3 then fourth = fourth + 1 end
  return struct.pack('<I4I4I4', second, third, fourth)
end

local function count_in_tile(key, state, level, time_ms, amount_minor)
  local tile = math.floor(time_ms / level.tile_ms)
  local at = level.at + (tile % level.tiles) * level.bytes
  local stored, count, total = struct.unpack('<I4I4i8', state, at + 1)
  if stored > tile then return end
  if stored < tile then count, total = 0, 0 end
  local record = struct.pack('<I4I4i8', tile, count + 1, total + amount_minor)
  if level.tile_ms == DAY_MS then
    record = record .. count_before_quarters(state, at + TILE_BYTES, stored < tile, time_ms)
  end
  redis.call('SETRANGE', key, at, record)
end

local function update_merchant(key, state, record, time_ms, amount_minor)
  if state == '' then
    state = EMPTY_MERCHANT
    redis.call('SET', key, state, 'EX', MERCHANT_TTL_S)
  end
  local arrivals = struct.unpack('<i8', state)
  local slot_at = 8 + (arrivals % RECENT_EVENTS) * RECENT_BYTES
  redis.call('SETRANGE', key, 0, struct.pack('<i8', arrivals + 1))
  redis.call('SETRANGE', key, slot_at, string.sub(record, 1, RECENT_BYTES))
  for _, level in ipairs(VELOCITY_LEVELS) do
    count_in_tile(key, state, level, time_ms, amount_minor)
  end
  local last_at = 8 + ((arrivals - 1) % RECENT_EVENTS) * RECENT_BYTES
  local last_ms = struct.unpack('<i8', state, last_at + 1)
  if math.floor(last_ms / DAY_MS) ~= math.floor(time_ms / DAY_MS) then
    redis.call('EXPIRE', key, MERCHANT_TTL_S)
  end
end

-- A claim key holds the claim, and once there is a decision, a line end and the decision.
local function is_of_another(key, claim)
  if key == '' then return false end
  local standing = redis.call('GET', key)
  if not standing then
    redis.call('SET', key, claim, 'EX', CLAIM_TTL_S)
    return false
  end
  return standing ~= claim and string.sub(standing, 1, #claim + 1) ~= claim .. '\n'
end

local past = {}

for i = 1, #KEYS / 4 do
  local record = ARGV[2 * i]
  local time_ms, amount_minor = struct.unpack('<i8i8', record)
  local customer, device, merchant = KEYS[4 * i - 3], KEYS[4 * i - 2], KEYS[4 * i - 1]
  local customer_log = redis.call('GET', customer) or ''
  local device_log = device ~= '' and redis.call('GET', device) or ''
  local state = merchant ~= '' and redis.call('GET', merchant) or ''
  if not is_of_another(KEYS[4 * i], ARGV[2 * i + 1])
      and not holds(customer_log, string.sub(record, HASH_AT, HASH_AT + 7)) then
    append(customer, customer_log, record, time_ms)
    if device ~= '' then append(device, device_log, record, time_ms) end
    if merchant ~= '' then update_merchant(merchant, state, record, time_ms, amount_minor) end
  end
  if ARGV[1] == '1' then
    past[3 * i - 2], past[3 * i - 1], past[3 * i] = customer_log, device_log, state
  end
end

return past
