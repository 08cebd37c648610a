/*
 * What there is to ask for. To add something, write a handler and a line in the table.
 *
 * A handler is a function that runs in the connection's task: it may wait for whatever it
 * likes, and nobody else waits for it. It returns 0 when its answer is complete, and a
 * negative code when there is none: pass on what a call has returned.
 */
#include "routes.h"

#include "answer.h"
#include "file.h"

/* The answer is of the request's type and has its length, if that is known. */
static CEDE_SUSPENDS int
begin_echo(struct exchange *x)
{
	struct bytes type;
	char text[128];
	int r = answer_begin(x, 200);

	if (r < 0)
		return r;
	if (request_field(&x->request, "Content-Type", &type) && type.size < sizeof text) {
		memcpy(text, type.data, type.size);
		text[type.size] = '\0';
		answer_field(x, "Content-Type", text);
	}
	return x->request.is_chunked ? answer_chunked(x)
				     : answer_sized(x, (int64_t)x->request.length);
}

/*
 * The body comes back as it was sent, piece by piece: none of it is kept. It is read before
 * the answer begins, since the client may wait to be asked for it.
 */
static CEDE_SUSPENDS int
echo(struct exchange *x)
{
	struct bytes piece;
	int more = body_read(x, &piece);
	int r = more < 0 ? more : begin_echo(x);

	while (r == 0 && more > 0) {
		r = answer_write(x, piece.data, piece.size);
		if (r == 0)
			more = body_read(x, &piece);
	}
	if (r == 0)
		r = more < 0 ? more : answer_end(x);
	return r;
}

static CEDE_SUSPENDS int
hello(struct exchange *x)
{
	return answer_text(x, 200, "Hello, world!\n");
}

enum { GET = 1, POST = 2 };

/* HEAD comes with GET: the answer is the same, without its body. */
static const struct route {
	const char *path;
	unsigned methods;
	int (*handler)(struct exchange *x);
} routes[] = {
	{ "/hello", GET, hello },
	{ "/echo", POST, echo },
};

/* Every other path is a file's. */
static const struct route files = { "", GET, file_handle };

static unsigned
method_of(const struct request *request)
{
	switch (request->method) {
	case HTTP_GET:
	case HTTP_HEAD:
		return GET;
	case HTTP_POST:
		return POST;
	default:
		return 0;
	}
}

static CEDE_SUSPENDS int
refuse_method(struct exchange *x, unsigned allowed)
{
	int r = answer_begin(x, 405);

	answer_field(x, "Allow", allowed == GET ? "GET, HEAD" : "POST");
	answer_field(x, "Content-Type", "text/plain; charset=utf-8");
	return r < 0 ? r : answer_all(x, "405 Method Not Allowed\n", 23);
}

int
routes_handle(struct exchange *x)
{
	const struct bytes path = request_path(&x->request);
	const struct route *route = &files;

	for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
		if (bytes_equal(path, bytes_of(routes[i].path))) {
			route = &routes[i];
			break;
		}
	if (!(route->methods & method_of(&x->request)))
		return refuse_method(x, route->methods);
	if (route->methods == POST && !x->request.has_length && !x->request.is_chunked)
		return answer_status(x, 411);
	return route->handler(x);
}
