// SPDX-License-Identifier: GPL-2.0
/*
 * The socket: send a request, find its answer among everything else that arrives.
 *
 * The kernel queues the answer before send() returns, so a wait of a second is already a
 * failure.  What tells our answer from broadcasts about other programs' requests is the
 * pid and the message type; seq cannot, because dumps count down in it.
 */
#include <errno.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "pfkey_client.h"

#define ANSWER_SECONDS	1
#define RECV_BUFFER	(2 * 1024 * 1024)

int pfkey_open(struct pfkey_sock *s)
{
	struct timeval tv = { .tv_sec = ANSWER_SECONDS };
	int size = RECV_BUFFER;

	s->fd = socket(PF_KEY, SOCK_RAW | SOCK_CLOEXEC, PF_KEY_V2);
	if (s->fd < 0)
		return errno;
	s->pid = getpid();
	/* a full buffer loses messages silently; without the larger one we still work */
	if (setsockopt(s->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)))
		setsockopt(s->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (setsockopt(s->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv))) {
		int err = errno;

		pfkey_close(s);
		return err;
	}
	return 0;
}

void pfkey_close(struct pfkey_sock *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

static ssize_t receive(int fd, void *data, size_t size, int flags)
{
	ssize_t n;

	do {
		n = recv(fd, data, size, flags);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

ssize_t pfkey_receive(struct pfkey_sock *s, void *data, size_t size)
{
	return receive(s->fd, data, size, 0);
}

/* Left over answers, such as the second one to a FLUSH, must not pass for the next one. */
static void drain(struct pfkey_sock *s)
{
	struct sadb_msg hdr;

	while (receive(s->fd, &hdr, sizeof(hdr), MSG_DONTWAIT) >= 0)
		;
}

static bool is_answer(const struct sadb_msg *hdr, const struct sadb_msg *request)
{
	if (hdr->sadb_msg_pid != request->sadb_msg_pid)
		return false;
	if (hdr->sadb_msg_type == request->sadb_msg_type)
		return true;
	return request->sadb_msg_type == SADB_X_SPDSETIDX && hdr->sadb_msg_type == SADB_X_SPDADD;
}

static int wait_answer(struct pfkey_sock *s, const struct sadb_msg *request,
		       pfkey_handler handler, void *arg)
{
	static _Alignas(8) uint8_t data[PFKEY_RECV_SIZE];
	bool dump = request->sadb_msg_type == SADB_DUMP ||
		    request->sadb_msg_type == SADB_X_SPDDUMP;
	const struct sadb_msg *hdr = (const void *)data;
	struct pfkey_msg m;
	const char *why;
	ssize_t n;

	for (;;) {
		n = pfkey_receive(s, data, sizeof(data));
		if (n < 0)
			return n == -EAGAIN || n == -EWOULDBLOCK ? ETIMEDOUT : -n;
		if ((size_t)n < sizeof(*hdr) || !is_answer(hdr, request))
			continue;
		if (s->trace)
			s->trace(data, n);
		if (hdr->sadb_msg_errno)
			return hdr->sadb_msg_errno;
		if (pfkey_parse(&m, data, n, &why))
			return EBADMSG;
		if (handler)
			handler(&m, arg);
		if (!dump || hdr->sadb_msg_seq == 0)
			return 0;
	}
}

int pfkey_request(struct pfkey_sock *s, struct pfkey_buf *b, pfkey_handler handler, void *arg)
{
	size_t len = pfkey_finish(b);
	ssize_t n;

	if (!len)
		return EMSGSIZE;
	drain(s);
	if (s->trace)
		s->trace(b->bytes, len);
	do {
		n = send(s->fd, b->bytes, len, 0);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno;
	return wait_answer(s, &b->hdr, handler, arg);
}

static void take_limits(const struct pfkey_msg *m, int exttype, struct pfkey_limit *limit)
{
	const struct sadb_supported *sup = PFKEY_EXT(m, exttype, sadb_supported);
	const struct sadb_alg *alg;
	size_t count;

	if (!sup)
		return;
	count = (sup->sadb_supported_len * 8u - sizeof(*sup)) / sizeof(*alg);
	for (alg = (const void *)(sup + 1); count--; alg++) {
		limit[alg->sadb_alg_id] = (struct pfkey_limit) {
			.listed	= true,
			.min	= alg->sadb_alg_minbits,
			.max	= alg->sadb_alg_maxbits,
		};
	}
}

static void take_register(const struct pfkey_msg *m, void *arg)
{
	struct pfkey_limits *l = arg;

	take_limits(m, SADB_EXT_SUPPORTED_AUTH, l->auth);
	take_limits(m, SADB_EXT_SUPPORTED_ENCRYPT, l->encrypt);
}

int pfkey_get_limits(struct pfkey_limits *l)
{
	struct pfkey_sock s = { .fd = -1 };
	struct pfkey_buf b;
	int err;

	memset(l, 0, sizeof(*l));
	err = pfkey_open(&s);
	if (err)
		return err;
	pfkey_start(&b, SADB_REGISTER, SADB_SATYPE_UNSPEC, 0, s.pid);
	err = pfkey_request(&s, &b, take_register, l);
	pfkey_close(&s);
	return err;
}
