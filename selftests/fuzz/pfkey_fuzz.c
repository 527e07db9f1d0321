// SPDX-License-Identifier: GPL-2.0
/*
 * pfkey_fuzz.c - millions of hostile messages to the PF_KEY socket:
 *
 *	pfkey_fuzz [-s SEED] [-n NUMBER] [-t SECONDS] [-p EVERY]
 *
 *	-s	another seed (1)
 *	-n	how many messages (100000)
 *	-t	stop after so long, whatever the number
 *	-p	a line of progress each so many messages (never)
 *
 * Several sockets: two ask, in batches; one is registered and listens; one is
 * promiscuous, has little room and is read now and then, so that it overflows;
 * one begins dumps and reads them slowly, while the others change what is
 * dumped. See message.c for what is sent.
 *
 * Each request must have one outcome: the system call fails (EINVAL, EMSGSIZE),
 * its own header comes back with an error, or an answer does. Answers are sound
 * to the last extension, and nobody hears of what was refused. Now and then
 * both data bases are compared before and after a message that is refused.
 *
 * Prints what became of the messages, and how often each error was seen. Fails
 * with the bytes of the message at fault.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "message.h"

#define PID		0x7a7a
#define FIRST_SEQ	0x10000000	/* the numbers in dumps are far below */
#define BATCH		32
#define READS		32	/* messages per system call */
#define ANSWER_LONGEST	4096
#define ROOM		(4 << 20)
#define FLUSH_EVERY	32	/* batches; the tables grow between */
#define COMPARE_EVERY	16	/* batches */

enum outcome { PENDING, FAILED, REFUSED, ANSWERED, SILENT };

static struct {
	uint8_t data[MSG_LONGEST];
	size_t len;
	enum outcome outcome;
} batch[BATCH];

static unsigned int batch_len;
static uint32_t batch_seq;	/* of the first */
static bool lax;		/* somebody of us became promiscuous */
static bool expired;		/* the kernel itself removed something */

static uint64_t outcomes[SILENT + 1], errors[256], sent, taken[SADB_MAX + 1];
static uint64_t seed = 1, number = 100000, progress;
static time_t limit;

/* --- failure ------------------------------------------------------------- */

static void hex(const char *what, const uint8_t *p, size_t n)
{
	printf("# %s: ", what);
	while (n--)
		printf("%02x", *p++);
	printf("\n");
}

static void __attribute__((noreturn, format(printf, 1, 2)))
fail(const char *fmt, ...)
{
	va_list ap;

	printf("# seed %llu, in the batch up to message %llu: ",
	       (unsigned long long)seed, (unsigned long long)sent);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	exit(1);
}

static void __attribute__((noreturn))
fail_request(unsigned int i, const char *what, const uint8_t *answer, size_t len)
{
	hex("request", batch[i].data, batch[i].len);
	if (answer)
		hex("answer", answer, len);
	fail("%s", what);
}

/* --- sockets ------------------------------------------------------------- */

static int open_socket(int room)
{
	int fd = socket(PF_KEY, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, PF_KEY_V2);

	if (fd < 0)
		fail("socket: %s", strerror(errno));
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)))
		fail("room: %s", strerror(errno));
	return fd;
}

static void reopen(int *fd, int room)
{
	close(*fd);
	*fd = open_socket(room);
}

static void say(int fd, uint8_t type, uint8_t satype)
{
	uint8_t buf[16];

	if (send(fd, buf, make_header(buf, type, satype, 1, PID + 1), 0) < 0)
		fail("type %d: %s", type, strerror(errno));
}

static void throw_away(int fd, unsigned int most)
{
	uint8_t buf[64];

	while (most-- && recv(fd, buf, sizeof(buf), 0) >= 0)
		;
}

/* --- answers ------------------------------------------------------------- */

static bool known(unsigned int ext)
{
	return (ext && ext < SADB_EXT_MAX && ext != SADB_X_EXT_KMPRIVATE) ||
	       (ext >= SADB_X_EXT_KIPSEC_MIN && ext <= SADB_X_EXT_KIPSEC_MAX);
}

static bool has_keys(uint8_t type)
{
	return type == SADB_GET || type == SADB_DUMP;
}

/* What is wrong with it, or NULL. */
static const char *unsound(const uint8_t *p, size_t len)
{
	const struct sadb_msg *h = (const void *)p;
	uint64_t seen[2] = { 0 };
	size_t at;

	if (len < sizeof(*h) || h->sadb_msg_version != PF_KEY_V2 ||
	    h->sadb_msg_len * 8u != len)
		return "base header";
	if (len > ANSWER_LONGEST)
		return "longer than programs can read";
	if (h->sadb_msg_errno)
		return len == sizeof(*h) ? NULL : "an error and extensions";
	for (at = sizeof(*h); at < len;) {
		const struct sadb_ext *e = (const void *)(p + at);
		unsigned int type = e->sadb_ext_type;

		if (!e->sadb_ext_len || at + e->sadb_ext_len * 8u > len)
			return "length of an extension";
		if (!known(type) || seen[type / 64] & 1ull << type % 64)
			return "an extension unknown or twice";
		if ((type == SADB_EXT_KEY_AUTH || type == SADB_EXT_KEY_ENCRYPT) &&
		    !has_keys(h->sadb_msg_type))
			return "keys";
		seen[type / 64] |= 1ull << type % 64;
		if (type == SADB_X_EXT_POLICY)
			policy_ids[sent % IDS] = ((const struct sadb_x_policy *)e)->
				sadb_x_policy_id;
		at += e->sadb_ext_len * 8;
	}
	return NULL;
}

static uint8_t answer_type(uint8_t request)
{
	return request == SADB_X_SPDSETIDX ? SADB_X_SPDADD : request;
}

static void settle(unsigned int i, enum outcome o, uint8_t error)
{
	uint8_t type = batch[i].data[1];

	if (batch[i].outcome != PENDING)
		fail_request(i, "answered twice", NULL, 0);
	batch[i].outcome = o;
	outcomes[o]++;
	errors[error]++;
	if (o == ANSWERED && type <= SADB_MAX)
		taken[type]++;
}

/* To the one who asked. */
static void answered(unsigned int i, const uint8_t *p, size_t len)
{
	const struct sadb_msg *asked = (const void *)batch[i].data;
	const struct sadb_msg *h = (const void *)p;
	struct sadb_msg echo = *asked;

	if (!h->sadb_msg_errno) {
		if (h->sadb_msg_type != answer_type(asked->sadb_msg_type))
			fail_request(i, "an answer of another type", p, len);
		if (h->sadb_msg_type == SADB_X_PROMISC)
			lax = true;
		settle(i, ANSWERED, 0);
		return;
	}
	echo.sadb_msg_errno = h->sadb_msg_errno;
	echo.sadb_msg_len = sizeof(echo) / 8;
	echo.sadb_msg_reserved = 0;
	if (memcmp(&echo, h, sizeof(echo)))
		fail_request(i, "not an echo of the request", p, len);
	settle(i, REFUSED, h->sadb_msg_errno);
}

/* The oldest request of this type, where answers do not have its number. */
static void oldest_answered(uint8_t type)
{
	unsigned int i;

	for (i = 0; i < batch_len; i++) {
		if (batch[i].outcome == PENDING && batch[i].data[1] == type) {
			settle(i, ANSWERED, 0);
			return;
		}
	}
	fail("the answer to a request of type %u that nobody made", type);
}

static void heard(const uint8_t *p, size_t len, bool asker)
{
	const struct sadb_msg *h = (const void *)p;
	const char *fault = lax ? NULL : unsound(p, len);
	unsigned int i = h->sadb_msg_seq - batch_seq;

	if (fault) {
		hex("message", p, len);
		fail("%s", fault);
	}
	if (h->sadb_msg_pid == 0 &&
	    (h->sadb_msg_type == SADB_EXPIRE || h->sadb_msg_type == SADB_X_SPDEXPIRE))
		expired = true;
	if (h->sadb_msg_pid == 0 && h->sadb_msg_type == SADB_X_MIGRATE && asker)
		oldest_answered(SADB_X_MIGRATE);
	if (h->sadb_msg_pid != PID || lax)
		return;
	if (!h->sadb_msg_errno && (h->sadb_msg_type == SADB_DUMP ||
				   h->sadb_msg_type == SADB_X_SPDDUMP)) {
		if (!asker)
			fail("somebody else's dump");
		if (!h->sadb_msg_seq)
			oldest_answered(h->sadb_msg_type);
	} else if (i >= batch_len) {
		hex("message", p, len);
		fail("an answer to nothing");
	} else if (asker) {
		answered(i, p, len);
	} else if (batch[i].outcome != ANSWERED) {
		fail_request(i, "others were told of it", p, len);
	}
}

static void read_all(int fd, bool asker)
{
	static uint8_t buf[READS][2 * ANSWER_LONGEST];
	struct mmsghdr msgs[READS];
	struct iovec vec[READS];
	int i, n;

	do {
		memset(msgs, 0, sizeof(msgs));
		for (i = 0; i < READS; i++) {
			vec[i].iov_base = buf[i];
			vec[i].iov_len = sizeof(buf[i]);
			msgs[i].msg_hdr.msg_iov = &vec[i];
			msgs[i].msg_hdr.msg_iovlen = 1;
		}
		n = recvmmsg(fd, msgs, READS, 0, NULL);
		if (n < 0 && errno != EAGAIN)
			fail("recv: %s", strerror(errno));
		for (i = 0; i < n; i++)
			heard(buf[i], msgs[i].msg_len, asker);
	} while (n == READS);
}

/* --- requests ------------------------------------------------------------ */

static void fill_batch(unsigned int n)
{
	static uint32_t seq = FIRST_SEQ;
	unsigned int i;

	batch_seq = seq;
	batch_len = n;
	for (i = 0; i < n; i++) {
		batch[i].len = make_message(batch[i].data, seq++, PID);
		batch[i].outcome = PENDING;
	}
	if (seq > UINT32_MAX - BATCH)
		seq = FIRST_SEQ;
}

/* One that fails ends the system call, and is there again at the next. */
static void send_batch(int fd)
{
	struct mmsghdr msgs[BATCH] = { 0 };
	struct iovec vec[BATCH];
	unsigned int i;
	int n;

	for (i = 0; i < batch_len; i++) {
		vec[i].iov_base = batch[i].data;
		vec[i].iov_len = batch[i].len;
		msgs[i].msg_hdr.msg_iov = &vec[i];
		msgs[i].msg_hdr.msg_iovlen = 1;
	}
	for (i = 0; i < batch_len;) {
		n = sendmmsg(fd, msgs + i, batch_len - i, 0);
		if (n < 0) {
			if (errno != EINVAL && errno != EMSGSIZE)
				fail_request(i, strerror(errno), NULL, 0);
			settle(i++, FAILED, errno);
		} else {
			i += n;
		}
	}
	sent += batch_len;
}

/* Of all requests only ACQUIRE has no answer. */
static void close_batch(void)
{
	unsigned int i;

	for (i = 0; i < batch_len; i++) {
		if (batch[i].outcome != PENDING)
			continue;
		if (batch[i].data[1] != SADB_ACQUIRE && !lax)
			fail_request(i, "no answer", NULL, 0);
		settle(i, SILENT, 0);
	}
}

/* --- the data bases ------------------------------------------------------ */

/* An error's message has the request's number, and is the last too. */
static bool dump_ends(const uint8_t *p)
{
	const struct sadb_msg *h = (const void *)p;

	return h->sadb_msg_errno || !h->sadb_msg_seq;
}

/* Both dumps, as bytes, on a socket of their own. */
static size_t dump_all(int fd, uint8_t *to, size_t room)
{
	static const uint8_t kinds[] = { SADB_DUMP, SADB_X_SPDDUMP };
	size_t len = 0;
	unsigned int i;
	ssize_t n;

	for (i = 0; i < sizeof(kinds); i++) {
		throw_away(fd, -1);
		say(fd, kinds[i], 0);
		do {
			if (len + ANSWER_LONGEST > room)
				return 0;
			n = recv(fd, to + len, ANSWER_LONGEST, 0);
			if (n < 16)
				fail("a dump without an end");
			len += n;
		} while (!dump_ends(to + len - n));
	}
	return len;
}

struct sockets {
	int ask[2], listen, crowd, slow, check;
};

static void read_around(struct sockets *s, int asker)
{
	int i;

	read_all(s->ask[asker], true);
	for (i = 0; i < 2; i++) {
		if (i != asker)
			read_all(s->ask[i], false);
	}
	read_all(s->listen, false);
	close_batch();
	if (lax)
		reopen(&s->ask[asker], ROOM);
	lax = false;
}

/* A message that is refused leaves both dumps as they were. */
static void compare(struct sockets *s)
{
	static uint8_t before[1 << 20], after[sizeof(before)];
	size_t old = dump_all(s->check, before, sizeof(before)), new;

	expired = false;
	fill_batch(1);
	send_batch(s->ask[0]);
	read_around(s, 0);
	if (batch[0].outcome != REFUSED && batch[0].outcome != FAILED)
		return;
	new = dump_all(s->check, after, sizeof(after));
	read_around(s, 0);
	if (!expired && (old != new || memcmp(before, after, old)))
		fail_request(0, "refused, and yet something changed", NULL, 0);
}

static void register_all(int fd)
{
	static const uint8_t satypes[] = {
		SADB_SATYPE_AH, SADB_SATYPE_ESP, SADB_X_SATYPE_IPCOMP,
	};
	unsigned int i;

	for (i = 0; i < sizeof(satypes); i++)
		say(fd, SADB_REGISTER, satypes[i]);
	throw_away(fd, -1);
}

static void open_all(struct sockets *s)
{
	s->ask[0] = open_socket(ROOM);
	s->ask[1] = open_socket(ROOM);
	s->listen = open_socket(ROOM);
	s->crowd = open_socket(16384);
	s->slow = open_socket(8192);
	s->check = open_socket(ROOM);
	register_all(s->listen);
	register_all(s->crowd);
}

/* Those who disturb: each does something else every so many batches. */
static void disturb(struct sockets *s, uint64_t round)
{
	if (round % 16 == 0) {
		say(s->slow, one_in(2) ? SADB_DUMP : SADB_X_SPDDUMP, 0);
		throw_away(s->slow, below(20));
	}
	if (round % 64 == 0)
		say(s->crowd, SADB_X_PROMISC, one_in(4));
	if (round % 128 == 0) {
		throw_away(s->crowd, -1);
		register_all(s->crowd);
	}
	if (round % 512 == 0)
		reopen(&s->slow, 8192);
	if (round % FLUSH_EVERY == 0) {
		say(s->check, SADB_FLUSH, 0);
		say(s->check, SADB_X_SPDFLUSH, 0);
	}
	throw_away(s->check, -1);
}

/* --- the run ------------------------------------------------------------- */

static void report(void)
{
	unsigned int i;

	printf("# seed %llu: %llu sent: %llu answered, %llu refused, %llu failed, %llu in silence\n",
	       (unsigned long long)seed, (unsigned long long)sent,
	       (unsigned long long)outcomes[ANSWERED],
	       (unsigned long long)outcomes[REFUSED],
	       (unsigned long long)outcomes[FAILED],
	       (unsigned long long)outcomes[SILENT]);
	for (i = 1; i < 256; i++) {
		if (errors[i])
			printf("# %10llu %s\n", (unsigned long long)errors[i],
			       strerrorname_np(i));
	}
	printf("# answered by type:");
	for (i = 1; i <= SADB_MAX; i++)
		printf(" %u:%llu", i, (unsigned long long)taken[i]);
	printf("\n");
}

static void run(void)
{
	time_t start = time(NULL);
	uint64_t round, next = progress;
	struct sockets s;

	open_all(&s);
	for (round = 0; sent < number && (!limit || time(NULL) - start < limit); round++) {
		int asker = round % 2;

		disturb(&s, round);
		if (round % COMPARE_EVERY == 0)
			compare(&s);
		fill_batch(BATCH);
		send_batch(s.ask[asker]);
		read_around(&s, asker);
		if (progress && sent >= next) {
			printf("# %llu in %ld s\n", (unsigned long long)sent,
			       (long)(time(NULL) - start));
			next += progress;
		}
	}
	say(s.check, SADB_FLUSH, 0);
	say(s.check, SADB_X_SPDFLUSH, 0);
}

int main(int argc, char **argv)
{
	int o;

	setvbuf(stdout, NULL, _IOLBF, 0);
	while ((o = getopt(argc, argv, "s:n:t:p:")) != -1) {
		switch (o) {
		case 's': seed = strtoull(optarg, NULL, 0); break;
		case 'n': number = strtoull(optarg, NULL, 0); break;
		case 't': limit = strtol(optarg, NULL, 0); break;
		case 'p': progress = strtoull(optarg, NULL, 0); break;
		default:
			fprintf(stderr, "usage: pfkey_fuzz [-s SEED] [-n NUMBER] [-t SECONDS] [-p EVERY]\n");
			return 2;
		}
	}
	random_seed(seed);
	run();
	report();
	return 0;
}
