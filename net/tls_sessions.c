/*
 * Sessions that a client keeps, by server.
 *
 * A list, the latest first, as long as is allowed: when it is full the oldest one goes.
 * Servers give several tickets of TLS 1.3 at a time, each to be used once (RFC 8446,
 * C.4), so there may be several of one key. A session of 1.2 is kept.
 */
#include "net/tls_int.h"

#include <string.h>

#include "coro/alloc.h"

struct cede__tls_kept {
	struct cede__list link;
	SSL_SESSION *session;
	char key[];
};

int
cede__tls_sessions_init(struct cede__tls_sessions *sessions, unsigned max)
{
	cede__list_init(&sessions->used);
	sessions->count = 0;
	sessions->max = max;
	return uv_mutex_init(&sessions->mutex);
}

/* Takes it out. The session is the caller's. */
static SSL_SESSION *
take_out(struct cede__tls_sessions *sessions, struct cede__tls_kept *kept)
{
	SSL_SESSION *session = kept->session;

	cede__list_remove(&kept->link);
	sessions->count--;
	cede__free(kept);
	return session;
}

void
cede__tls_sessions_deinit(struct cede__tls_sessions *sessions)
{
	cede__list_each_safe(link, &sessions->used)
		SSL_SESSION_free(
			take_out(sessions, cede__container_of(link, struct cede__tls_kept, link)));
	uv_mutex_destroy(&sessions->mutex);
}

int
cede__tls_sessions_put(struct cede__tls_sessions *sessions, const char *key, SSL_SESSION *session)
{
	const size_t length = strlen(key) + 1;
	struct cede__tls_kept *kept = cede__alloc(sizeof *kept + length);
	SSL_SESSION *oldest = NULL;

	if (!kept)
		return 0;
	cede__list_init(&kept->link);
	kept->session = session;
	memcpy(kept->key, key, length);

	uv_mutex_lock(&sessions->mutex);
	if (sessions->count >= sessions->max)
		oldest = take_out(sessions,
			cede__container_of(sessions->used.prev, struct cede__tls_kept, link));
	cede__list_prepend(&sessions->used, &kept->link);
	sessions->count++;
	uv_mutex_unlock(&sessions->mutex);
	SSL_SESSION_free(oldest);
	return 1;
}

/* Of TLS 1.3: whoever sees a ticket twice knows that it is the same client. */
static int
is_used_once(const SSL_SESSION *session)
{
	return SSL_SESSION_get_protocol_version(session) >= TLS1_3_VERSION;
}

SSL_SESSION *
cede__tls_sessions_get(struct cede__tls_sessions *sessions, const char *key)
{
	SSL_SESSION *session = NULL;

	uv_mutex_lock(&sessions->mutex);
	cede__list_each(link, &sessions->used) {
		struct cede__tls_kept *kept = cede__container_of(link, struct cede__tls_kept, link);

		if (strcmp(kept->key, key) != 0)
			continue;
		session = kept->session;
		if (is_used_once(session))
			take_out(sessions, kept);
		else
			SSL_SESSION_up_ref(session);
		break;
	}
	uv_mutex_unlock(&sessions->mutex);
	return session;
}
