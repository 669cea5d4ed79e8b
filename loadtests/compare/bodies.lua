-- A wrk script: POST bodies from a file in turn, bulk ones with ids of their own each time.
--
--   wrk -t1 -c16 -d20s -s bodies.lua URL -- FILE CONTENT_TYPE
--
-- The file holds bodies, each after its length in bytes as a line of text. A run of @ (12 of them) in a body stands for
-- what makes its transaction ids new; it is replaced by as many characters, so that also lengths in a binary body stay
-- right. Bodies without it are made into requests once. The last line of output is that of predict.lua.

local MARK = string.rep("@", 12)

function init(args)
  wrk.method = "POST"
  wrk.headers["Content-Type"] = args[2]
  wrk.headers["Accept"] = args[2]
  math.randomseed(os.time())
  -- Seconds and chance, so that two runs within one second differ, too.
  run = string.format("%04x%04x", os.time() % 0x10000, math.random(0, 0xffff))
  sent = 0
  bodies, requests = {}, {}
  local file = assert(io.open(args[1], "rb"))
  for length in file:lines() do
    local body = file:read(tonumber(length))
    bodies[#bodies + 1] = body
    if not body:find(MARK, 1, true) then
      requests[#requests + 1] = wrk.format(nil, nil, nil, body)
    end
  end
  file:close()
end

function request()
  sent = sent + 1
  local turn = sent % #bodies + 1
  if requests[turn] then
    return requests[turn]
  end
  local body = bodies[turn]:gsub(MARK, run .. string.format("%04x", sent % 0x10000))
  return wrk.format(nil, nil, nil, body)
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "duration_us": %d, "p50_us": %d, "p90_us": %d, "p99_us": %d, "status": %d, "socket": %d}\n',
    summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(90), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
