-- Takes labels in their order: which verdict on a transaction stands, and how many frauds its merchant's days hold.
--
-- KEYS     merchant key ('' for none) and label key of each label.
-- ARGV     one record a label: event time i64 and known_at i64 in milliseconds, is_fraud u8; little-endian.
-- Returns  the outcome of each label, a number of features.label.LabelOutcome.
--
-- A label key holds the verdict that stands: known_at i64, day u32, is_fraud u8, merchant key.

local NEW, REPEATED, CORRECTED, SUPERSEDED, CONFLICT = 0, 1, 2, 3, 4

local function remember(merchant, state, known_ms, tile, change)
  local changes = struct.unpack('<i8', state, CHANGES_AT + 1)
  local slot_at = CHANGES_AT + 8 + (changes % RECENT_CHANGES) * CHANGE_BYTES
  redis.call('SETRANGE', merchant, CHANGES_AT, struct.pack('<i8', changes + 1))
  redis.call('SETRANGE', merchant, slot_at, struct.pack('<i8I4i4', known_ms, tile, change))
end

local function count(merchant, known_ms, tile, change)
  local state = redis.call('GET', merchant)
  if not state then
    state = EMPTY_MERCHANT
    redis.call('SET', merchant, state)
  end
  -- At least as long as the label key, so that a correction never meets a record that began anew in between.
  redis.call('EXPIRE', merchant, MERCHANT_TTL_S)
  local at = FRAUD_LEVEL.at + (tile % FRAUD_LEVEL.tiles) * FRAUD_TILE_BYTES
  local stored, frauds = struct.unpack('<I4I4', state, at + 1)
  -- A newer day has the tile: no window reads this one any more. And what was never counted is not taken out.
  if stored > tile or (change < 0 and stored < tile) then return end
  if stored < tile then frauds = 0 end
  redis.call('SETRANGE', merchant, at, struct.pack('<I4I4', tile, math.max(frauds + change, 0)))
  remember(merchant, state, known_ms, tile, change)
end

local function take(merchant, label, known_ms, tile, is_fraud)
  local standing = redis.call('GET', label)
  local before, outcome = 0, NEW
  if standing then
    local known_before_ms, day
    known_before_ms, day, before = struct.unpack('<i8I4B', standing)
    if day ~= tile or string.sub(standing, LABEL_BYTES + 1) ~= merchant then return CONFLICT end
    if known_ms < known_before_ms then return SUPERSEDED end
    outcome = before == is_fraud and REPEATED or CORRECTED
  end
  local verdict = struct.pack('<i8I4B', known_ms, tile, is_fraud)
  redis.call('SET', label, verdict .. merchant, 'EX', MERCHANT_TTL_S)
  if merchant ~= '' and before ~= is_fraud then count(merchant, known_ms, tile, is_fraud - before) end
  return outcome
end

local outcomes = {}
for i = 1, #ARGV do
  local event_ms, known_ms, is_fraud = struct.unpack('<i8i8B', ARGV[i])
  outcomes[i] = take(KEYS[2 * i - 1], KEYS[2 * i], known_ms, math.floor(event_ms / DAY_MS), is_fraud)
end
return outcomes
