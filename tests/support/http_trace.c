#include "tests/support/http_trace.h"

#include <stdio.h>
#include <stdlib.h>

struct trace {
	struct request request;
	FILE *out, *body;
	char *body_text;
	size_t body_size;
};

size_t
http_piece_byte(void *data)
{
	return 1;
}

size_t
http_piece_whole(void *data)
{
	return SIZE_MAX;
}

size_t
http_piece_random(void *data)
{
	uint32_t *state = data;

	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return 1 + *state % 16;
}

static void
put(FILE *out, struct bytes text)
{
	(void)fwrite(text.data, 1, text.size, out);
}

static void
write_head(struct trace *t)
{
	const struct request *r = &t->request;

	fprintf(t->out, "%s ", llhttp_method_name(r->method));
	put(t->out, request_target(r));
	fprintf(t->out, " HTTP/1.%d", r->minor_version);
	for (uint32_t i = 0; i < r->field_count; i++) {
		fputc(' ', t->out);
		put(t->out,
			(struct bytes){ r->text + r->fields[i].name.at, r->fields[i].name.size });
		fputc('=', t->out);
		put(t->out,
			bytes_trim((struct bytes){ r->text + r->fields[i].value.at,
				r->fields[i].value.size }));
	}
	fprintf(t->out, "%s%s", r->expects_go ? ", expects" : "", r->is_chunked ? ", chunked" : "");
	if (r->has_length)
		fprintf(t->out, ", length %llu", (unsigned long long)r->length);
	fprintf(t->out, "%s\n", r->wants_close ? ", closes" : "");
}

/* The body is written as a whole: its pieces depend on how the input was cut. */
static void
write_end(struct trace *t)
{
	fflush(t->body);
	if (t->body_size > 0) {
		fprintf(t->out, "body ");
		put(t->out, (struct bytes){ t->body_text, t->body_size });
		fputc('\n', t->out);
	}
	rewind(t->body);
	fprintf(t->out, "end\n");
}

/* One event. 1: go on; 0: all of the input is used; -1: broken. */
static int
step(struct trace *t, struct bytes *input)
{
	struct bytes body;

	switch (request_parse(&t->request, input, &body)) {
	case REQUEST_HEAD:
		write_head(t);
		break;
	case REQUEST_BODY:
		put(t->body, body);
		break;
	case REQUEST_BROKEN:
		fprintf(t->out, "broken %d\n", t->request.status);
		return -1;
	case REQUEST_MORE:
		break;
	}
	if (t->request.is_complete)
		write_end(t);
	return input->size > 0;
}

char *
http_trace(const struct request_limits *limits, struct bytes input, http_piece_fn *piece,
	void *piece_data, size_t *ret_size)
{
	struct trace t;
	char *text = NULL;
	int more = 1;

	t.out = open_memstream(&text, ret_size);
	t.body = open_memstream(&t.body_text, &t.body_size);
	request_init(&t.request, limits);
	while (input.size > 0 && more >= 0) {
		const size_t wanted = piece(piece_data);
		const size_t size = wanted < input.size ? wanted : input.size;
		char *block = malloc(size);
		struct bytes rest = { block, size };

		memcpy(block, input.data, size);
		input.data += size;
		input.size -= size;
		do {
			more = step(&t, &rest);
		} while (more > 0);
		free(block);
	}
	request_deinit(&t.request);
	fclose(t.body);
	fclose(t.out);
	free(t.body_text);
	return text;
}
