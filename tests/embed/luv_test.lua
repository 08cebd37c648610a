--[[
The luv host: cede's coroutines on luv's loop, beside luv's own timers and sockets.

usage: lua5.4 luv_test.lua      with LUA_PATH and LUA_CPATH where cede.lua and its module are

Every test is a coroutine; it must have ended when the loop has nothing left to do, so
nothing here waits by sleeping. Output is TAP.
--]]
local uv = require("luv")
local cede = require("cede")
local core = require("cede_core")

local count, failed = 0, 0

local function test(name, body)
	local ok, message = false, "the loop had nothing left, and it still waited"
	coroutine.wrap(function()
		ok, message = xpcall(body, debug.traceback)
	end)()
	uv.run()
	if ok and uv.loop_alive() then
		ok, message = false, "the loop is alive"
	end
	count = count + 1
	if not ok then
		failed = failed + 1
		print("# " .. tostring(message):gsub("\n", "\n# "))
	end
	print(("%s %d - %s"):format(ok and "ok" or "not ok", count, name))
end

local function equal(got, expected)
	if got ~= expected then
		error(("%s, not %s"):format(tostring(got), tostring(expected)), 2)
	end
end

local function matches(text, pattern)
	if not (type(text) == "string" and text:match(pattern)) then
		error(("%s does not match %s"):format(tostring(text), pattern), 2)
	end
end

-- luv's functions for a coroutine that waits.
local function wait(start)
	local this = coroutine.running()
	start(function(...) assert(coroutine.resume(this, ...)) end)
	return coroutine.yield()
end

local function luv_sleep(ms)
	local timer = uv.new_timer()
	wait(function(resume) timer:start(ms, 0, resume) end)
	timer:close()
end

-- Runs functions as coroutines and waits for all of them.
local function all(...)
	local bodies, this, left, first_error = { ... }, coroutine.running(), select("#", ...), nil
	local is_waiting = false
	for _, body in ipairs(bodies) do
		coroutine.wrap(function()
			local ok, message = xpcall(body, debug.traceback)
			first_error = first_error or (not ok and message)
			left = left - 1
			if left == 0 and is_waiting then
				assert(coroutine.resume(this))
			end
		end)()
	end
	if left > 0 then
		is_waiting = true
		coroutine.yield()
	end
	if first_error then
		error(first_error, 0)
	end
end

-- A server of luv's on a port of the system's choice: its address and how to close it.
local function luv_server(on_data, on_connect)
	local server, clients = uv.new_tcp(), {}
	server:bind("127.0.0.1", 0)
	server:listen(128, function()
		local client = uv.new_tcp()
		server:accept(client)
		clients[#clients + 1] = client
		if on_connect then
			on_connect(client)
		end
		client:read_start(function(err, data)
			if data then
				on_data(client, data)
			elseif not client:is_closing() then
				client:close()
			end
		end)
	end)
	return "127.0.0.1:" .. server:getsockname().port, function()
		for _, client in ipairs(clients) do
			if not client:is_closing() then
				client:close()
			end
		end
		server:close()
	end
end

-- A program in a process of its own: its output, both kinds, and how it ended.
local function run(program)
	local name = os.tmpname()
	local file = assert(io.open(name, "w"))
	file:write('local uv, cede = require("luv"), require("cede")\n', program)
	file:close()
	local pipe = io.popen(("timeout 60 %s %s 2>&1"):format(arg[-1], name))
	local output = pipe:read("a")
	local _, how, code = pipe:close()
	os.remove(name)
	return output, how == "exit" and code or how .. code
end

-- ---- beside luv's own ----

test("sleeps and luv's timers go on beside each other", function()
	local ahead = 0
	local function repeat_20(sleep, step)
		return function()
			for _ = 1, 20 do
				local began = uv.hrtime()
				sleep(3)
				assert(step < 0 or uv.hrtime() - began >= 1.9e6, "too short") -- luv's may be
				ahead = ahead + step
				assert(math.abs(ahead) < 20, "one of them stands still")
			end
		end
	end
	all(repeat_20(cede.sleep, 1), repeat_20(luv_sleep, -1))
end)

test("a thousand sleeps at a time", function()
	local bodies, began = {}, uv.hrtime()
	for i = 1, 1000 do
		bodies[i] = function() equal(cede.sleep(i % 50), nil) end
	end
	all(table.unpack(bodies))
	local ms = (uv.hrtime() - began) / 1e6
	assert(ms >= 48 and ms < 10000, ms)
end)

test("coroutines talk to a server of luv's", function()
	local address, close = luv_server(function(client, data) client:write("you said " .. data) end)
	local bodies = {}
	for i = 1, 100 do
		bodies[i] = function()
			equal(cede.fetch_line(address, "line " .. i), "you said line " .. i)
		end
	end
	all(table.unpack(bodies))
	close()
end)

test("a client of luv's talks to coroutines, more than fits any buffer", function()
	local server = assert(cede.serve_echo("127.0.0.1:0"))
	local client, sent, received = uv.new_tcp(), ("what goes comes back. "):rep(200000), {}
	equal(wait(function(resume) client:connect("127.0.0.1", server.port, resume) end), nil)
	client:write(sent, function() client:shutdown() end)
	wait(function(resume)
		client:read_start(function(err, data)
			if data then
				received[#received + 1] = data
			else
				resume(err)
			end
		end)
	end)
	client:close()
	assert(table.concat(received) == sent)
	equal(server:stop(), nil)
end)

test("all at once: servers and clients of both sides, and luv's timers meanwhile", function()
	local ticks, timer = 0, uv.new_timer()
	timer:start(1, 1, function() ticks = ticks + 1 end)
	local theirs, close = luv_server(function(client, data) client:write(data) end)
	local ours = assert(cede.serve_echo("127.0.0.1:0"))
	local function by_luv(port)
		local client = uv.new_tcp()
		equal(wait(function(resume) client:connect("127.0.0.1", port, resume) end), nil)
		client:write("from luv\n")
		local _, data = wait(function(resume) client:read_start(resume) end)
		client:close()
		equal(data, "from luv\n")
	end
	for _ = 1, 10 do
		all(function() equal(cede.fetch_line(theirs, "a"), "a") end,
			function() equal(cede.fetch_line(ours.address, "b"), "b") end,
			function() by_luv(ours.port) end,
			function() by_luv(tonumber(theirs:match("%d+$"))) end,
			function() equal(cede.sleep(2), nil) end)
	end
	assert(ticks > 0)
	timer:close()
	close()
	equal(ours:stop(), nil)
end)

test("a loop that is run in turns of the host's choice", function()
	local ended = 0
	for i = 1, 10 do
		cede.sleep(i, function(err) ended = ended + (err and 100 or 1) end)
	end
	while ended < 5 do -- no uv.run() is under way when a test begins
		uv.run("once")
	end
	while ended < 10 do
		uv.run("nowait")
	end
	equal(ended, 10)
end)

-- ---- errors and cancels ----

test("what goes wrong is a text with a name and a sentence", function()
	local server = assert(cede.serve_echo("127.0.0.1:0"))
	equal(server:stop(), nil)
	equal(server:stop(), nil)
	local line, err = cede.fetch_line(server.address, "x")
	equal(line, nil)
	equal(err, ("ECONNREFUSED: %s: connection refused"):format(server.address))
	matches(select(2, cede.fetch_line("nonsense", "x")), "^EINVAL: ")
	local silent, close_silent = luv_server(function() end)
	matches(select(2, cede.fetch_line(silent, "x", { timeout = 20 })), "^ETIMEDOUT: ")
	matches(select(2, cede.serve_echo(silent)), "^EADDRINUSE: ")
	local short, close_short = luv_server(function(client)
		client:write("no end of line", function() client:close() end)
	end)
	matches(select(2, cede.fetch_line(short, "x")), "^EOF: ")
	close_short()
	close_silent()
end)

test("an argument that is none is an error at once, and nothing is started", function()
	local ignore = function() end
	for _, call in ipairs({
		function() cede.sleep("soon", ignore) end,
		function() core.sleep(1) end,
		function() core.sleep(1, 2) end,
		function() cede.fetch_line({}, "x", ignore) end,
		function() cede.fetch_line(("1"):rep(100), "x", ignore) end,
		function() cede.fetch_line("127.0.0.1:1", {}, ignore) end,
		function() cede.serve_echo(nil, ignore) end,
		function() core.serve_echo("127.0.0.1:0") end,
	}) do
		equal(pcall(call), false)
	end
	equal(uv.loop_alive(), false)
end)

test("a cancel closes the coroutine, at any time", function()
	local silent, close = luv_server(function() end)
	for _, start in ipairs({
		function(callback) return cede.sleep(1e9, callback) end,
		function(callback) return cede.fetch_line(silent, "x", callback) end,
		function(callback) return cede.fetch_line(silent, "x", { timeout = 1e9 }, callback) end,
	}) do
		for _, delay in ipairs({ 0, 5 }) do
			local err = wait(function(resume)
				local task = start(resume)
				if delay > 0 then
					cede.sleep(delay, function() equal(task:cancel(), true) end)
				else
					equal(task:cancel(), true)
				end
			end)
			equal(err, "ECANCELED: operation canceled")
		end
	end
	close()
	local task
	equal(wait(function(resume) task = cede.sleep(1, resume) end), nil)
	equal(task:cancel(), false)
end)

test("an error in a callback goes where those in luv's own go", function()
	local ours, our_code = run('cede.sleep(1, function() error("on purpose") end) uv.run()')
	local theirs, their_code = run([[
		uv.new_timer():start(1, 0, function() error("on purpose") end) uv.run()]])
	matches(ours, "on purpose")
	matches(theirs, "on purpose")
	equal(our_code, their_code)
	ours, our_code = run([[
		coroutine.wrap(function() cede.sleep(1) error("on purpose") end)() uv.run()]])
	matches(ours, "on purpose")
	equal(our_code, their_code)
end)

-- ---- the end ----

test("a detach inside a callback cancels everything, and is told", function()
	local order = {}
	cede.sleep(1e9, function(err) order[#order + 1] = err:match("^%w+") end)
	cede.serve_echo("127.0.0.1:0", function(err) order[#order + 1] = err or "listens" end)
	local timer = uv.new_timer()
	wait(function(resume)
		timer:start(5, 0, function()
			timer:close()
			cede.detach(function()
				order[#order + 1] = "detached"
				resume()
			end)
			equal(pcall(cede.sleep, 1, print), false)
			equal(pcall(cede.detach, print), false)
			equal(#order, 1)
		end)
	end)
	equal(table.concat(order, " "), "listens ECANCELED detached")
	uv.walk(function() order[#order + 1] = "walked" end) -- there is nothing of ours to walk over
	equal(cede.sleep(1), nil) -- attached again
	equal(cede.detach(), nil)
end)

test("the program ends by itself, also with tasks that wait", function()
	for program, expected in pairs({
		["uv.run()"] = "",
		["cede.sleep(5, function() print('slept') end) uv.run()"] = "slept\n",
		["cede.sleep(1e9, print)"] = "",
		["cede.serve_echo('127.0.0.1:0', function() end) uv.run('nowait')"] = "",
		[ [[
			cede.serve_echo('127.0.0.1:0', function(err, server)
				cede.fetch_line(server.address, 'slept', function(err, line)
					print(line)
					server:stop(function() end)
				end)
			end)
			uv.run()]] ] = "slept\n",
	}) do
		local output, code = run(program)
		equal(code, 0)
		equal(output, expected)
	end
	local output, code = run("cede.sleep(1e9, print) uv.run('nowait') os.exit(9, true)")
	equal(code, 9)
	equal(output, "")
	output, code = run([[
		cede.sleep(1e9, print)
		cede.serve_echo('127.0.0.1:0', function() os.exit(9) end) uv.run()]])
	equal(code, 9)
	equal(output, "")
end)

test("a state that is closed in a callback of cede's is told of, not waited for without end", function()
	local output, code = run("cede.sleep(1, function() os.exit(9, true) end) uv.run()")
	matches(output, "os%.exit%(code%)")
	equal(code == 0 or code == 9 or code == 124, false)
end)

test("threads of luv's have states and loops of their own", function()
	local threads = {}
	for i = 1, 4 do
		threads[i] = uv.new_thread(function(index)
			local uv, cede = require("luv"), require("cede")
			local got
			coroutine.wrap(function()
				local server = assert(cede.serve_echo("127.0.0.1:0"))
				got = cede.fetch_line(server.address, "line " .. index)
				server:stop()
			end)()
			uv.run()
			assert(got == "line " .. index, got)
			cede.sleep(1e9, function() error("no Lua when the state is closed") end)
			uv.run("nowait")
		end, i)
	end
	for _, thread in ipairs(threads) do
		assert(thread:join())
	end
	equal(cede.sleep(1), nil)
end)

test("memory does not grow", function()
	local server = assert(cede.serve_echo("127.0.0.1:0"))
	local function batch() -- 1,100 calls
		local bodies = {}
		for i = 1, 1000 do
			bodies[i] = function() cede.sleep(i % 3) end
		end
		all(table.unpack(bodies))
		bodies = {}
		for i = 1, 50 do
			bodies[i] = function() cede.fetch_line(server.address, ("x"):rep(1000)) end
			bodies[50 + i] = function()
				wait(function(resume) cede.sleep(1e9, resume):cancel() end)
			end
		end
		all(table.unpack(bodies))
	end
	local function used()
		collectgarbage()
		collectgarbage()
		return collectgarbage("count") * 1024, uv.resident_set_memory()
	end
	for _ = 1, 5 do
		batch()
	end
	local least_heap, least_rss = math.huge, math.huge
	local heap, rss = used()
	for _ = 1, 3 do
		for _ = 1, 10 do
			batch()
		end
		local heap_now, rss_now = used()
		least_heap = math.min(least_heap, heap_now - heap)
		least_rss = math.min(least_rss, rss_now - rss)
		heap, rss = heap_now, rss_now
	end
	-- What a call leaves behind it leaves in every segment: 11,000 times 500 bytes.
	assert(least_heap < 1 << 20, least_heap)
	assert(least_rss < 3 << 20, least_rss)
	equal(server:stop(), nil)
end)

print("1.." .. count)
os.exit(failed == 0, true)
