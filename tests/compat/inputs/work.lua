-- What Lua programs are made of. Prints what comes of it.
local rows = {}
for i = 1, 200000 do
    rows[i] = { id = i, name = "row " .. i * 7919 % 200003, tags = { i % 3, i % 5 } }
end
table.sort(rows, function(a, b) return a.name < b.name end)
print(rows[1].name, rows[200000].name)
for i = 1, #rows do
    if i % 2 == 0 then rows[i] = false end
end
collectgarbage()

local parts = {}
for i = 1, 100000 do parts[#parts + 1] = string.rep(string.char(97 + i % 26), i % 30) end
local text = table.concat(parts, " ")
print(#text, select(2, text:gsub("%a+", "")), text:find("zzzzzzzzzz"))

local growing = ""
for i = 1, 4000 do growing = growing .. i end
print(#growing)

local function numbers(limit)
    return coroutine.wrap(function()
        for i = 1, limit do coroutine.yield(i) end
    end)
end
local sum = 0
for round = 1, 2000 do
    for n in numbers(10) do sum = sum + n * round end
end
print(sum)

local closed = 0
for i = 1, 50000 do
    setmetatable({ i }, { __gc = function() closed = closed + 1 end })
end
collectgarbage()
print(closed)

print(pcall(string.rep, "x", 1 << 40))
print(select(2, pcall(error, { code = 7 })).code)
local pipe = io.popen("echo from a shell")
print(pipe:read("a"))
pipe:close()
