// SPDX-License-Identifier: GPL-2.0
/*
 * load.c - the work that is measured, in the guest.
 *
 *	load udp [options] LABEL	datagrams from one namespace to another
 *	load tcp [options] LABEL	one TCP stream
 *	load run -n N LABEL COMMAND...	a command that does something N times
 *
 *	-S NS -s ADDR	sender's namespace and address
 *	-D NS -d ADDR	receiver's
 *	-n N		how many datagrams, or bytes
 *	-l LEN		udp: length of the IP packet (64)
 *	-f N		udp, IPv4: to so many addresses from ADDR on, all over them
 *
 * The addresses say which IP it is; both are of one family.
 *
 * Namespaces are those of "ip netns". Each region leaves a line "label unit
 * wanted got" in the file $REGIONS, in the order of the regions; got < wanted
 * means that packets were lost, and the region is worth nothing.
 *
 * The receiver of datagrams is a socket whose filter refuses them all: each
 * costs the same, nothing has to be read, and the socket's count of drops is
 * the count of arrivals. The region ends when the last has arrived.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mark.h"

#define PORT		9999
#define BATCH		32	/* datagrams per system call */
#define WINDOW		256	/* datagrams under way at most */
#define WARM_UP		256
#define WARM_UP_TCP	(1 << 20)

static struct {
	const char *from_ns, *from, *to_ns, *to;
	unsigned long n;
	unsigned int len, flows;
} opt = { "A", "10.1.0.2", "B", "10.3.0.2", 2000, 64, 1 };

static char buf[65536];

static void die(const char *fmt, ...)
{
	va_list ap;
	int err = errno;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, ": %s\n", strerror(err));
	exit(1);
}

static void enter(const char *ns)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "/run/netns/%s", ns);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
		die("namespace %s", ns);
	close(fd);
}

static void report(const char *label, const char *unit, unsigned long want,
		   unsigned long got)
{
	const char *path = getenv("REGIONS");
	FILE *f = path ? fopen(path, "a") : stdout;

	if (!f)
		die("%s", path);
	fprintf(f, "%s %s %lu %lu\n", label, unit, want, got);
	if (fclose(f))
		die("%s", path);
}

/* --- addresses ----------------------------------------------------------- */

union address {
	struct sockaddr any;
	struct sockaddr_in ip4;
	struct sockaddr_in6 ip6;
};

static bool is_ip6(void)
{
	return strchr(opt.to, ':');
}

/* The kernel copies what it is told to: no more than the family needs. */
static socklen_t address_size(void)
{
	return is_ip6() ? sizeof(struct sockaddr_in6) :
			  sizeof(struct sockaddr_in);
}

/* Of IP and UDP */
static unsigned int headers(void)
{
	return (is_ip6() ? 40 : 20) + 8;
}

static union address address(const char *text, unsigned int port)
{
	union address a = { };
	void *to = &a.ip4.sin_addr;

	a.any.sa_family = is_ip6() ? AF_INET6 : AF_INET;
	a.ip4.sin_port = htons(port);	/* it is at the same place in both */
	if (is_ip6())
		to = &a.ip6.sin6_addr;
	if (text && inet_pton(a.any.sa_family, text, to) != 1)
		die("address %s", text);
	return a;
}

static int bound_socket(int type, const char *addr, unsigned int port)
{
	union address a = address(addr, port);
	int s = socket(a.any.sa_family, type, 0), on = 1;

	if (s < 0 || setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    bind(s, &a.any, address_size()))
		die("socket at %s", addr ? addr : "any address");
	return s;
}

/* --- datagrams ----------------------------------------------------------- */

static int sink_open(void)
{
	struct sock_filter refuse = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog prog = { 1, &refuse };
	int s = bound_socket(SOCK_DGRAM, NULL, PORT);

	if (setsockopt(s, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)))
		die("filter");
	return s;
}

static unsigned int sink_count(int s)
{
	unsigned int mem[SK_MEMINFO_VARS];
	socklen_t len = sizeof(mem);

	if (getsockopt(s, SOL_SOCKET, SO_MEMINFO, mem, &len))
		die("count of drops");
	return mem[SK_MEMINFO_DROPS];
}

/* Wait for @n arrivals; two seconds without any, and the rest is lost. */
static bool sink_await(int s, unsigned int n)
{
	unsigned int last = sink_count(s), now, quiet = 0, turns = 0;

	while ((now = sink_count(s)) < n) {
		quiet = now == last ? quiet + 1 : 0;
		last = now;
		if (quiet > 4000)
			return false;
		if (turns++ < 2000)
			sched_yield();
		else
			usleep(1000);
	}
	return true;
}

/* Where the datagrams of a batch go: each to another address than those before. */
static void next_flows(union address *to, unsigned int first)
{
	static unsigned int turn;
	unsigned int i;

	for (i = 0; i < BATCH; i++)
		to[i].ip4.sin_addr.s_addr =
			htonl(first + turn++ * 7919UL % opt.flows);
}

static bool send_all(int from, int sink, unsigned int n)
{
	struct iovec data = { buf, opt.len - headers() };
	unsigned int base = sink_count(sink), sent = 0, i;
	struct mmsghdr msg[BATCH] = { };
	union address to[BATCH], first = address(opt.to, PORT);
	int k;

	for (i = 0; i < BATCH; i++) {
		to[i] = first;
		msg[i].msg_hdr.msg_name = &to[i];
		msg[i].msg_hdr.msg_namelen = address_size();
		msg[i].msg_hdr.msg_iov = &data;
		msg[i].msg_hdr.msg_iovlen = 1;
	}
	while (sent < n) {
		if (opt.flows > 1)
			next_flows(to, ntohl(first.ip4.sin_addr.s_addr));
		k = sendmmsg(from, msg, n - sent < BATCH ? n - sent : BATCH, 0);
		if (k <= 0)
			die("send");
		sent += k;
		if (sent - (sink_count(sink) - base) > WINDOW &&
		    !sink_await(sink, base + sent - WINDOW))
			return false;
	}
	return sink_await(sink, base + n);
}

static void udp(const char *label)
{
	int sink, from, room = 1 << 24;
	unsigned int before;

	enter(opt.to_ns);
	sink = sink_open();
	enter(opt.from_ns);
	from = bound_socket(SOCK_DGRAM, opt.from, 5555);
	setsockopt(from, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room));
	if (!send_all(from, sink, WARM_UP)) {
		/* no region, but the end of it: the report counts them */
		MARK(MARK_BEGIN);
		MARK(MARK_END);
		report(label, "packet", opt.n, 0);
		return;
	}
	before = sink_count(sink);
	MARK(MARK_BEGIN);
	send_all(from, sink, opt.n);
	MARK(MARK_END);
	report(label, "packet", opt.n, sink_count(sink) - before);
}

/* --- a stream ------------------------------------------------------------ */

static void take(int s, unsigned long n)
{
	ssize_t k;

	for (; n; n -= k) {
		k = read(s, buf, sizeof(buf) < n ? sizeof(buf) : n);
		if (k <= 0)
			die("receive");
	}
	if (write(s, "", 1) != 1)
		die("acknowledge");
}

static void give(int s, unsigned long n)
{
	ssize_t k;

	for (; n; n -= k) {
		k = write(s, buf, sizeof(buf) < n ? sizeof(buf) : n);
		if (k <= 0)
			die("send");
	}
	if (read(s, buf, 1) != 1)
		die("acknowledgement");
}

static void receiver(int listener)
{
	int s = accept(listener, NULL, NULL);

	if (s < 0)
		die("accept");
	take(s, WARM_UP_TCP);
	take(s, opt.n);
	exit(0);
}

static void tcp(const char *label)
{
	union address to = address(opt.to, PORT);
	int listener, s;

	/*
	 * A stream that stalls has failed. The guest's time leaps, the more the
	 * busier the host is, and to wait for long costs nothing.
	 */
	alarm(3600);
	enter(opt.to_ns);
	listener = bound_socket(SOCK_STREAM, NULL, PORT);
	if (listen(listener, 1))
		die("listen");
	if (!fork())
		receiver(listener);
	enter(opt.from_ns);
	s = bound_socket(SOCK_STREAM, opt.from, 0);
	if (connect(s, &to.any, address_size()))
		die("connect");
	give(s, WARM_UP_TCP);
	MARK(MARK_BEGIN);
	give(s, opt.n);
	MARK(MARK_END);
	report(label, "byte", opt.n, opt.n);
	wait(NULL);
}

/* --- a command ----------------------------------------------------------- */

static void run(const char *label, char **command)
{
	int status = -1;
	pid_t pid;

	MARK(MARK_BEGIN);
	pid = fork();
	if (!pid) {
		execvp(command[0], command);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	MARK(MARK_END);
	report(label, "item", opt.n, status ? 0 : opt.n);
	if (status)
		exit(1);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	unsigned int i;
	int o;

	optind = 2;
	while ((o = getopt(argc, argv, "+S:s:D:d:n:l:f:")) != -1)
		switch (o) {
		case 'S': opt.from_ns = optarg; break;
		case 's': opt.from = optarg; break;
		case 'D': opt.to_ns = optarg; break;
		case 'd': opt.to = optarg; break;
		case 'n': opt.n = strtoul(optarg, NULL, 0); break;
		case 'l': opt.len = strtoul(optarg, NULL, 0); break;
		case 'f': opt.flows = strtoul(optarg, NULL, 0); break;
		default: return 2;
		}
	if (optind >= argc || opt.len < headers() || opt.len > sizeof(buf))
		return 2;
	for (i = 0; i < sizeof(buf); i++)
		buf[i] = i * 31 + (i >> 8);
	if (!strcmp(what, "udp"))
		udp(argv[optind]);
	else if (!strcmp(what, "tcp"))
		tcp(argv[optind]);
	else if (!strcmp(what, "run") && optind + 1 < argc)
		run(argv[optind], argv + optind + 1);
	else
		return 2;
	return 0;
}
