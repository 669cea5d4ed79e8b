-- Takes labels in their order: which verdict on a transaction stands, and how many frauds its merchant's days hold,
-- quarter by quarter.
--
-- KEYS     merchant key ('' for none) and label key of each label; last the log of labels, a stream ('' for none).
-- ARGV     one record a label: event time i64 and known_at i64 in milliseconds, is_fraud u8; little-endian. Last the
--          entry of the log. It is written when the log lacks a label of it; `fresh` marks those by 1.
-- Returns  the outcome of each label, a number of features.label.LabelOutcome.
--
-- A label key holds the verdict that stands: known_at i64, quarter of a day u32 (event time // DAY_QUARTER_MS),
-- is_fraud u8, and 2 where the log has it, merchant key.

local NEW, REPEATED, CORRECTED, SUPERSEDED, CONFLICT = 0, 1, 2, 3, 4
local LOG = KEYS[#KEYS]
local LOGGED = 2

local function remember(merchant, state, known_ms, quarter, change)
  local changes = struct.unpack('<i8', state, CHANGES_AT + 1)
  local slot_at = CHANGES_AT + 8 + (changes % RECENT_CHANGES) * CHANGE_BYTES
  redis.call('SETRANGE', merchant, CHANGES_AT, struct.pack('<i8', changes + 1))
  redis.call('SETRANGE', merchant, slot_at, struct.pack('<i8I4i4', known_ms, quarter, change))
end

-- No count leaves what two bytes hold.
local function moved(frauds, change)
  return math.min(math.max(frauds + change, 0), 65535)
end

local function count(merchant, known_ms, quarter, change)
  local state = redis.call('GET', merchant) or ''
  if #state < TILES_BYTES then
    state = EMPTY_TILES .. state
    redis.call('SET', merchant, state)
  end
  -- At least as long as the label key, so that a correction never meets a record that began anew in between.
  redis.call('EXPIRE', merchant, MERCHANT_TTL_S)
  local tile, part = math.floor(quarter / DAY_QUARTERS), quarter % DAY_QUARTERS
  local at = FRAUD_LEVEL.at + (tile % FRAUD_LEVEL.tiles) * FRAUD_LEVEL.bytes
  local stored, frauds, second, third, fourth = struct.unpack('<I4I2I2I2I2', state, at + 1)
  -- A newer day has the tile: no window reads this one any more. And what was never counted is not taken out.
  if stored > tile or (change < 0 and stored < tile) then return end
  if stored < tile then frauds, second, third, fourth = 0, 0, 0, 0 end
  if part < 1 then second = moved(second, change) end
  if part < 2 then third = moved(third, change) end
  if part < 3 then fourth = moved(fourth, change) end
  local record = struct.pack('<I4I2I2I2I2', tile, moved(frauds, change), second, third, fourth)
  redis.call('SETRANGE', merchant, at, record)
  remember(merchant, state, known_ms, quarter, change)
end

-- Returns the outcome, and whether the log is to have the label.
local function take(merchant, label, known_ms, quarter, is_fraud)
  local standing = redis.call('GET', label)
  local before, outcome, logged = 0, NEW, 0
  if standing then
    local known_before_ms, quarter_before
    known_before_ms, quarter_before, before = struct.unpack('<i8I4B', standing)
    if before >= LOGGED then before, logged = before - LOGGED, LOGGED end
    if quarter_before ~= quarter or string.sub(standing, LABEL_BYTES + 1) ~= merchant then return CONFLICT, false end
    if known_ms < known_before_ms then return SUPERSEDED, false end
    outcome = before == is_fraud and REPEATED or CORRECTED
  end
  -- One that came from a history first, and stands, is on record from the first time that it is posted.
  local fresh = LOG ~= '' and (outcome ~= REPEATED or logged == 0)
  if fresh then logged = LOGGED elseif outcome ~= REPEATED then logged = 0 end
  local verdict = struct.pack('<i8I4B', known_ms, quarter, is_fraud + logged)
  redis.call('SET', label, verdict .. merchant, 'EX', MERCHANT_TTL_S)
  if merchant ~= '' and before ~= is_fraud then count(merchant, known_ms, quarter, is_fraud - before) end
  return outcome, fresh
end

local outcomes, fresh, any = {}, {}, false
for i = 1, #ARGV - 1 do
  local event_ms, known_ms, is_fraud = struct.unpack('<i8i8B', ARGV[i])
  local lacks
  outcomes[i], lacks = take(KEYS[2 * i - 1], KEYS[2 * i], known_ms, math.floor(event_ms / DAY_QUARTER_MS), is_fraud)
  fresh[i], any = lacks and '1' or '0', any or lacks
end
if any then redis.call('XADD', LOG, '*', 'fresh', table.concat(fresh), 'entry', ARGV[#ARGV]) end
return outcomes
