-- Lua's: tables, closures, binary trees, strings put together. Argument: rounds.
local function tree(depth)
    if depth == 0 then
        return {}
    end
    return { tree(depth - 1), tree(depth - 1) }
end

for round = 1, tonumber(arg[1]) do
    local objects = {}
    for i = 1, 2000 do
        objects[i] = { name = "n" .. i, fields = { i, round }, get = function() return i end }
    end
    tree(10)
    local parts = {}
    for i, object in ipairs(objects) do
        parts[#parts + 1] = object.name .. ":" .. object.get()
    end
    local count = select(2, table.concat(parts, ","):gsub("[^,]+", string.upper))
    assert(count == 2000)
end
