-- Counts fraud labels in their merchants' tiles; each transaction's label at most once.
--
-- KEYS  merchant key and label key of each label.   ARGV  event time in milliseconds of each label.
-- Returns how many labels were counted now.

local counted = 0
for i = 1, #ARGV do
  local merchant, label = KEYS[2 * i - 1], KEYS[2 * i]
  if redis.call('SET', label, '1', 'NX', 'EX', MERCHANT_TTL_S) then
    local state = redis.call('GET', merchant)
    if not state then
      state = EMPTY_MERCHANT
      redis.call('SET', merchant, state, 'EX', MERCHANT_TTL_S)
    end
    local tile = math.floor(tonumber(ARGV[i]) / FRAUD_LEVEL.tile_ms)
    local at = FRAUD_LEVEL.at + (tile % FRAUD_LEVEL.tiles) * TILE_BYTES
    local stored, count = struct.unpack('<I4I4', state, at + 1)
    if stored <= tile then
      if stored < tile then count = 0 end
      redis.call('SETRANGE', merchant, at, struct.pack('<I4I4i8', tile, count + 1, 0))
    end
    counted = counted + 1
  end
end
return counted
