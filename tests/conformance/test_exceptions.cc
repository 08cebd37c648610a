/*
 * C++ exceptions in coroutines: each has its own in flight, as each has its own
 * handled error in Python (row 77). None may cross from one stack to another.
 */
#include <csignal>
#include <cstdint>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

#include <criterion/criterion.h>

#include <cede/coro.h>

extern "C" void cede__thread_cleanup(void);
extern "C" size_t cede__alloc_outstanding(void);

TestSuite(exceptions, .timeout = 20);

using strings = std::vector<std::string>;

static strings events;

static void
expect(const strings &expected, int line)
{
	std::string text;

	for (const std::string &event : events)
		text += "[" + event + "] ";
	cr_assert(events == expected, "line %d: %s", line, text.c_str());
	events.clear();
}

#define EXPECT(...) expect(strings{ __VA_ARGS__ }, __LINE__)

static cede_coro_t *
make(cede_fn *fn, void *arg)
{
	cede_coro_t *co = nullptr;
	int r = cede_coro_create_at(&co, fn, arg, nullptr, CEDE_SITE("coroutine"));

	cr_assert_eq(r, 0);
	return co;
}

static int
send(cede_coro_t *co)
{
	return cede_coro_send(co, nullptr, nullptr);
}

static void
end()
{
	cede__thread_cleanup();
	cr_assert_eq(cede__alloc_outstanding(), 0u);
	cr_assert_eq(std::uncaught_exceptions(), 0);
	cr_assert(!std::current_exception());
}

/* Its end is recorded, however it comes. */
struct Frame {
	std::string name;
	explicit Frame(std::string its_name) : name(std::move(its_name))
	{
	}
	~Frame()
	{
		events.push_back(name + " gone");
	}
	Frame(const Frame &) = delete;
	Frame &operator=(const Frame &) = delete;
};

static std::string
current()
{
	try {
		if (!std::current_exception())
			return "none";
		throw;
	} catch (const std::exception &e) {
		return e.what();
	}
}

/* ---- thrown and caught in a body ---- */

static int
throws_and_catches(void *arg)
{
	const char *name = static_cast<const char *>(arg);

	for (int i = 0; i < 3; i++) {
		int r;

		try {
			Frame frame(name);

			r = cede_yield(nullptr, nullptr);
			if (r < 0)
				return r;
			throw std::runtime_error(name);
		} catch (const std::runtime_error &e) {
			events.push_back(std::string("caught ") + e.what());
		}
	}
	return 0;
}

Test(exceptions, thrown_and_caught_in_a_body)
{
	char a[] = "a", b[] = "b";
	cede_coro_t *first = make(throws_and_catches, a), *second = make(throws_and_catches, b);

	cr_assert_eq(send(first), 1);
	cr_assert_eq(send(second), 1);
	cr_assert_eq(send(first), 1);
	EXPECT("a gone", "caught a");
	cr_assert_eq(send(second), 1);
	EXPECT("b gone", "caught b");
	cr_assert_eq(send(second), 1);
	cr_assert_eq(send(second), 0);
	EXPECT("b gone", "caught b", "b gone", "caught b");

	/* Closed, its frames go as for any return. */
	cr_assert_eq(cede_coro_close(first, nullptr), 0);
	EXPECT("a gone");
	cede_coro_unref(first);
	cede_coro_unref(second);
	end();
}

/* ---- suspended inside a catch ---- */

static int
suspends_in_a_catch(void *arg)
{
	const char *name = static_cast<const char *>(arg);

	try {
		try {
			throw std::runtime_error(name);
		} catch (const std::runtime_error &) {
			for (int i = 0; i < 2; i++) {
				int r = cede_yield(nullptr, nullptr);

				events.push_back(std::string(name) + " handles " + current());
				if (r < 0)
					return r;
			}
			throw;
		}
	} catch (const std::runtime_error &e) {
		events.push_back(std::string(name) + " rethrew " + e.what());
	}
	events.push_back(std::string(name) + " handles " + current());
	return 0;
}

Test(exceptions, suspended_inside_a_catch_each_has_its_own)
{
	char a[] = "a", b[] = "b";
	cede_coro_t *first = make(suspends_in_a_catch, a), *second = make(suspends_in_a_catch, b);

	cr_assert_eq(send(first), 1);
	cr_assert_eq(current(), "none"); /* not ours */
	cr_assert_eq(send(second), 1);
	cr_assert_eq(send(first), 1);
	cr_assert_eq(send(second), 1);
	EXPECT("a handles a", "b handles b");

	/* Crosswise: not in the order in which they were caught. */
	cr_assert_eq(send(first), 0);
	EXPECT("a handles a", "a rethrew a", "a handles none");
	cr_assert_eq(send(second), 0);
	EXPECT("b handles b", "b rethrew b", "b handles none");
	cede_coro_unref(first);
	cede_coro_unref(second);
	end();
}

Test(exceptions, resumed_inside_a_catch)
{
	char a[] = "a", b[] = "b";
	cede_coro_t *first = make(suspends_in_a_catch, a), *second = make(suspends_in_a_catch, b);

	try {
		throw std::runtime_error("ours");
	} catch (const std::runtime_error &) {
		cr_assert_eq(send(first), 1);
		cr_assert_eq(current(), "ours");
		cr_assert_eq(send(first), 1);
		cr_assert_eq(send(second), 1);
		cr_assert_eq(current(), "ours");
	}
	cr_assert_eq(current(), "none");
	EXPECT("a handles a");
	cr_assert_eq(send(first), 0);
	EXPECT("a handles a", "a rethrew a", "a handles none");

	/* Closed inside its catch, from a catch of ours. */
	try {
		throw std::runtime_error("ours");
	} catch (const std::runtime_error &) {
		cr_assert_eq(cede_coro_close(second, nullptr), 0);
		cr_assert_eq(current(), "ours");
	}
	EXPECT("b handles b");
	cede_coro_unref(first);
	cede_coro_unref(second);
	end();
}

/* ---- through an await ---- */

static int
awaits_in_a_catch(void *arg)
{
	cede_coro_t *child = static_cast<cede_coro_t *>(arg);
	int r = 0;

	try {
		throw std::runtime_error("awaiter's");
	} catch (const std::runtime_error &) {
		r = cede_await_coro(child, nullptr);
		events.push_back("awaiter handles " + current());
	}
	return r;
}

Test(exceptions, of_an_awaiter_and_of_what_it_awaits)
{
	char a[] = "a";
	cede_coro_t *child = make(suspends_in_a_catch, a), *co = make(awaits_in_a_catch, child);

	cr_assert_eq(send(co), 1);
	cr_assert_eq(current(), "none");
	cr_assert_eq(send(co), 1);
	EXPECT("a handles a");
	cr_assert_eq(send(co), 0);
	EXPECT("a handles a", "a rethrew a", "a handles none", "awaiter handles awaiter's");
	cede_coro_unref(co);
	cede_coro_unref(child);

	/* Closed: from the inside out. */
	child = make(suspends_in_a_catch, a);
	co = make(awaits_in_a_catch, child);
	cr_assert_eq(send(co), 1);
	cr_assert_eq(cede_coro_close(co, nullptr), 0);
	EXPECT("a handles a", "awaiter handles awaiter's");
	cede_coro_unref(co);
	cede_coro_unref(child);
	end();
}

/* ---- std::uncaught_exceptions() ---- */

static int
counts_uncaught(void *)
{
	int r;

	events.push_back("inside " + std::to_string(std::uncaught_exceptions()));
	r = cede_yield(nullptr, nullptr);
	events.push_back("inside " + std::to_string(std::uncaught_exceptions()));
	return r;
}

struct Resumes {
	cede_coro_t *co;
	~Resumes()
	{
		events.push_back("unwinding " + std::to_string(std::uncaught_exceptions()));
		send(co);
		events.push_back("unwinding " + std::to_string(std::uncaught_exceptions()));
	}
};

struct Yields {
	~Yields()
	{
		events.push_back("unwinding " + std::to_string(std::uncaught_exceptions()));
		(void)(cede_yield(nullptr, nullptr) == 0);
		events.push_back("unwinding " + std::to_string(std::uncaught_exceptions()));
	}
};

static int
yields_while_unwinding(void *)
{
	try {
		Yields yields;

		throw std::runtime_error("E");
	} catch (const std::runtime_error &) {
		events.push_back("caught " + std::to_string(std::uncaught_exceptions()));
	}
	return 0;
}

Test(exceptions, uncaught_ones_are_counted_by_coroutine)
{
	cede_coro_t *co = make(counts_uncaught, nullptr);

	/* Resumed by a destructor that runs while we unwind. */
	try {
		Resumes resumes = { co };

		throw std::runtime_error("ours");
	} catch (const std::runtime_error &) {
		EXPECT("unwinding 1", "inside 0", "unwinding 1");
	}
	cr_assert_eq(send(co), 0);
	EXPECT("inside 0");
	cede_coro_unref(co);

	/* Suspended in a destructor that runs while it unwinds. */
	co = make(yields_while_unwinding, nullptr);
	cr_assert_eq(send(co), 1);
	cr_assert_eq(std::uncaught_exceptions(), 0);
	cr_assert_eq(send(co), 0);
	EXPECT("unwinding 1", "unwinding 1", "caught 0");
	cede_coro_unref(co);
	end();
}

/* ---- one that nobody catches ---- */

static int
throws(void *)
{
	throw std::runtime_error("nobody's");
}

Test(exceptions, none_leaves_a_coroutine, .signal = SIGABRT)
{
	cede_coro_t *co = make(throws, nullptr);

	try {
		send(co);
	} catch (const std::runtime_error &) {
		_Exit(3); /* it crossed over to our stack */
	}
}
