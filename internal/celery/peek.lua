-- Reads the messages of short lists and of a small hash at one instant. It writes nothing.
-- KEYS: the unacked hash, its index, then the lists. ARGV: most messages of one list, most entries of the hash, bytes of all,
-- the time of expiry. Answers per key, hash first, without the index: {length, whether what follows is all of it, message...};
-- of the hash {length, all, tag, expired, value, ...}; {} for a key of another type. A quarter of the bytes is the lists'.
-- Each message counts for 32 bytes more, so that empty ones have their bounds too; a delivery tag of over a kilobyte is none of kombu's.
-- Redis cannot tell the length of a list's element without copying it, so the budget may be overdrawn by one element, which
-- is not sent; the rest is then not looked at.
local most, mostHeld, budget, expiry = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local kept = budget / 4
local answer = {}

local function hash()
  local n = redis.pcall('HLEN', KEYS[1])
  if type(n) ~= 'number' then return {} end
  if n > mostHeld then return {n, 0} end
  local late = redis.pcall('ZCOUNT', KEYS[2], '-inf', expiry)
  local part, room, fits, at = {n, 1}, budget - kept, {}, {}
  for _, tag in ipairs(redis.call('HKEYS', KEYS[1])) do
    if #tag > 1024 then return {n, 0} end
    local expired, size = 0, redis.call('HSTRLEN', KEYS[1], tag) + 32
    if type(late) == 'number' and late > 0 then
      local score = redis.call('ZSCORE', KEYS[2], tag)
      if score and tonumber(score) <= expiry then expired = 1 end
    end
    part[#part + 1] = tag
    part[#part + 1] = expired
    part[#part + 1] = ''
    if size <= room then
      room = room - size
      fits[#fits + 1] = tag
      at[#at + 1] = #part
    end
  end
  budget = room + kept
  for first = 1, #fits, 500 do -- All in one would be too many for Lua's stack.
    local values = redis.call('HMGET', KEYS[1], unpack(fits, first, math.min(first + 499, #fits)))
    for i, value in ipairs(values) do part[at[first + i - 1]] = value end
  end
  return part
end

local function list(key)
  local n = redis.pcall('LLEN', key)
  if type(n) ~= 'number' then return {} end
  if n > most or budget <= 0 and n > 0 then return {n, 0} end
  local part = {n, 1}
  for i = 1, n do
    local message = redis.call('LINDEX', key, -i)
    budget = budget - #message - 32
    if budget < 0 then return {n, 0} end
    part[#part + 1] = message
  end
  return part
end

answer[1] = hash()
for i = 3, #KEYS do
  answer[i - 1] = list(KEYS[i])
end
return answer
