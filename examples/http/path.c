#include "path.h"

#include <strings.h>

static int
digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The character at the front; -1: not one that may be in a path. */
static int
take_char(struct bytes *path)
{
	int c = (unsigned char)*path->data;
	size_t size = 1;

	if (c == '%') {
		const int high = path->size > 2 ? digit_of(path->data[1]) : -1;
		const int low = path->size > 2 ? digit_of(path->data[2]) : -1;

		if (high < 0 || low < 0)
			return -1;
		c = high * 16 + low;
		size = 3;
	}
	path->data += size;
	path->size -= size;
	return c != 0 ? c : -1;
}

/* A name that begins with a dot. */
static int
is_hidden(const char *name)
{
	static const char known[] = ".well-known";
	const size_t size = strcspn(name, "/");

	return name[0] == '.' && (size != sizeof known - 1 || memcmp(name, known, size) != 0);
}

static int
has_hidden_name(const char *path)
{
	for (; path; path = strchr(path, '/')) {
		path += *path == '/';
		if (is_hidden(path))
			return 1;
	}
	return 0;
}

int
path_decode(struct bytes path, char ret_path[PATH_SIZE])
{
	char decoded[PATH_SIZE];
	size_t size = 0;

	if (path.size == 0 || *path.data != '/')
		return 400;
	while (path.size > 0) {
		const int c = take_char(&path);

		if (c < 0)
			return 400;
		if (c == '/' && (size == 0 || decoded[size - 1] == '/'))
			continue; /* nothing is in between */
		if (size == sizeof decoded - 1)
			return 414;
		decoded[size++] = (char)c;
	}
	decoded[size] = '\0';
	if (has_hidden_name(decoded))
		return 404;
	memcpy(ret_path, decoded, size + 1);
	return 0;
}

const char *
path_type(const char *path)
{
	static const struct {
		const char *end, *type;
	} types[] = {
		{ "html", "text/html; charset=utf-8" },
		{ "htm", "text/html; charset=utf-8" },
		{ "css", "text/css; charset=utf-8" },
		{ "js", "text/javascript; charset=utf-8" },
		{ "mjs", "text/javascript; charset=utf-8" },
		{ "txt", "text/plain; charset=utf-8" },
		{ "md", "text/markdown; charset=utf-8" },
		{ "csv", "text/csv; charset=utf-8" },
		{ "xml", "text/xml; charset=utf-8" },
		{ "json", "application/json" },
		{ "map", "application/json" },
		{ "pdf", "application/pdf" },
		{ "wasm", "application/wasm" },
		{ "zip", "application/zip" },
		{ "gz", "application/gzip" },
		{ "png", "image/png" },
		{ "jpg", "image/jpeg" },
		{ "jpeg", "image/jpeg" },
		{ "gif", "image/gif" },
		{ "svg", "image/svg+xml" },
		{ "webp", "image/webp" },
		{ "avif", "image/avif" },
		{ "ico", "image/vnd.microsoft.icon" },
		{ "woff", "font/woff" },
		{ "woff2", "font/woff2" },
		{ "ttf", "font/ttf" },
		{ "mp3", "audio/mpeg" },
		{ "ogg", "audio/ogg" },
		{ "mp4", "video/mp4" },
		{ "webm", "video/webm" },
	};
	const char *name = strrchr(path, '/');
	const char *dot = strrchr(name ? name : path, '.');

	for (size_t i = 0; dot && i < sizeof types / sizeof *types; i++)
		if (strcasecmp(dot + 1, types[i].end) == 0)
			return types[i].type;
	return "application/octet-stream";
}
