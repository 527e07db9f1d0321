// SPDX-License-Identifier: GPL-2.0
/*
 * setkey -x: every PF_KEY message of this network namespace, as it comes.
 */
#include <errno.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include "setkey.h"

/* -x: time of day; -xx: seconds since 1970 */
static void print_stamp(void)
{
	struct timeval tv;
	struct tm tm;

	gettimeofday(&tv, NULL);
	if (opt.monitor > 1) {
		printf("%lld.%06ld \n", (long long)tv.tv_sec, (long)tv.tv_usec);
		return;
	}
	localtime_r(&tv.tv_sec, &tm);
	printf("%02d:%02d:%02d.%06ld \n", tm.tm_hour, tm.tm_min, tm.tm_sec, (long)tv.tv_usec);
}

static void print_received(const uint8_t *data, size_t len)
{
	const struct sadb_msg *hdr = (const void *)data;

	print_stamp();
	if (opt.hex)
		pfkey_print_hex(stdout, data, len);
	/* KAME wraps what it shows; the bare header is the answer to our own request */
	if (len >= sizeof(*hdr) && hdr->sadb_msg_type == SADB_X_PROMISC) {
		data += sizeof(*hdr);
		len -= sizeof(*hdr);
	}
	if (len) {
		pfkey_print_trace(stdout, data, len);
		printf("\n");
	}
	fflush(stdout);
}

int monitor(void)
{
	static _Alignas(8) uint8_t data[PFKEY_RECV_SIZE];
	struct timeval forever = { 0 };
	struct pfkey_buf b;
	ssize_t n;
	size_t len;

	pfkey_start(&b, SADB_X_PROMISC, 1, 0, sock.pid);
	len = pfkey_finish(&b);
	setsockopt(sock.fd, SOL_SOCKET, SO_RCVTIMEO, &forever, sizeof(forever));
	if (send(sock.fd, b.bytes, len, 0) < 0) {
		complain(nowhere, "promisc: %s", strerror(errno));
		return -1;
	}
	for (;;) {
		n = pfkey_receive(&sock, data, sizeof(data));
		if (n < 0) {
			complain(nowhere, "recv: %s", strerror(-n));
			return -1;
		}
		print_received(data, n);
	}
}
