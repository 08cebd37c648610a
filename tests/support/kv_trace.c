#include "tests/support/kv_trace.h"

#include <stdio.h>
#include <stdlib.h>

size_t
kv_piece_byte(void *data)
{
	(void)data;
	return 1;
}

size_t
kv_piece_whole(void *data)
{
	(void)data;
	return SIZE_MAX;
}

uint32_t
kv_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

size_t
kv_piece_random(void *data)
{
	return 1 + kv_random(data) % 16;
}

static void
add_text(struct buffer *trace, const char *text)
{
	buffer_append(trace, text, strlen(text));
}

static void
add_number(struct buffer *trace, const char *before, size_t number, const char *after)
{
	char text[64];

	snprintf(text, sizeof text, "%s%zu%s", before, number, after);
	add_text(trace, text);
}

static void
add_outcome(struct buffer *trace, const struct resp_parser *parser, enum resp_status status)
{
	if (status == RESP_REQUEST) {
		add_text(trace, "request");
		for (uint32_t i = 0; i < parser->request.count; i++) {
			struct bytes arg = resp_arg(&parser->request, i);

			add_number(trace, " ", arg.size, ":");
			buffer_append(trace, arg.data, arg.size);
		}
	} else {
		add_text(trace, status == RESP_REJECTED ? "rejected " : "broken ");
		add_text(trace, parser->error);
	}
	add_text(trace, "\n");
}

void
kv_trace(struct buffer *trace, const struct resp_limits *limits, struct memory *memory,
	struct bytes input, kv_piece_fn *piece, void *piece_data)
{
	struct resp_parser parser;
	size_t start = 0, end = 0; /* of what was fed and belongs to the present request */
	enum resp_status status = RESP_MORE;

	resp_init(&parser, limits, memory);
	do {
		char *block = malloc(end - start + 1) /* never NULL for size 0 */, *data = block;

		if (block == NULL)
			abort();
		data += 1; /* the block ends where the bytes end */
		if (end > start)
			memcpy(data, input.data + start, end - start);
		status = resp_parse(&parser, data, end - start);
		if (status != RESP_MORE) {
			add_outcome(trace, &parser, status);
			start += status == RESP_BROKEN ? 0 : parser.used;
		}
		free(block);

		if (status == RESP_MORE && end < input.size) {
			size_t more = piece(piece_data);

			end = more < input.size - end ? end + more : input.size;
		} else if (status == RESP_MORE) {
			break;
		}
	} while (status != RESP_BROKEN);

	if (status == RESP_MORE && end > start)
		add_number(trace, "more ", end - start, "\n");
	resp_deinit(&parser);
	buffer_append(trace, "", 1);
	if (trace->has_failed)
		abort();
	trace->size--;
}
