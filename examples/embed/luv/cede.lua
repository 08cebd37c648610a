--[[
Coroutines of cede's on luv's loop. Every function takes a callback last, and then returns a
task that can be cancelled; without one it is called in a coroutine of Lua's and waits there:

	local err = cede.sleep(10)                                    -- in a coroutine
	local line, err = cede.fetch_line("127.0.0.1:7000", "hello")  -- nil and an error
	local task = cede.sleep(1000, function(err) print(err) end)   -- anywhere
	task:cancel()

An error is a text, its name first: "ECONNREFUSED: 127.0.0.1:7000: connection refused".
--]]
require("luv") -- first: its loop is ours
local core = require("cede_core")

local cede = {}

-- What of this module a coroutine waits for: start(callback) begins it.
local function wait(start)
	local this, is_main = coroutine.running()
	if is_main then
		error("cede: without a callback it is called in a coroutine", 3)
	end
	start(function(...)
		local ok, message = coroutine.resume(this, ...)
		if not ok then
			error(debug.traceback(this, message), 0)
		end
	end)
	return coroutine.yield()
end

--- Sleeps. An error, or nil. callback(error)
function cede.sleep(ms, callback)
	if callback then
		return core.sleep(ms, callback)
	end
	return wait(function(resume) core.sleep(ms, resume) end)
end

--- Sends a line to "127.0.0.1:7000": the line that comes back, or nil and an error.
-- options.timeout bounds all of it, in milliseconds. callback(error, line)
function cede.fetch_line(address, line, options, callback)
	if type(options) == "function" then
		options, callback = nil, options
	end
	local timeout = options and options.timeout or 0
	if callback then
		return core.fetch_line(address, line, timeout, callback)
	end
	local err, reply = wait(function(resume) core.fetch_line(address, line, timeout, resume) end)
	return reply, err
end

--- Serves echo: a server { address, port, stop(self, [callback]) }, or nil and an error.
-- callback(error, server), once it listens
function cede.serve_echo(address, callback)
	if not callback then
		local err, server = wait(function(resume) cede.serve_echo(address, resume) end)
		return server, err
	end
	local server, stopped = {}, {}
	local task = core.serve_echo(address, function(err, where)
		if err then
			return callback(err)
		end
		server.address, server.port = where, tonumber(where:match("(%d+)$"))
		callback(nil, server)
	end, function(err)
		server.error = err and not err:match("^ECANCELED") and err or nil
		server.is_stopped = true
		for _, told in ipairs(stopped) do
			told(server.error)
		end
	end)

	--- Stops listening and cuts the connections. callback(error), when all that is done
	function server:stop(told)
		if not told then
			return wait(function(resume) self:stop(resume) end)
		end
		if self.is_stopped then
			return cede.sleep(0, function() told(self.error) end)
		end
		stopped[#stopped + 1] = told
		task:cancel()
	end
	return task
end

--- Cancels everything and lets go of luv's loop, in its turns. callback(), when that is done
function cede.detach(callback)
	if callback then
		return core.detach(callback)
	end
	return wait(function(resume) core.detach(resume) end)
end

return cede
