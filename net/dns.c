/*
 * Lookups as futures: the op in the caller's memory and the request in the library's know
 * each other until one of them lets go.
 */
#include "net/dns_int.h"

#include <string.h>

/* ---- forward ---- */

static void
give_up_lookup(cede_future_t *future)
{
	cede_dns_lookup_t *op = cede__container_of(future, cede_dns_lookup_t, future);

	cede__dns_abandon(op->request);
	op->request = NULL;
	cede_future_resolve(future, CEDE_ECANCELED, NULL);
}

static void
looked_up(struct cede__dns_request *request, int status)
{
	cede_dns_lookup_t *op = request->data;

	if (status == 0)
		status = cede__dns_result_create(request->uv.forward.addrinfo, &request->question,
			&op->result);
	op->request = NULL;
	cede_future_resolve(&op->future, status, NULL);
}

int
cede_dns_lookup_start(const char *host, const char *service, const cede_dns_options_t *options,
	cede_dns_lookup_t *op)
{
	cede_loop_t *loop = cede_loop_current();
	struct cede__dns_question question;
	int r;

	if (!loop)
		return CEDE_ENOTASK;
	r = cede__dns_question_init(&question, host, service, options);
	if (r < 0)
		return r;
	*op = (cede_dns_lookup_t){ .result = NULL };
	cede_future_init(&op->future, give_up_lookup);
	r = cede__dns_answer_at_once(&question, &op->result);
	if (r == CEDE_EAGAIN)
		return cede__dns_ask(loop, &question, looked_up, op, &op->request);
	if (r == 0)
		cede_future_resolve(&op->future, 0, NULL);
	return r;
}

int
cede_dns_lookup(const char *host, const char *service, const cede_dns_options_t *options,
	cede_dns_result_t **ret_result)
{
	cede_dns_lookup_t op;
	cede_loop_t *loop;
	int r = cede__await_admit(&loop);

	if (r == 0)
		r = cede_dns_lookup_start(host, service, options, &op);
	if (r == 0)
		r = cede_await(&op.future);
	if (r == 0)
		*ret_result = op.result;
	return r;
}

/* ---- reverse ---- */

static void
give_up_reverse(cede_future_t *future)
{
	cede_dns_reverse_t *op = cede__container_of(future, cede_dns_reverse_t, future);

	cede__dns_abandon(op->request);
	op->request = NULL;
	cede_future_resolve(future, CEDE_ECANCELED, NULL);
}

static int
copy_text(char *to, size_t size, const char *from, size_t from_size)
{
	const size_t length = strnlen(from, from_size);

	if (length == 0)
		return CEDE_EAI_NONAME;
	if (length >= size)
		return CEDE_EAI_OVERFLOW;
	memcpy(to, from, length);
	to[length] = '\0';
	return 0;
}

/* What an address is called its owner says: it may be anything, and must be a name or an address. */
static int
take_names(cede_dns_names_t *names, const uv_getnameinfo_t *uv)
{
	struct cede__dns_question question;
	int r = copy_text(names->host, sizeof names->host, uv->host, sizeof uv->host);

	if (r == 0)
		r = copy_text(names->service, sizeof names->service, uv->service,
			sizeof uv->service);
	if (r == 0 && cede__dns_question_init(&question, names->host, names->service, NULL) < 0)
		r = CEDE_EAI_FAIL;
	return r;
}

static void
looked_back(struct cede__dns_request *request, int status)
{
	cede_dns_reverse_t *op = request->data;

	if (status == 0)
		status = take_names(&op->names, &request->uv.reverse);
	op->request = NULL;
	cede_future_resolve(&op->future, status, NULL);
}

int
cede_dns_reverse_start(const char *address, const cede_dns_reverse_options_t *options,
	cede_dns_reverse_t *op)
{
	static const cede_dns_reverse_options_t defaults;
	const cede_dns_reverse_options_t *o = options ? options : &defaults;
	cede_loop_t *loop = cede_loop_current();
	cede_address_t from;
	size_t size;
	int r;

	if (!loop)
		return CEDE_ENOTASK;
	r = cede_address_parse(address, &from);
	if (r < 0)
		return r;
	memset(&op->names, 0, sizeof op->names);
	cede_future_init(&op->future, give_up_reverse);
	return cede__dns_ask_reverse(loop, cede_address_sockaddr(&from, &size),
		(o->needs_name ? NI_NAMEREQD : 0) | (o->is_datagram ? NI_DGRAM : 0),
		o->timeout_ms ? o->timeout_ms : CEDE__DNS_TIMEOUT_MS, looked_back, op,
		&op->request);
}

int
cede_dns_reverse(const char *address, const cede_dns_reverse_options_t *options,
	cede_dns_names_t *ret_names)
{
	cede_dns_reverse_t op;
	cede_loop_t *loop;
	int r = cede__await_admit(&loop);

	if (r == 0)
		r = cede_dns_reverse_start(address, options, &op);
	if (r == 0)
		r = cede_await(&op.future);
	if (r == 0)
		*ret_names = op.names;
	return r;
}

/* ---- of those ---- */

int
cede_dns_service(const char *name, int is_datagram, unsigned *ret_port)
{
	const cede_dns_options_t options = { .is_datagram = is_datagram, .max = 1 };
	cede_dns_result_t *found;
	int r = cede_dns_lookup(NULL, name, &options, &found);

	if (r < 0)
		return r;
	*ret_port = cede_address_port(&found->addresses[0]);
	cede_dns_result_destroy(found);
	return 0;
}

int
cede__dns_resolve(const char *text, int is_passive, struct sockaddr_storage *addresses,
	unsigned max)
{
	const cede_dns_options_t options = { .is_passive = is_passive, .max = max };
	char host[CEDE_DNS_HOST_SIZE];
	cede_dns_result_t *found;
	const char *service;
	unsigned count;
	int r = cede__dns_split(text, host, &service);

	if (r == 0)
		r = cede_dns_lookup(*host ? host : NULL, service, &options, &found);
	if (r < 0)
		return r;
	count = found->count < max ? found->count : max;
	for (unsigned i = 0; i < count; i++) {
		size_t size;
		const struct sockaddr *a = cede_address_sockaddr(&found->addresses[i], &size);

		memset(&addresses[i], 0, sizeof addresses[i]);
		memcpy(&addresses[i], a, size);
	}
	cede_dns_result_destroy(found);
	return (int)count;
}
