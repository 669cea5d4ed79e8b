-- A wrk script: POST valid payments of random customers, each with an id of its own.
--
--   wrk -t1 -c64 -d20s -s loadtests/predict.lua http://127.0.0.1:8000/predict [-- customers [rate]]
--
-- Without a rate each connection sends again as soon as it has its answer. With one, requests a second, the
-- connections take the next place of one timetable, which does not wait for slow answers as long as a connection is
-- free; with one thread alone, as each would keep a timetable of its own.
--
-- The last line that it prints is JSON: requests, duration_us, the p50, p90 and p99 latency in microseconds, and how
-- many answers were not a success (status) or did not come (socket). wrk counts the statuses itself; a response()
-- function here would make it parse every body, and wrk the bottleneck.

local ffi = require("ffi")
ffi.cdef("typedef struct { long s; long ns; } tollgate_time; int clock_gettime(int, tollgate_time *);")
local MONOTONIC = 1
local threads = 0

function setup(thread)
  threads = threads + 1
  thread:set("thread_number", threads)
end

function init(args)
  customers = tonumber(args[1] or "") or 100000
  math.randomseed(os.time() * 97 + thread_number)
  run = string.format("w%d-%d-%d-", os.time(), thread_number, math.random(1e6))
  sent = 0
  pace(tonumber(args[2] or "") or 0)
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
end

function now_ms()
  local time = ffi.new("tollgate_time")
  ffi.C.clock_gettime(MONOTONIC, time)
  return tonumber(time.s) * 1e3 + tonumber(time.ns) / 1e6
end

-- wrk asks delay() for a pause in whole milliseconds before each request, if there is such a function.
function pace(rate)
  if rate <= 0 then return end
  local due_ms = now_ms()
  function delay()
    due_ms = due_ms + 1e3 / rate
    return math.max(0, math.floor(due_ms - now_ms() + math.random()))
  end
end

-- A rank from 0 to n - 1 whose probability falls as 1 / (rank + 300) (Zipf-Mandelbrot). Of 100,000 customers the
-- busiest pays 57 times as often as the mean. A plain Zipf law would give it one payment in twelve: no customer
-- pays 80 times a second, and what was measured would be its 4,096 events, read anew each time.
local function heavy_tailed(n)
  return math.min(math.floor(300 * ((n + 300) / 300) ^ math.random()) - 300, n - 1)
end

local cities = { { 52.37, 4.90 }, { 48.86, 2.35 }, { 51.51, -0.13 }, { 40.71, -74.01 }, { 12.97, 77.59 } }

function request()
  sent = sent + 1
  local customer = heavy_tailed(customers)
  local city = cities[customer % #cities + 1]
  local merchant = (customer * 7 + math.random(8) * 131) % 5000
  local mean = 5 + (customer * 7919) % 60
  -- A fixed part and an exponential one, about the customer's mean: one payment in 200 is three times as much.
  local amount = 0.01 + mean * (0.4 - math.log(1 - math.random()) / 3)
  local body = string.format(
    '{"transaction_id":"%s%d","timestamp":%d,"customer_id":"W%06d","merchant_id":"WM%04d","amount":%.2f,'
      .. '"currency":"EUR","device_id":"W%06d-0","lat":%.6f,"long":%.6f}',
    run, sent, os.time(), customer, merchant, amount,
    customer, city[1] + (math.random() - 0.5) / 5, city[2] + (math.random() - 0.5) / 5)
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
