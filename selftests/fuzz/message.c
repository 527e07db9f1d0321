// SPDX-License-Identifier: GPL-2.0
/*
 * message.c - PF_KEY messages, sound ones and spoiled ones.
 *
 * A message starts from a recipe: its type, and a letter for each extension,
 * those behind the bar only now and then. What they say is drawn from few SPIs,
 * addresses and algorithms, so that messages meet the entries that earlier ones
 * made. Then changes are made to the list of extensions, to their bytes, to the
 * header, and to the length that is sent.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>

#include "message.h"

#define EXT_LONGEST	1024	/* bytes of an extension; all fit into 63 KiB */
#define EXTS		48

uint32_t policy_ids[IDS];

/* --- chance -------------------------------------------------------------- */

static uint64_t state;

/* splitmix64 */
static uint64_t draw(void)
{
	uint64_t z = state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

void random_seed(uint64_t seed)
{
	state = seed;
}

uint32_t below(uint32_t n)
{
	return (draw() >> 32) * n >> 32;
}

int one_in(uint32_t n)
{
	return !below(n);
}

#define PICK(array)	((array)[below(sizeof(array) / sizeof((array)[0]))])

static void random_bytes(uint8_t *p, size_t n)
{
	while (n--)
		*p++ = draw() >> 56;
}

/* Where mistakes live: at the ends of every width. */
static uint64_t boundary(void)
{
	static const uint64_t odd[] = {
		0, 1, 2, 3, 7, 8, 15, 16, 17, 24, 31, 32, 33, 40, 63, 64, 65,
		127, 128, 129, 253, 254, 255, 256, 257, 8191, 8192, 8193,
		0x3fff, 0x4000, 0x7fff, 0x8000, 0xfffe, 0xffff, 0x10000,
		0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff, 0x100000000,
		0x7fffffffffffffff, 0x8000000000000000, 0xffffffffffffffff,
	};

	return PICK(odd);
}

/* --- sound extensions ---------------------------------------------------- */

struct ext {
	unsigned int len;	/* bytes, any number; the field in them is their own */
	uint8_t data[EXT_LONGEST];
};

/* What the extensions of one message have to agree on. */
static struct {
	struct ext ext[EXTS];
	struct ext *order[EXTS];
	unsigned int used, n;	/* of ext, of order */
	uint8_t type, satype;
	bool ip6;
	uint8_t cipher, hash;
	uint16_t cipher_bits, hash_bits;
} m;

static const struct alg {
	uint8_t id;
	uint16_t bits;
} ciphers[] = {
	{ SADB_EALG_NULL, 0 }, { SADB_X_EALG_AESCBC, 128 },
	{ SADB_X_EALG_AESCBC, 256 }, { SADB_X_EALG_AESCTR, 160 },
	{ SADB_EALG_3DESCBC, 192 }, { SADB_X_EALG_CAMELLIACBC, 192 },
	{ SADB_X_EALG_BLOWFISHCBC, 448 }, { SADB_X_EALG_CASTCBC, 128 },
}, aeads[] = {
	{ SADB_X_EALG_AES_GCM_ICV16, 160 }, { SADB_X_EALG_AES_GCM_ICV8, 288 },
	{ SADB_X_EALG_AES_CCM_ICV12, 152 }, { SADB_X_EALG_NULL_AES_GMAC, 160 },
	{ SADB_X_EALG_CHACHA20POLY1305, 288 },
}, hashes[] = {
	{ SADB_AALG_MD5HMAC, 128 }, { SADB_AALG_SHA1HMAC, 160 },
	{ SADB_X_AALG_SHA2_256HMAC, 256 }, { SADB_X_AALG_SHA2_512HMAC, 512 },
	{ SADB_X_AALG_AES_XCBC_MAC, 128 }, { SADB_X_AALG_NULL, 0 },
};

/* A new extension of so many bytes, all zero; its head is right. */
static void *add_ext(uint16_t type, unsigned int len)
{
	struct ext *e;
	struct sadb_ext *head;

	if (m.used == EXTS || m.n == EXTS)
		return m.ext[0].data;	/* full: over what is there */
	e = &m.ext[m.used++];
	m.order[m.n++] = e;
	e->len = (len + 7) & ~7u;
	memset(e->data, 0, e->len);
	head = (void *)e->data;
	head->sadb_ext_len = e->len / 8;
	head->sadb_ext_type = type;
	return head;
}

/* Hosts 10.0.0.1 and .2, fd00::1 and ::2; with @net the networks around 10.N. */
static unsigned int put_sockaddr(void *to, bool ip6, bool net, uint16_t port)
{
	uint8_t host = 1 + below(2);

	if (ip6) {
		struct sockaddr_in6 a = { .sin6_family = AF_INET6,
					  .sin6_port = htons(port) };

		a.sin6_addr.s6_addr[0] = 0xfd;
		a.sin6_addr.s6_addr[net ? 1 : 15] = host;
		memcpy(to, &a, sizeof(a));
		return sizeof(a);
	}
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };

	a.sin_addr.s_addr = htonl(net ? 10 << 24 | host << 16 : 10 << 24 | host);
	memcpy(to, &a, sizeof(a));
	return sizeof(a);
}

static void add_address(uint16_t type, bool net)
{
	struct sadb_address *a = add_ext(type, m.ip6 ? 40 : 24);
	bool ports = net && one_in(8);

	a->sadb_address_prefixlen = m.ip6 ? (net ? 16 : 128) : (net ? 16 : 32);
	a->sadb_address_proto = !net ? 0 : ports ? IPPROTO_UDP : IPSEC_ULPROTO_ANY;
	put_sockaddr(a + 1, m.ip6, net, ports ? 50 + below(2) : 0);
}

static void add_sa(void)
{
	struct sadb_sa *sa = add_ext(SADB_EXT_SA, sizeof(*sa));

	/* 0x3000 and on are those that GETSPI reserves, see 'r' */
	sa->sadb_sa_spi = htonl((one_in(2) ? 0x1000 : 0x3000) + below(6));
	sa->sadb_sa_replay = one_in(2) ? 32 : 0;
	sa->sadb_sa_state = SADB_SASTATE_MATURE;
	sa->sadb_sa_auth = m.hash;
	sa->sadb_sa_encrypt = m.cipher;
	if (one_in(4))
		sa->sadb_sa_flags = 1u << below(32);
}

static void add_key(bool hash)
{
	uint16_t bits = hash ? m.hash_bits : m.cipher_bits;
	struct sadb_key *key;

	if (!bits)
		return;
	key = add_ext(hash ? SADB_EXT_KEY_AUTH : SADB_EXT_KEY_ENCRYPT,
		      sizeof(*key) + bits / 8);
	key->sadb_key_bits = bits;
	random_bytes((void *)(key + 1), bits / 8);
}

static void add_lifetime(uint16_t type)
{
	struct sadb_lifetime *l = add_ext(type, sizeof(*l));

	l->sadb_lifetime_bytes = 1ull << (20 + below(20));
	l->sadb_lifetime_addtime = one_in(50) ? 1 : 80000 + below(10000);
}

static unsigned int put_request(uint8_t *to, uint8_t proto, uint8_t mode,
				uint32_t reqid, bool ip6)
{
	struct sadb_x_ipsecrequest r = {
		.sadb_x_ipsecrequest_len = sizeof(r),
		.sadb_x_ipsecrequest_proto = proto,
		.sadb_x_ipsecrequest_mode = mode,
		.sadb_x_ipsecrequest_level = 1 + below(3),
		.sadb_x_ipsecrequest_reqid = reqid,
	};
	unsigned int n = sizeof(r);

	if (mode == IPSEC_MODE_TUNNEL) {
		n += put_sockaddr(to + n, ip6, false, 0);
		n += put_sockaddr(to + n, ip6, false, 0);
	}
	r.sadb_x_ipsecrequest_len = n;
	memcpy(to, &r, sizeof(r));
	return n;
}

static void add_policy(void)
{
	static const uint8_t protos[] = { IPPROTO_ESP, IPPROTO_AH, IPPROTO_COMP };
	struct sadb_x_policy *xp = add_ext(SADB_X_EXT_POLICY, EXT_LONGEST);
	uint8_t *p = (void *)(xp + 1);
	unsigned int i, n = one_in(20) ? 7 : one_in(4) ? 1 + below(3) : 1;

	xp->sadb_x_policy_type = one_in(4) ? below(3) : IPSEC_POLICY_IPSEC;
	xp->sadb_x_policy_dir = 1 + below(3);
	xp->sadb_x_policy_id = PICK(policy_ids);
	xp->sadb_x_policy_priority = below(4);
	if (xp->sadb_x_policy_type != IPSEC_POLICY_IPSEC)
		n = 0;
	for (i = 0; i < n; i++) {
		uint8_t proto = one_in(2) ? IPPROTO_ESP : PICK(protos), mode = 1 + below(2);
		uint32_t reqid = one_in(4) ? below(8) : 0;

		p += put_request(p, proto, mode, reqid, m.ip6);
		if (m.type == SADB_X_MIGRATE)
			p += put_request(p, proto, mode, reqid, m.ip6);
	}
	/* lengths of requests are those of addresses, so it may not end on 8 */
	xp->sadb_x_policy_len = (p - (uint8_t *)xp + 7) / 8;
	if (m.n && m.order[m.n - 1]->data == (uint8_t *)xp)
		m.order[m.n - 1]->len = xp->sadb_x_policy_len * 8;
}

static void add_natt(void)
{
	struct sadb_x_nat_t_type *t = add_ext(SADB_X_EXT_NAT_T_TYPE, sizeof(*t));
	struct sadb_x_nat_t_port *p;

	t->sadb_x_nat_t_type_type = 2;
	p = add_ext(SADB_X_EXT_NAT_T_SPORT, sizeof(*p));
	p->sadb_x_nat_t_port_port = htons(4500);
	p = add_ext(SADB_X_EXT_NAT_T_DPORT, sizeof(*p));
	p->sadb_x_nat_t_port_port = htons(4500 + below(2));
}

static void add_kmaddress(void)
{
	struct sadb_x_kmaddress *k = add_ext(SADB_X_EXT_KMADDRESS, m.ip6 ? 64 : 40);
	uint8_t *p = (void *)(k + 1);

	p += put_sockaddr(p, m.ip6, false, 0);
	put_sockaddr(p, m.ip6, false, 0);
}

static void add_own(void)
{
	struct sadb_x_kipsec_replay *r;
	struct sadb_x_kipsec_sa *s;

	switch (below(3)) {
	case 0:
		r = add_ext(SADB_X_EXT_KIPSEC_REPLAY, sizeof(*r));
		r->sadb_x_kipsec_replay_window = 32 << below(9);
		r->sadb_x_kipsec_replay_flags = below(2);
		r->sadb_x_kipsec_replay_last = one_in(2) ? 0 : boundary();
		break;
	case 1:
		s = add_ext(SADB_X_EXT_KIPSEC_SA, sizeof(*s));
		s->sadb_x_kipsec_sa_icv = one_in(2) ? 96 : 0;
		s->sadb_x_kipsec_sa_dir = below(3);
		break;
	default:	/* all that there are, and one that there is not yet */
		random_bytes(add_ext(SADB_X_EXT_KIPSEC_MIN + below(4), 16) + 4, 12);
	}
}

static void add_by_letter(char c)
{
	struct sadb_spirange *range;
	struct sadb_x_filter *filter;
	struct sadb_x_sa2 *sa2;

	switch (c) {
	case 'S': add_sa(); break;
	case 's': add_address(SADB_EXT_ADDRESS_SRC, false); break;
	case 'd': add_address(SADB_EXT_ADDRESS_DST, false); break;
	case 'A': add_address(SADB_EXT_ADDRESS_SRC, true); break;
	case 'B': add_address(SADB_EXT_ADDRESS_DST, true); break;
	case 'P': add_address(SADB_EXT_ADDRESS_PROXY, true); break;
	case 'O': add_address(SADB_X_EXT_NAT_T_OA, false); break;
	case 'a': add_key(true); break;
	case 'e': add_key(false); break;
	case 'h': add_lifetime(SADB_EXT_LIFETIME_HARD); break;
	case 'o': add_lifetime(SADB_EXT_LIFETIME_SOFT); break;
	case 'c': add_lifetime(SADB_EXT_LIFETIME_CURRENT); break;
	case 'p': add_policy(); break;
	case 'n': add_natt(); break;
	case 'm': add_kmaddress(); break;
	case 'K': add_own(); break;
	case '2':
		sa2 = add_ext(SADB_X_EXT_SA2, sizeof(*sa2));
		sa2->sadb_x_sa2_mode = below(3);
		sa2->sadb_x_sa2_reqid = below(8);
		break;
	case 'r':
		range = add_ext(SADB_EXT_SPIRANGE, sizeof(*range));
		range->sadb_spirange_min = 0x3000;
		range->sadb_spirange_max = 0x3005;
		break;
	case 'f':
		filter = add_ext(SADB_X_EXT_FILTER, sizeof(*filter));
		filter->sadb_x_filter_family = m.ip6 ? AF_INET6 : AF_INET;
		filter->sadb_x_filter_saddr[0] = htonl(10 << 24);
		filter->sadb_x_filter_splen = 8;
		break;
	default:	/* 'x': of any type, mostly nothing that makes sense */
		random_bytes(add_ext(below(30), 8 + 8 * below(8)) + 4, 4);
	}
}

/* --- recipes ------------------------------------------------------------- */

static const struct recipe {
	uint8_t type, weight;
	const char *exts;
} recipes[] = {
	{ SADB_GETSPI,	24, "sdr|2n" },
	{ SADB_UPDATE,	32, "Ssdae|ho2nOKPcx" },
	{ SADB_UPDATE,	8, "Ssd|2nho" },	/* an end moves */
	{ SADB_ADD,	32, "Ssdae|ho2nOKPcx" },
	{ SADB_DELETE,	24, "Ssd|2x" },
	{ SADB_DELETE,	4, "sd" },
	{ SADB_GET,	24, "Ssd|2x" },
	{ SADB_ACQUIRE,	8, "|sdp" },
	{ SADB_REGISTER,	4, "|x" },
	{ SADB_EXPIRE,	2, "Sdsh" },
	{ SADB_FLUSH,	1, "|x" },
	{ SADB_DUMP,	1, "|f" },
	{ SADB_X_PCHANGE,	2, "" },
	{ SADB_X_SPDUPDATE,	24, "ABp|hox2" },
	{ SADB_X_SPDADD,	24, "pAB|hox" },
	{ SADB_X_SPDDELETE,	24, "ABp" },
	{ SADB_X_SPDGET,	16, "p|AB" },
	{ SADB_X_SPDACQUIRE,	2, "ABp" },
	{ SADB_X_SPDDUMP,	1, "" },
	{ SADB_X_SPDFLUSH,	1, "" },
	{ SADB_X_SPDSETIDX,	12, "ABp|ho" },
	{ SADB_X_SPDEXPIRE,	2, "ABph" },
	{ SADB_X_SPDDELETE2,	16, "p|AB" },
	{ SADB_X_NAT_T_NEW_MAPPING,	2, "Ssdn" },
	{ SADB_X_MIGRATE,	24, "ABp|m" },
};

static const struct recipe *choose_recipe(void)
{
	static unsigned int total;
	const struct recipe *r = recipes;
	unsigned int i, n;

	for (i = 0; !total && i < sizeof(recipes) / sizeof(*r); i++)
		n = i ? n + r[i].weight : r[i].weight;
	if (!total)
		total = n;
	for (n = below(total); n >= r->weight; r++)
		n -= r->weight;
	return r;
}

static void choose_algorithms(void)
{
	bool aead = m.satype == SADB_SATYPE_ESP && one_in(2);
	const struct alg *c = aead ? &PICK(aeads) : &PICK(ciphers);
	const struct alg *h = &PICK(hashes);

	m.cipher = m.hash = 0;
	m.cipher_bits = m.hash_bits = 0;
	if (m.satype == SADB_X_SATYPE_IPCOMP) {
		m.cipher = SADB_X_CALG_DEFLATE;
		return;
	}
	if (m.satype == SADB_SATYPE_ESP) {
		m.cipher = c->id;
		m.cipher_bits = c->bits;
	}
	if (aead)
		return;
	m.hash = h->id;
	m.hash_bits = h->bits;
}

static void follow(const struct recipe *r)
{
	static const uint8_t satypes[] = {
		SADB_SATYPE_ESP, SADB_SATYPE_ESP, SADB_SATYPE_ESP,
		SADB_SATYPE_AH, SADB_X_SATYPE_IPCOMP,
	};
	bool optional = false;
	const char *c;

	m.used = m.n = 0;
	m.type = r->type;
	m.satype = r->type >= SADB_X_SPDUPDATE ? 0 : PICK(satypes);
	m.ip6 = one_in(3);
	choose_algorithms();
	for (c = r->exts; *c; c++) {
		if (*c == '|')
			optional = true;
		else if (!optional || one_in(4))
			add_by_letter(*c);
	}
}

/* --- changes ------------------------------------------------------------- */

static void set_length(struct ext *e, unsigned int units)
{
	uint16_t field = units;

	memcpy(e->data, &field, sizeof(field));
}

static void drop_ext(unsigned int i)
{
	memmove(m.order + i, m.order + i + 1, (--m.n - i) * sizeof(m.order[0]));
}

/* The same again, anywhere. The list may name an extension twice. */
static void double_ext(unsigned int i)
{
	unsigned int at = below(m.n + 1);
	struct ext *e = m.order[i];

	if (m.n == EXTS)
		return;
	memmove(m.order + at + 1, m.order + at, (m.n++ - at) * sizeof(m.order[0]));
	m.order[at] = e;
}

static void swap_exts(unsigned int i)
{
	unsigned int j = below(m.n);
	struct ext *e = m.order[i];

	m.order[i] = m.order[j];
	m.order[j] = e;
}

static void resize_ext(struct ext *e)
{
	unsigned int old = e->len, len = old;

	switch (below(4)) {
	case 0: len = old - 8; break;
	case 1: len = old + 8; break;
	case 2: len = 8 * below(old / 8 + 1); break;
	default: len = old + 8 * below(32);
	}
	if (len > EXT_LONGEST)
		return;
	if (len > old)
		memset(e->data + old, one_in(2) ? 0 : 0xa5, len - old);
	e->len = len;
	if (len >= 8 && !one_in(4))
		set_length(e, len / 8);
}

/* Its fields of two, four and eight bytes lie where such numbers lie. */
static void change_field(struct ext *e)
{
	unsigned int width = 1u << below(4), at;
	uint64_t value = one_in(4) ? draw() : boundary();

	if (e->len < 8)
		return;
	at = below(e->len / width) * width;
	memcpy(e->data + at, &value, width);	/* little endian's low bytes */
}

static void change_ext(void)
{
	unsigned int i = below(m.n), type;
	struct ext *e = m.order[i];

	switch (below(12)) {
	case 0: drop_ext(i); break;
	case 1: double_ext(i); break;
	case 2: swap_exts(i); break;
	case 3: resize_ext(e); break;
	case 4:	/* off its unit, as all behind it */
		e->len += e->len + 7 < EXT_LONGEST ? 1 + below(7) : 0;
		break;
	case 5: set_length(e, one_in(2) ? e->len / 8 + below(3) - 1 : boundary()); break;
	case 6:
		type = one_in(3) ? boundary() : below(70);
		e->data[2] = type;
		e->data[3] = type >> 8;
		break;
	case 7: random_bytes(e->data + 4, e->len < 4 ? 0 : e->len - 4); break;
	case 8: e->data[below(e->len + 1)] ^= 1 << below(8); break;
	case 9: add_by_letter("SsdABPOaehocpnmK2rfx"[below(20)]); break;
	default: change_field(e);
	}
}

/* What it says of itself; the number and the sender's are for us. */
static void change_header(struct sadb_msg *h)
{
	switch (below(8)) {
	case 0: h->sadb_msg_version = boundary(); break;
	case 1: h->sadb_msg_type = one_in(4) ? boundary() : below(26); break;
	case 2: h->sadb_msg_reserved = boundary(); break;
	case 3: h->sadb_msg_len = boundary(); break;
	case 4: h->sadb_msg_len += below(3) - 1; break;
	case 5: h->sadb_msg_errno = boundary(); break;
	default: h->sadb_msg_satype = one_in(2) ? boundary() : below(11);
	}
}

static size_t change_size(uint8_t *buf, size_t len)
{
	struct sadb_msg *h = (void *)buf;
	size_t longer;

	switch (below(4)) {
	case 0: /* torn anywhere */
		len = below(len + 1);
		break;
	case 1: /* torn, but it says so */
		len = 16 + below(len - 15) / 8 * 8;
		h->sadb_msg_len = len / 8;
		break;
	default:
		longer = len + (one_in(50) ? below(MSG_LONGEST - len) : below(128));
		memset(buf + len, one_in(2) ? 0 : below(256), longer - len);
		len = one_in(2) ? longer & ~7ul : longer;
		h->sadb_msg_len = len / 8;
	}
	return len;
}

size_t make_header(uint8_t *buf, uint8_t type, uint8_t satype, uint32_t seq,
		   uint32_t pid)
{
	struct sadb_msg h = {
		.sadb_msg_version = PF_KEY_V2,
		.sadb_msg_type = type,
		.sadb_msg_satype = satype,
		.sadb_msg_len = sizeof(h) / 8,
		.sadb_msg_seq = seq,
		.sadb_msg_pid = pid,
	};

	memcpy(buf, &h, sizeof(h));
	return sizeof(h);
}

size_t make_message(uint8_t *buf, uint32_t seq, uint32_t pid)
{
	bool sound = one_in(4);
	struct sadb_msg *h = (void *)buf;
	unsigned int i;
	size_t len;

	follow(choose_recipe());
	for (i = sound ? 0 : 1 + below(3); i && m.n; i--)
		change_ext();
	len = make_header(buf, m.type, m.satype, seq, pid);
	if (m.type == SADB_ACQUIRE)
		h->sadb_msg_errno = 2;
	for (i = 0; i < m.n; i++) {
		memcpy(buf + len, m.order[i]->data, m.order[i]->len);
		len += m.order[i]->len;
	}
	memset(buf + len, 0, 8);
	len = (len + 7) & ~7ul;
	h->sadb_msg_len = len / 8;
	if (sound)
		return len;
	if (one_in(12))
		change_header(h);
	return one_in(12) ? change_size(buf, len) : len;
}
