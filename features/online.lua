-- Reads the past of each transaction of a micro-batch, then appends the transaction: atomic, one round trip.
--
-- The constants in capitals come from features/layout.py and stand before this text (features/online.py).
-- KEYS     customer, device, merchant and claim key of each transaction, in order of arrival; '' where it has none.
-- ARGV[1]  '1' to return the past, '0' to append alone (backfill).
-- ARGV[2+] an event record and a claim a transaction. The record has RECORD_BYTES: time_ms i64, amount_minor i64,
--          hash 8 bytes, lat_udeg i32, long_udeg i32, little-endian.
-- Returns  what customer, device and merchant key of each transaction held before it; '' where there is nothing.
--          (Concatenating them here costs several times what the client pays to join them.)
--
-- A transaction that its customer's log already holds is a retry: its past is returned, nothing is written. One
-- whose id is claimed for another body is written nowhere; the decision log (deployments/ledger) tells its client.

local MGET_KEYS = 1000

-- One MGET costs much less than a GET a key. A key that this call has written is read again.
local values, written = {}, {}
for from = 1, #KEYS, MGET_KEYS do
  local found = redis.call('MGET', unpack(KEYS, from, math.min(from + MGET_KEYS - 1, #KEYS)))
  for i = 1, #found do values[from + i - 1] = found[i] end
end

local function value_of(i)
  local key = KEYS[i]
  if key == '' then return '' end
  if written[key] then return redis.call('GET', key) end
  return values[i] or ''
end

local function write(command, key, ...)
  written[key] = true
  redis.call(command, key, ...)
end

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
    write('SET', key, record, 'EX', LOG_TTL_S)
    return
  end
  local oldest_ms = time_ms - LOG_RETENTION_MS
  -- A day of slack, and twice the bound on events, make the rewrite rare. What lies past the bounds does not
  -- count in any evaluator, so when it leaves does not matter.
  if size >= 2 * LOG_BYTES or struct.unpack('<i8', log) < oldest_ms - DAY_MS then
    local from = math.max(1, size - LOG_BYTES + 1)
    while from <= size and struct.unpack('<i8', log, from) < oldest_ms do from = from + RECORD_BYTES end
    write('SET', key, string.sub(log, from) .. record, 'EX', LOG_TTL_S)
    return
  end
  write('APPEND', key, record)
  -- Once a day of event time is enough to keep the key alive.
  local last_ms = struct.unpack('<i8', log, size - RECORD_BYTES + 1)
  if math.floor(last_ms / DAY_MS) ~= math.floor(time_ms / DAY_MS) then
    redis.call('EXPIRE', key, LOG_TTL_S)
  end
end

-- Counts arrivals in the ring of a level: only the tiles that they fall into are taken apart. Those so far before
-- another arrival, at seen_ms, that the ring does not reach back to them are in no window any more.
local function ring_with(tiles, level, times_ms, amounts_minor, seen_ms)
  local by_day = level.tile_ms == DAY_MS
  local oldest = math.floor(seen_ms / level.tile_ms) - level.tiles + 1
  local changed, slots = {}, {}
  for i, time_ms in ipairs(times_ms) do
    local tile = math.floor(time_ms / level.tile_ms)
    if tile >= oldest then
      local slot = tile % level.tiles
      local sums = changed[slot]
      if not sums then
        local at = level.at + slot * level.bytes + 1
        sums = {struct.unpack(by_day and '<I4I4i8I4I4I4' or '<I4I4i8', tiles, at)}
        changed[slot] = sums
        slots[#slots + 1] = slot
      end
      if sums[1] < tile then sums[1], sums[2], sums[3], sums[4], sums[5], sums[6] = tile, 0, 0, 0, 0, 0 end
      -- Where a newer tile has the slot, no window reads this one any more.
      if sums[1] == tile then
        sums[2], sums[3] = sums[2] + 1, sums[3] + amounts_minor[i]
        if by_day then
          -- How many of the day lie before its second, third and fourth quarter.
          local quarter = math.floor(time_ms % DAY_MS / DAY_QUARTER_MS)
          if quarter < 1 then sums[4] = sums[4] + 1 end
          if quarter < 2 then sums[5] = sums[5] + 1 end
          if quarter < 3 then sums[6] = sums[6] + 1 end
        end
      end
    end
  end
  table.sort(slots)
  local ring, from = {}, level.at
  for _, slot in ipairs(slots) do
    local sums, at = changed[slot], level.at + slot * level.bytes
    ring[#ring + 1] = string.sub(tiles, from + 1, at)
    ring[#ring + 1] = struct.pack('<I4I4i8', sums[1], sums[2], sums[3])
    if by_day then ring[#ring + 1] = struct.pack('<I4I4I4', sums[4], sums[5], sums[6]) end
    from = at + level.bytes
  end
  ring[#ring + 1] = string.sub(tiles, from + 1, level.at + level.tiles * level.bytes)
  return table.concat(ring)
end

local function tiles_with(tiles, arrivals, seen_ms)
  local times_ms, amounts_minor = {}, {}
  for i = 1, #arrivals / RECENT_BYTES do
    times_ms[i], amounts_minor[i] = struct.unpack('<i8i8', arrivals, (i - 1) * RECENT_BYTES + 1)
  end
  local rings = {}
  for i, level in ipairs(VELOCITY_LEVELS) do rings[i] = ring_with(tiles, level, times_ms, amounts_minor, seen_ms) end
  return table.concat(rings) .. string.sub(tiles, FRAUD_LEVEL.at + 1)
end

local function append_to_merchant(key, state, record, time_ms)
  local arrival = string.sub(record, 1, RECENT_BYTES)
  local size = #state
  local tail_at = size >= TILES_BYTES and TILES_BYTES or 0
  local tail_bytes = size - tail_at
  if tail_bytes == (TAIL_EVENTS - 1) * RECENT_BYTES then
    local tiles = tail_at == 0 and EMPTY_TILES or string.sub(state, 1, TILES_BYTES)
    local newer_at = tail_at + (TAIL_EVENTS - RECENT_EVENTS) * RECENT_BYTES
    tiles = tiles_with(tiles, string.sub(state, tail_at + 1, newer_at), time_ms)
    write('SET', key, tiles .. string.sub(state, newer_at + 1) .. arrival, 'EX', MERCHANT_TTL_S)
    return
  end
  write('APPEND', key, arrival)
  local last_ms = tail_bytes > 0 and struct.unpack('<i8', state, size - RECENT_BYTES + 1) or 0
  if math.floor(last_ms / DAY_MS) ~= math.floor(time_ms / DAY_MS) then
    redis.call('EXPIRE', key, MERCHANT_TTL_S)
  end
end

-- A claim key holds the claim, and once there is a decision, what commit.lua puts behind it, from a line end on.
local function is_of_another(key, standing, claim)
  if key == '' then return false end
  if standing == '' then
    write('SET', key, claim, 'EX', CLAIM_TTL_S)
    return false
  end
  return standing ~= claim and string.sub(standing, 1, #claim + 1) ~= claim .. '\n'
end

local past = {}

for i = 1, #KEYS / 4 do
  local record = ARGV[2 * i]
  local time_ms = struct.unpack('<i8', record)
  local first = 4 * i - 3
  local customer, device, merchant, claim = KEYS[first], KEYS[first + 1], KEYS[first + 2], KEYS[first + 3]
  local customer_log, device_log, state = value_of(first), value_of(first + 1), value_of(first + 2)
  if not is_of_another(claim, value_of(first + 3), ARGV[2 * i + 1])
      and not holds(customer_log, string.sub(record, HASH_AT, HASH_AT + 7)) then
    append(customer, customer_log, record, time_ms)
    if device ~= '' then append(device, device_log, record, time_ms) end
    if merchant ~= '' then append_to_merchant(merchant, state, record, time_ms) end
  end
  if ARGV[1] == '1' then
    past[3 * i - 2], past[3 * i - 1], past[3 * i] = customer_log, device_log, state
  end
end

return past
