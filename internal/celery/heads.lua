-- Tells the message at the head of each list, the next to be taken, by a digest: of its length, its beginning and its end, where its
-- delivery tag is. KEYS: the lists. Answers a digest for each, '' for an empty one and for a key of another type.
local answer = {}
for i, key in ipairs(KEYS) do
  local message = redis.pcall('LINDEX', key, -1)
  answer[i] = ''
  if type(message) == 'string' then
    answer[i] = redis.sha1hex(#message .. string.sub(message, 1, 4096) .. string.sub(message, -4096))
  end
end
return answer
