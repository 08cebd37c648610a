/*
 * UDP: the system calls. recvmmsg() and sendmmsg() where the system has them; where it
 * does not, or says so when it is asked (a sandbox), a call for each datagram.
 */
#include "net/udp_int.h"

static socklen_t
name_size(const cede_address_t *a)
{
	return a ? a->size : 0;
}

/* Told by its own size, or where the system does not say that, by the flag alone. */
static size_t
full_size(size_t told, size_t room, int flags)
{
	return flags & MSG_TRUNC && told <= room ? room + 1 : told;
}

/* ---- one ---- */

int
cede__udp_receive_one(cede_udp_t *u, void *buffer, size_t size, size_t *ret_size,
	cede_udp_info_t *ret_info)
{
	cede_address_t peer;
	struct iovec piece = { .iov_base = buffer, .iov_len = size };
	struct msghdr message = {
		.msg_name = peer.bytes,
		.msg_namelen = sizeof peer.bytes,
		.msg_iov = &piece,
		.msg_iovlen = 1,
	};
	ssize_t n;

	do
		n = recvmsg(u->fd, &message, MSG_TRUNC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	peer.size = message.msg_namelen;
	ret_info->peer = peer;
	ret_info->full_size = full_size((size_t)n, size, message.msg_flags);
	ret_info->flags = message.msg_flags & MSG_TRUNC ? CEDE_UDP_TRUNCATED : 0;
	*ret_size = (size_t)n < size ? (size_t)n : size;
	return 0;
}

int
cede__udp_send_one(const cede_udp_t *u, const void *data, size_t size, const cede_address_t *to)
{
	struct iovec piece = { .iov_base = (void *)data, .iov_len = size };
	const struct msghdr message = {
		.msg_name = name_size(to) ? (void *)to->bytes : NULL,
		.msg_namelen = name_size(to),
		.msg_iov = &piece,
		.msg_iovlen = 1,
	};
	ssize_t n;

	do
		n = sendmsg(u->fd, &message, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/* ---- many ---- */

static int
receive_into(cede_udp_t *u, cede_datagram_t *d)
{
	cede_udp_info_t info;
	int r = cede__udp_receive_one(u, d->data, d->capacity, &d->size, &info);

	if (r < 0)
		return r;
	d->peer = info.peer;
	d->full_size = info.full_size;
	d->flags = info.flags;
	return 0;
}

static int
receive_each(cede_udp_t *u, cede_datagram_t *datagrams, unsigned count)
{
	int n = 0, r = 0;

	while ((unsigned)n < count && (r = receive_into(u, &datagrams[n])) == 0)
		n++;
	if (n > 0 && r < 0 && r != CEDE_EAGAIN)
		u->late_error = r; /* the system has told it, and will not again */
	return n > 0 ? n : r;
}

static int
send_each(const cede_udp_t *u, const cede_datagram_t *d, unsigned count, unsigned *sent)
{
	int r = 0;

	for (; count > 0 && r == 0; d++, count--) {
		r = cede__udp_send_one(u, d->data, d->size, &d->peer);
		*sent += r == 0;
	}
	return r;
}

#ifdef __linux__ /* and some others, which have it by another name or not at all */

static int
receive_by_one_call(cede_udp_t *u, cede_datagram_t *datagrams, unsigned count)
{
	struct mmsghdr messages[CEDE__UDP_BATCH];
	struct iovec pieces[CEDE__UDP_BATCH];
	int n;

	for (unsigned i = 0; i < count; i++) {
		pieces[i] = (struct iovec){ datagrams[i].data, datagrams[i].capacity };
		messages[i].msg_hdr = (struct msghdr){
			.msg_name = datagrams[i].peer.bytes,
			.msg_namelen = sizeof datagrams[i].peer.bytes,
			.msg_iov = &pieces[i],
			.msg_iovlen = 1,
		};
	}
	do
		n = recvmmsg(u->fd, messages, count, MSG_TRUNC, NULL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	for (int i = 0; i < n; i++) {
		const struct msghdr *m = &messages[i].msg_hdr;
		cede_datagram_t *d = &datagrams[i];

		d->peer.size = m->msg_namelen;
		d->full_size = full_size(messages[i].msg_len, d->capacity, m->msg_flags);
		d->flags = m->msg_flags & MSG_TRUNC ? CEDE_UDP_TRUNCATED : 0;
		d->size = d->full_size < d->capacity ? d->full_size : d->capacity;
	}
	return n;
}

static int
send_by_one_call(const cede_udp_t *u, const cede_datagram_t *datagrams, unsigned count)
{
	struct mmsghdr messages[CEDE__UDP_BATCH];
	struct iovec pieces[CEDE__UDP_BATCH];
	int n;

	for (unsigned i = 0; i < count; i++) {
		const cede_datagram_t *d = &datagrams[i];

		pieces[i] = (struct iovec){ d->data, d->size };
		messages[i].msg_hdr = (struct msghdr){
			.msg_name = d->peer.size ? (void *)d->peer.bytes : NULL,
			.msg_namelen = d->peer.size,
			.msg_iov = &pieces[i],
			.msg_iovlen = 1,
		};
	}
	do
		n = sendmmsg(u->fd, messages, count, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

#else

static int
receive_by_one_call(cede_udp_t *u, cede_datagram_t *datagrams, unsigned count)
{
	return -ENOSYS;
}

static int
send_by_one_call(const cede_udp_t *u, const cede_datagram_t *datagrams, unsigned count)
{
	return -ENOSYS;
}

#endif

static unsigned
at_most(unsigned count)
{
	return count < CEDE__UDP_BATCH ? count : CEDE__UDP_BATCH;
}

int
cede__udp_receive_batch(cede_udp_t *u, cede_datagram_t *datagrams, unsigned count)
{
	int n = -ENOSYS;

	count = at_most(count);
	if (!u->has_no_batches)
		n = receive_by_one_call(u, datagrams, count);
	if (cede__likely(n != -ENOSYS))
		return n;
	u->has_no_batches = 1;
	return receive_each(u, datagrams, count);
}

int
cede__udp_send_batch(cede_udp_t *u, const cede_datagram_t *datagrams, unsigned count,
	unsigned *sent)
{
	int n = -ENOSYS;

	count = at_most(count);
	if (!u->has_no_batches)
		n = send_by_one_call(u, datagrams, count);
	if (n == -ENOSYS) {
		u->has_no_batches = 1;
		return send_each(u, datagrams, count, sent);
	}
	if (n < 0)
		return n;
	*sent += (unsigned)n;
	return 0;
}
