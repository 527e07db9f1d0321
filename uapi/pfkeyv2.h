/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * PF_KEYv2 as kipsec speaks it: the interface and its manual.
 *
 * A superset of <linux/pfkeyv2.h> and <linux/ipsec.h>: same names, same numbers, same layout.
 * The shared part sits inside the include guards of those two headers, so that either may
 * come first; what kipsec adds follows, outside of them.  Works in the kernel and in programs.
 *
 * THE SOCKET
 *
 *	fd = socket(PF_KEY, SOCK_RAW, PF_KEY_V2);	CAP_NET_ADMIN at socket(), never later
 *
 * One send is one message, one receive is one message: a struct sadb_msg, then extensions in
 * any order, each type at most once.  Lengths (except in a policy request) count 8-byte units
 * and include the header; unused bytes are zero.  A message with a bad base header makes the
 * send itself fail: EMSGSIZE (sadb_msg_len is not the length sent), EINVAL (version, type,
 * reserved).  All later errors come back as a message: the 16 bytes of the request's header
 * with sadb_msg_errno set.  Replies carry the seq and pid of the request untouched; messages
 * of the kernel's own have pid 0.
 *
 * THE MESSAGES			request				reply, to whom
 *
 *  1 GETSPI	<SRC DST [SPIRANGE] [SA2]>		SA message without keys, to the sender
 *		Reserves an SPI and creates a larval SA.  ENOENT: none free in the range.
 *  2 UPDATE	<SA SRC DST keys [SA2] [HARD SOFT] [NAT-T]>	SA message, to all
 *		Completes a larval SA, or changes lifetimes and NAT-T ports of a mature one.
 *		Without algorithms and keys: an end has moved, take the new addresses and ports.
 *		ESRCH: no SA.  EEXIST: another one is there.
 *  3 ADD	as UPDATE				SA message, to all
 *		EEXIST: (dst, spi, protocol) is taken.  ENOSYS: algorithm unknown.
 *		ENOENT: its cipher is not available.  EINVAL: key length.
 *  4 DELETE	<SA SRC DST>				SA message, to all.  ESRCH
 *		Without SA: every SA between the two addresses.
 *  5 GET	<SA SRC DST>				SA message with keys, to the sender.  ESRCH
 *  6 ACQUIRE	kernel: <SRC DST POLICY [PROPOSAL]>	to registered sockets: an SA is wanted
 *		program: header, errno set		"cannot have it": waiting packets fail now
 *  7 REGISTER	header, satype				<SUPPORTED_AUTH SUPPORTED_ENCRYPT>, to the
 *							sender and to registered sockets
 *  8 EXPIRE	kernel only: <SA CURRENT (HARD|SOFT) SRC DST SA2 [NAT-T]>
 *		to registered sockets
 *  9 FLUSH	header, satype (0 = all)		header, to all; empty is no error
 * 10 DUMP	header, satype, [FILTER]		an SA message with keys each, to the
 *		sender; seq is 0 in the last.  ENOENT: no SA.  EBUSY: a dump is under way.
 * 11 PROMISC	header, satype 1 on, 0 off		the request, to all
 * 13 SPDUPDATE	<SRC DST POLICY [HARD]>			policy message, to all; replaces or creates
 * 14 SPDADD	as SPDUPDATE				policy message, to all.  EEXIST: selector
 * 15 SPDDELETE	<SRC DST POLICY>			policy message, to all.  ENOENT
 * 16 SPDGET	<POLICY> (its id)			policy message, to the sender.  ENOENT
 * 18 SPDDUMP	header					one policy message each; as DUMP, seq is 0
 *							in the last.  ENOENT: no policy
 * 19 SPDFLUSH	header					header, to all
 * 20 SPDSETIDX	as SPDADD				as SPDADD
 * 21 SPDEXPIRE	kernel only: <SRC DST CURRENT HARD POLICY>	to registered sockets
 * 22 SPDDELETE2 <POLICY> (its id)			policy message, to all.  ENOENT
 * 23 NAT_T_NEW_MAPPING kernel only: <SA SRC NAT_T_SPORT DST NAT_T_DPORT>
 *		to registered sockets: the peer's packets now come from DST, port DPORT
 * 24 MIGRATE	<SRC DST POLICY [KMADDRESS]>		the request, to all, pid and seq 0
 *		POLICY has pairs of requests, old and new, which differ in addresses only.  The
 *		policy and its SAs move.  ESRCH: no policy.  ENODATA: no pair is about it.
 *
 *	SA message	<SA HARD SOFT CURRENT SRC DST [KEY_AUTH] [KEY_ENCRYPT] SA2 [NAT_T_TYPE
 *			NAT_T_SPORT NAT_T_DPORT]>
 *	policy message	<SRC DST HARD SOFT CURRENT POLICY>; satype 0, sadb_msg_reserved holds the
 *			reference count of the policy
 *
 * Keys leave the kernel in answers to GET and DUMP only.
 */
#ifndef _KIPSEC_PFKEYV2_H
#define _KIPSEC_PFKEYV2_H

#include <linux/types.h>

#ifndef _LINUX_PFKEY2_H
#define _LINUX_PFKEY2_H

#define PF_KEY_V2		2
#define PFKEYV2_REVISION	199806L

/* 16 bytes: the head of each message. */
struct sadb_msg {
	__u8	sadb_msg_version;	/* PF_KEY_V2 */
	__u8	sadb_msg_type;		/* SADB_* below */
	__u8	sadb_msg_errno;		/* 0, or why the request failed */
	__u8	sadb_msg_satype;	/* SADB_SATYPE_*; 0 in policy messages */
	__u16	sadb_msg_len;		/* whole message, in 8-byte units */
	__u16	sadb_msg_reserved;	/* 0; from the kernel in policy messages: references */
	__u32	sadb_msg_seq;		/* the requester's; in dumps 0 is the last */
	__u32	sadb_msg_pid;		/* the requester's; 0: the kernel itself */
} __attribute__((packed));

/* 4 bytes: the head of each extension. */
struct sadb_ext {
	__u16	sadb_ext_len;		/* in 8-byte units, head included */
	__u16	sadb_ext_type;		/* SADB_EXT_*, SADB_X_EXT_* */
} __attribute__((packed));

/* SA, 16 bytes. */
struct sadb_sa {
	__u16	sadb_sa_len;
	__u16	sadb_sa_exttype;
	__be32	sadb_sa_spi;		/* IPComp: the CPI, as htonl(cpi) */
	__u8	sadb_sa_replay;		/* window in packets; 0: no check */
	__u8	sadb_sa_state;		/* SADB_SASTATE_*; ignored in requests */
	__u8	sadb_sa_auth;		/* SADB_AALG_*, 0 with an AEAD cipher */
	__u8	sadb_sa_encrypt;	/* SADB_EALG_*; IPComp: SADB_X_CALG_* */
	__u32	sadb_sa_flags;		/* SADB_SAFLAGS_*, SADB_X_EXT_OLD ... */
} __attribute__((packed));

/* LIFETIME_CURRENT, LIFETIME_HARD, LIFETIME_SOFT, 32 bytes.  In limits 0 means none. */
struct sadb_lifetime {
	__u16	sadb_lifetime_len;
	__u16	sadb_lifetime_exttype;
	__u32	sadb_lifetime_allocations;	/* packets */
	__u64	sadb_lifetime_bytes;
	__u64	sadb_lifetime_addtime;	/* limits: seconds; CURRENT: when it was made */
	__u64	sadb_lifetime_usetime;	/* limits: seconds; CURRENT: SA first, policy last use */
} __attribute__((packed));

/*
 * ADDRESS_SRC, _DST, _PROXY, NAT_T_OA: 8 bytes and a sockaddr, padded: 24 (IPv4) or 40 (IPv6).
 * For SAs port, prefix and protocol mean nothing.  For policies protocol 255 and port 0 are
 * "any", ports are in network order, and with ICMP the source port is the type, the
 * destination port the code.
 */
struct sadb_address {
	__u16	sadb_address_len;
	__u16	sadb_address_exttype;
	__u8	sadb_address_proto;
	__u8	sadb_address_prefixlen;
	__u16	sadb_address_reserved;
} __attribute__((packed));

/* KEY_AUTH, KEY_ENCRYPT: 8 bytes and the key, padded.  CTR, GCM, CCM: the salt comes last. */
struct sadb_key {
	__u16	sadb_key_len;
	__u16	sadb_key_exttype;
	__u16	sadb_key_bits;
	__u16	sadb_key_reserved;
} __attribute__((packed));

/* IDENTITY_SRC, IDENTITY_DST: 16 bytes and a string.  Accepted, not used. */
struct sadb_ident {
	__u16	sadb_ident_len;
	__u16	sadb_ident_exttype;
	__u16	sadb_ident_type;
	__u16	sadb_ident_reserved;
	__u64	sadb_ident_id;
} __attribute__((packed));

/* SENSITIVITY: 16 bytes and two arrays of __u64.  Accepted, not used. */
struct sadb_sens {
	__u16	sadb_sens_len;
	__u16	sadb_sens_exttype;
	__u32	sadb_sens_dpd;
	__u8	sadb_sens_sens_level;
	__u8	sadb_sens_sens_len;
	__u8	sadb_sens_integ_level;
	__u8	sadb_sens_integ_len;
	__u32	sadb_sens_reserved;
} __attribute__((packed));

/* PROPOSAL, 8 bytes and any number of struct sadb_comb. */
struct sadb_prop {
	__u16	sadb_prop_len;
	__u16	sadb_prop_exttype;
	__u8	sadb_prop_replay;
	__u8	sadb_prop_reserved[3];
} __attribute__((packed));

/* 72 bytes: one acceptable pair of algorithms. */
struct sadb_comb {
	__u8	sadb_comb_auth;
	__u8	sadb_comb_encrypt;
	__u16	sadb_comb_flags;
	__u16	sadb_comb_auth_minbits;
	__u16	sadb_comb_auth_maxbits;
	__u16	sadb_comb_encrypt_minbits;
	__u16	sadb_comb_encrypt_maxbits;
	__u32	sadb_comb_reserved;
	__u32	sadb_comb_soft_allocations;
	__u32	sadb_comb_hard_allocations;
	__u64	sadb_comb_soft_bytes;
	__u64	sadb_comb_hard_bytes;
	__u64	sadb_comb_soft_addtime;
	__u64	sadb_comb_hard_addtime;
	__u64	sadb_comb_soft_usetime;
	__u64	sadb_comb_hard_usetime;
} __attribute__((packed));

/* SUPPORTED_AUTH, SUPPORTED_ENCRYPT: 8 bytes and any number of struct sadb_alg. */
struct sadb_supported {
	__u16	sadb_supported_len;
	__u16	sadb_supported_exttype;
	__u32	sadb_supported_reserved;
} __attribute__((packed));

/* 8 bytes: one algorithm.  Key lengths include the salt of CTR and AEAD ciphers. */
struct sadb_alg {
	__u8	sadb_alg_id;
	__u8	sadb_alg_ivlen;		/* bytes */
	__u16	sadb_alg_minbits;
	__u16	sadb_alg_maxbits;
	__u16	sadb_alg_reserved;
} __attribute__((packed));

/* SPIRANGE, 16 bytes.  Host order. */
struct sadb_spirange {
	__u16	sadb_spirange_len;
	__u16	sadb_spirange_exttype;
	__u32	sadb_spirange_min;
	__u32	sadb_spirange_max;
	__u32	sadb_spirange_reserved;
} __attribute__((packed));

/* X_KMPRIVATE, 8 bytes.  Ignored. */
struct sadb_x_kmprivate {
	__u16	sadb_x_kmprivate_len;
	__u16	sadb_x_kmprivate_exttype;
	__u32	sadb_x_kmprivate_reserved;
} __attribute__((packed));

/* X_SA2, 16 bytes. */
struct sadb_x_sa2 {
	__u16	sadb_x_sa2_len;
	__u16	sadb_x_sa2_exttype;
	__u8	sadb_x_sa2_mode;	/* IPSEC_MODE_* */
	__u8	sadb_x_sa2_reserved1;
	__u16	sadb_x_sa2_reserved2;
	__u32	sadb_x_sa2_sequence;	/* from the kernel: low 32 bits of the sequence number */
	__u32	sadb_x_sa2_reqid;	/* pairs the SA with a policy request; 0: none */
} __attribute__((packed));

/*
 * X_POLICY, 16 bytes and for IPSEC policies struct sadb_x_ipsecrequest in the order in which
 * they are applied to outgoing packets.
 */
struct sadb_x_policy {
	__u16	sadb_x_policy_len;
	__u16	sadb_x_policy_exttype;
	__u16	sadb_x_policy_type;	/* IPSEC_POLICY_* */
	__u8	sadb_x_policy_dir;	/* IPSEC_DIR_* */
	__u8	sadb_x_policy_reserved;
	__u32	sadb_x_policy_id;	/* the kernel's; id & 7 is direction - 1 */
	__u32	sadb_x_policy_priority;	/* the lower value wins */
} __attribute__((packed));

/*
 * 16 bytes, and in tunnel mode two sockaddrs without a gap: 16 + 2 * 16 or 16 + 2 * 28.
 * The length counts BYTES.
 */
struct sadb_x_ipsecrequest {
	__u16	sadb_x_ipsecrequest_len;
	__u16	sadb_x_ipsecrequest_proto;	/* IPPROTO_ESP, _AH, _COMP */
	__u8	sadb_x_ipsecrequest_mode;	/* IPSEC_MODE_* */
	__u8	sadb_x_ipsecrequest_level;	/* IPSEC_LEVEL_* */
	__u16	sadb_x_ipsecrequest_reserved1;
	__u32	sadb_x_ipsecrequest_reqid;
	__u32	sadb_x_ipsecrequest_reserved2;
} __attribute__((packed));

/* X_NAT_T_TYPE, 8 bytes.  UDP_ENCAP_ESPINUDP (2) is RFC 3948. */
struct sadb_x_nat_t_type {
	__u16	sadb_x_nat_t_type_len;
	__u16	sadb_x_nat_t_type_exttype;
	__u8	sadb_x_nat_t_type_type;
	__u8	sadb_x_nat_t_type_reserved[3];
} __attribute__((packed));

/* X_NAT_T_SPORT, X_NAT_T_DPORT, 8 bytes: UDP ports of packets travelling on this SA. */
struct sadb_x_nat_t_port {
	__u16	sadb_x_nat_t_port_len;
	__u16	sadb_x_nat_t_port_exttype;
	__be16	sadb_x_nat_t_port_port;
	__u16	sadb_x_nat_t_port_reserved;
} __attribute__((packed));

/* X_SEC_CTX, 8 bytes and a label. */
struct sadb_x_sec_ctx {
	__u16	sadb_x_sec_len;
	__u16	sadb_x_sec_exttype;
	__u8	sadb_x_ctx_alg;
	__u8	sadb_x_ctx_doi;
	__u16	sadb_x_ctx_len;
} __attribute__((packed));

/* X_KMADDRESS, 8 bytes and two sockaddrs without a gap: where the key managers talk. */
struct sadb_x_kmaddress {
	__u16	sadb_x_kmaddress_len;
	__u16	sadb_x_kmaddress_exttype;
	__u32	sadb_x_kmaddress_reserved;
} __attribute__((packed));

/* X_FILTER, 40 bytes: which SAs a DUMP is about. */
struct sadb_x_filter {
	__u16	sadb_x_filter_len;
	__u16	sadb_x_filter_exttype;
	__u32	sadb_x_filter_saddr[4];
	__u32	sadb_x_filter_daddr[4];
	__u16	sadb_x_filter_family;
	__u8	sadb_x_filter_splen;
	__u8	sadb_x_filter_dplen;
} __attribute__((packed));

/* Message types. */
#define SADB_RESERVED			0
#define SADB_GETSPI			1
#define SADB_UPDATE			2
#define SADB_ADD			3
#define SADB_DELETE			4
#define SADB_GET			5
#define SADB_ACQUIRE			6
#define SADB_REGISTER			7
#define SADB_EXPIRE			8
#define SADB_FLUSH			9
#define SADB_DUMP			10
#define SADB_X_PROMISC			11
#define SADB_X_PCHANGE			12
#define SADB_X_SPDUPDATE		13
#define SADB_X_SPDADD			14
#define SADB_X_SPDDELETE		15
#define SADB_X_SPDGET			16
#define SADB_X_SPDACQUIRE		17
#define SADB_X_SPDDUMP			18
#define SADB_X_SPDFLUSH			19
#define SADB_X_SPDSETIDX		20
#define SADB_X_SPDEXPIRE		21
#define SADB_X_SPDDELETE2		22
#define SADB_X_NAT_T_NEW_MAPPING	23
#define SADB_X_MIGRATE			24
#define SADB_MAX			24

/* sadb_sa_flags; those of tunnels are stronger than net.kipsec.dfbit and net.kipsec.ecn */
#define SADB_SAFLAGS_PFS		1		/* the bit of SADB_X_EXT_OLD: refused */
#define SADB_SAFLAGS_NOPMTUDISC		0x20000000	/* outer header without DF */
#define SADB_SAFLAGS_DECAP_DSCP		0x40000000	/* the outer DSCP goes inwards */
#define SADB_SAFLAGS_NOECN		0x80000000	/* congestion marks stay apart */

/* sadb_sa_state */
#define SADB_SASTATE_LARVAL		0	/* has an SPI, awaits its keys */
#define SADB_SASTATE_MATURE		1
#define SADB_SASTATE_DYING		2	/* past its soft lifetime, still in use */
#define SADB_SASTATE_DEAD		3
#define SADB_SASTATE_MAX		3

/* sadb_msg_satype; kipsec knows 0, 2, 3 and 9 */
#define SADB_SATYPE_UNSPEC		0
#define SADB_SATYPE_AH			2
#define SADB_SATYPE_ESP			3
#define SADB_SATYPE_RSVP		5
#define SADB_SATYPE_OSPFV2		6
#define SADB_SATYPE_RIPV2		7
#define SADB_SATYPE_MIP			8
#define SADB_X_SATYPE_IPCOMP		9
#define SADB_SATYPE_MAX			9

/* sadb_sa_auth				   key bits */
#define SADB_AALG_NONE			0
#define SADB_AALG_MD5HMAC		2	/* 128 */
#define SADB_AALG_SHA1HMAC		3	/* 160 */
#define SADB_X_AALG_SHA2_256HMAC	5	/* 256 */
#define SADB_X_AALG_SHA2_384HMAC	6	/* 384 */
#define SADB_X_AALG_SHA2_512HMAC	7	/* 512 */
#define SADB_X_AALG_RIPEMD160HMAC	8	/* 160 */
#define SADB_X_AALG_AES_XCBC_MAC	9	/* 128 */
#define SADB_X_AALG_SM3_256HMAC		10	/* 256 */
#define SADB_X_AALG_NULL		251	/* 0 */
#define SADB_AALG_MAX			251

/* sadb_sa_encrypt			   key bits, salt included */
#define SADB_EALG_NONE			0
#define SADB_EALG_DESCBC		2	/* 64 */
#define SADB_EALG_3DESCBC		3	/* 192 */
#define SADB_X_EALG_CASTCBC		6	/* 40 to 128 */
#define SADB_X_EALG_BLOWFISHCBC		7	/* 40 to 448 */
#define SADB_EALG_NULL			11	/* 0 */
#define SADB_X_EALG_AESCBC		12	/* 128, 192, 256 */
#define SADB_X_EALG_AESCTR		13	/* 160, 224, 288 */
#define SADB_X_EALG_AES_CCM_ICV8	14	/* 152, 216, 280 */
#define SADB_X_EALG_AES_CCM_ICV12	15
#define SADB_X_EALG_AES_CCM_ICV16	16
#define SADB_X_EALG_AES_GCM_ICV8	18	/* 160, 224, 288 */
#define SADB_X_EALG_AES_GCM_ICV12	19
#define SADB_X_EALG_AES_GCM_ICV16	20
#define SADB_X_EALG_CAMELLIACBC		22	/* 128, 192, 256 */
#define SADB_X_EALG_NULL_AES_GMAC	23	/* 160, 224, 288; authenticates only */
#define SADB_X_EALG_SM4CBC		24	/* 128 */
#define SADB_EALG_MAX			253
#define SADB_X_EALG_SERPENTCBC		252	/* 128, 192, 256 */
#define SADB_X_EALG_TWOFISHCBC		253	/* 128, 192, 256 */

/* sadb_sa_encrypt of IPComp */
#define SADB_X_CALG_NONE		0
#define SADB_X_CALG_OUI			1
#define SADB_X_CALG_DEFLATE		2
#define SADB_X_CALG_LZS			3
#define SADB_X_CALG_LZJH		4
#define SADB_X_CALG_MAX			4

/* Extension types. */
#define SADB_EXT_RESERVED		0
#define SADB_EXT_SA			1	/* struct sadb_sa */
#define SADB_EXT_LIFETIME_CURRENT	2	/* struct sadb_lifetime */
#define SADB_EXT_LIFETIME_HARD		3	/* struct sadb_lifetime */
#define SADB_EXT_LIFETIME_SOFT		4	/* struct sadb_lifetime */
#define SADB_EXT_ADDRESS_SRC		5	/* struct sadb_address, sockaddr */
#define SADB_EXT_ADDRESS_DST		6	/* struct sadb_address, sockaddr */
#define SADB_EXT_ADDRESS_PROXY		7	/* struct sadb_address, sockaddr; not sent */
#define SADB_EXT_KEY_AUTH		8	/* struct sadb_key, key */
#define SADB_EXT_KEY_ENCRYPT		9	/* struct sadb_key, key */
#define SADB_EXT_IDENTITY_SRC		10	/* struct sadb_ident; ignored */
#define SADB_EXT_IDENTITY_DST		11	/* struct sadb_ident; ignored */
#define SADB_EXT_SENSITIVITY		12	/* struct sadb_sens; ignored */
#define SADB_EXT_PROPOSAL		13	/* struct sadb_prop, sadb_comb[] */
#define SADB_EXT_SUPPORTED_AUTH		14	/* struct sadb_supported, sadb_alg[] */
#define SADB_EXT_SUPPORTED_ENCRYPT	15	/* struct sadb_supported, sadb_alg[] */
#define SADB_EXT_SPIRANGE		16	/* struct sadb_spirange */
#define SADB_X_EXT_KMPRIVATE		17	/* struct sadb_x_kmprivate; ignored */
#define SADB_X_EXT_POLICY		18	/* struct sadb_x_policy, sadb_x_ipsecrequest[] */
#define SADB_X_EXT_SA2			19	/* struct sadb_x_sa2 */
#define SADB_X_EXT_NAT_T_TYPE		20	/* struct sadb_x_nat_t_type */
#define SADB_X_EXT_NAT_T_SPORT		21	/* struct sadb_x_nat_t_port */
#define SADB_X_EXT_NAT_T_DPORT		22	/* struct sadb_x_nat_t_port */
#define SADB_X_EXT_NAT_T_OA		23	/* struct sadb_address, sockaddr */
#define SADB_X_EXT_SEC_CTX		24	/* struct sadb_x_sec_ctx, label */
#define SADB_X_EXT_KMADDRESS		25	/* struct sadb_x_kmaddress, two sockaddrs */
#define SADB_X_EXT_FILTER		26	/* struct sadb_x_filter */
#define SADB_EXT_MAX			26

/* sadb_ident_type */
#define SADB_IDENTTYPE_RESERVED		0
#define SADB_IDENTTYPE_PREFIX		1
#define SADB_IDENTTYPE_FQDN		2
#define SADB_IDENTTYPE_USERFQDN		3
#define SADB_IDENTTYPE_MAX		3

#endif /* _LINUX_PFKEY2_H */

#ifndef _LINUX_IPSEC_H
#define _LINUX_IPSEC_H

#define IPSEC_PORT_ANY		0
#define IPSEC_ULPROTO_ANY	255
#define IPSEC_PROTO_ANY		255

/* sadb_x_sa2_mode, sadb_x_ipsecrequest_mode; ANY only in SAs: fits either kind of policy */
enum {
	IPSEC_MODE_ANY		= 0,
	IPSEC_MODE_TRANSPORT	= 1,
	IPSEC_MODE_TUNNEL	= 2,
	IPSEC_MODE_BEET		= 3
};

/* sadb_x_policy_dir; dumps of per-socket policies show 4 (in) and 5 (out) */
enum {
	IPSEC_DIR_ANY		= 0,
	IPSEC_DIR_INBOUND	= 1,
	IPSEC_DIR_OUTBOUND	= 2,
	IPSEC_DIR_FWD		= 3,
	IPSEC_DIR_MAX		= 4,
	IPSEC_DIR_INVALID	= 5
};

/* sadb_x_policy_type; ENTRUST and BYPASS only in policies of a socket */
enum {
	IPSEC_POLICY_DISCARD	= 0,
	IPSEC_POLICY_NONE	= 1,
	IPSEC_POLICY_IPSEC	= 2,
	IPSEC_POLICY_ENTRUST	= 3,
	IPSEC_POLICY_BYPASS	= 4
};

/* sadb_x_ipsecrequest_level */
enum {
	IPSEC_LEVEL_DEFAULT	= 0,	/* as REQUIRE */
	IPSEC_LEVEL_USE		= 1,	/* if there is an SA, else in the clear */
	IPSEC_LEVEL_REQUIRE	= 2,
	IPSEC_LEVEL_UNIQUE	= 3	/* REQUIRE, with an SA of this reqid and no other */
};

/* Reqids up to here are the administrator's; UNIQUE with 0 or more makes the kernel choose. */
#define IPSEC_MANUAL_REQID_MAX	0x3fff

#define IPSEC_REPLAYWSIZE	32

#endif /* _LINUX_IPSEC_H */

/* What follows is not in the headers of Linux, or not in those of every supported kernel. */

#ifndef SADB_X_AALG_SM3_256HMAC
#define SADB_X_AALG_SM3_256HMAC		10
#endif
#ifndef SADB_X_EALG_SM4CBC
#define SADB_X_EALG_SM4CBC		24
#endif

/* Keyed hashes of RFC 1828 and 1852: names for programs; kipsec answers ENOSYS. */
#define SADB_X_AALG_MD5			249
#define SADB_X_AALG_SHA			250

/*
 * ChaCha20-Poly1305 (RFC 7634), key bits 288: 256 and the 4-byte salt.  The numbers 25 to 248
 * are unassigned; 25 follows the last one that Linux uses.
 */
#define SADB_X_EALG_CHACHA20POLY1305	25

/*
 * Flag bits of KAME in sadb_sa_flags.
 *   OLD	headers of RFC 1825 to 1829 (esp-old, ah-old).  Refused with EINVAL.
 *   IV4B	DES with an IV of four bytes; OLD only.
 *   DERIV	DES with an IV derived from the sequence number.  Refused with EINVAL.
 *   CYCSEQ	the sequence number may wrap.  setkey sets it unless told otherwise, so it is
 *		accepted and does not switch off the overflow check.
 *   RAWCPI	IPComp: put the spi field on the wire as the CPI; the case anyway.
 *   PRAND, PZERO (mask PMASK)	ESP padding, random or zero.  Kept and shown; padding is 1, 2, 3
 *		... in any case, as RFC 4303 has it.
 */
#define SADB_X_EXT_NONE			0x0000
#define SADB_X_EXT_OLD			0x0001
#define SADB_X_EXT_IV4B			0x0010
#define SADB_X_EXT_DERIV		0x0020
#define SADB_X_EXT_CYCSEQ		0x0040
#define SADB_X_EXT_RAWCPI		0x0080
#define SADB_X_EXT_PSEQ			0x0000
#define SADB_X_EXT_PRAND		0x0100
#define SADB_X_EXT_PZERO		0x0200
#define SADB_X_EXT_PMASK		0x0300

/*
 * Extensions of kipsec start at 64, above every number that a PF_KEY of another system uses.
 * The kernel sends one only about an SA for which a program has sent it, because programs
 * reject messages with extensions they do not know.  A kernel without kipsec skips them.
 */

/*
 * X_EXT_KIPSEC_REPLAY, 24 bytes: in the ADD of an SA and in the UPDATE that completes it, and
 * back in its GET and DUMP.  Overrides sadb_sa_replay, which cannot say more than 255 nor turn
 * on extended sequence numbers.  The last number is for those who take over from another
 * gateway, or use the same manual keys again: all up to it counts as sent and seen.
 * EINVAL: window above SADB_X_KIPSEC_REPLAY_MAX, unknown flag, ESN without a window or without
 * authentication, a last number that the SA cannot have.
 */
struct sadb_x_kipsec_replay {
	__u16	sadb_x_kipsec_replay_len;	/* 3 */
	__u16	sadb_x_kipsec_replay_exttype;	/* SADB_X_EXT_KIPSEC_REPLAY */
	__u32	sadb_x_kipsec_replay_window;	/* packets; 0: no check */
	__u32	sadb_x_kipsec_replay_flags;	/* SADB_X_KIPSEC_REPLAY_ESN or 0 */
	__u32	sadb_x_kipsec_replay_reserved;	/* 0 */
	__u64	sadb_x_kipsec_replay_last;	/* sequence number; 0: none yet */
} __attribute__((packed));

#define SADB_X_EXT_KIPSEC_REPLAY	64
#define SADB_X_EXT_KIPSEC_MIN		64
#define SADB_X_EXT_KIPSEC_MAX		67

#define SADB_X_KIPSEC_REPLAY_ESN	0x00000001	/* 64-bit sequence numbers, RFC 4304 */
#define SADB_X_KIPSEC_REPLAY_MAX	8192
#define SADB_X_KIPSEC_REPLAY_LAST	0x7fffffffffffffffULL	/* with ESN; else 0xffffffff */

/*
 * X_EXT_KIPSEC_SA, 8 bytes: in the same messages and back in the same.  How many bits of a hash
 * go with each packet, for peers that have their own idea: 96 of SHA-256, as Linux and KAME cut
 * it once.  And which way packets go: an SA for input costs less memory, and none for output
 * takes a packet in.
 * EINVAL: an ICV that is no multiple of 32 bits, shorter than 96, longer than the hash or
 * without one (AEAD ciphers have a number for each length); a direction that is none of these.
 */
struct sadb_x_kipsec_sa {
	__u16	sadb_x_kipsec_sa_len;		/* 1 */
	__u16	sadb_x_kipsec_sa_exttype;	/* SADB_X_EXT_KIPSEC_SA */
	__u16	sadb_x_kipsec_sa_icv;		/* bits; 0: as its RFC has it */
	__u8	sadb_x_kipsec_sa_dir;		/* IPSEC_DIR_INBOUND, _OUTBOUND; _ANY: both */
	__u8	sadb_x_kipsec_sa_reserved;	/* 0 */
} __attribute__((packed));

#define SADB_X_EXT_KIPSEC_SA		65
#define SADB_X_KIPSEC_ICV_MIN		96

/*
 * X_EXT_KIPSEC_ENGINE, 40 bytes and a string that ends with a zero byte, padded.  In the ADD of
 * an SA and in the UPDATE that completes it: the driver of the kernel's crypto API that is to
 * serve it, by its own name (/proc/crypto: "driver"); of a cipher, of a hash, or of both
 * together.  The counters are ignored.  An empty name leaves the choice to the kernel.  In GET
 * and DUMP it asks the kernel to put one into each answer, and says nothing else; no answer to
 * another request has it.  SAs without a cipher (IPComp) have none.
 * ENOENT: no such driver, or it does not serve this algorithm.  EINVAL: no zero byte, longer than
 * SADB_X_KIPSEC_DRIVER_MAX, or made of other characters than letters, digits and "-_(),".
 */
struct sadb_x_kipsec_engine {
	__u16	sadb_x_kipsec_engine_len;
	__u16	sadb_x_kipsec_engine_exttype;	/* SADB_X_EXT_KIPSEC_ENGINE */
	__u32	sadb_x_kipsec_engine_inflight;	/* packets that the driver is at work on */
	__u64	sadb_x_kipsec_engine_requests;	/* packets given to it */
	__u64	sadb_x_kipsec_engine_bytes;	/* of payload in them */
	__u64	sadb_x_kipsec_engine_errors;	/* of them, those that failed; not for a bad ICV */
	__u64	sadb_x_kipsec_engine_fallbacks;	/* that another driver did in its stead */
} __attribute__((packed));

#define SADB_X_EXT_KIPSEC_ENGINE	66
#define SADB_X_KIPSEC_DRIVER_MAX	128	/* bytes, the zero byte included */

/*
 * X_EXT_KIPSEC_CPU, 8 bytes: in the ADD of an SA and in the UPDATE that completes it, and back in
 * its GET and DUMP.  Of several SAs that serve a policy alike, packets take the one bound to the
 * processor they are sent on, else one bound to none, else any (RFC 9611).  Packets that come in
 * are taken by all.
 * EINVAL: no such processor.
 */
struct sadb_x_kipsec_cpu {
	__u16	sadb_x_kipsec_cpu_len;		/* 1 */
	__u16	sadb_x_kipsec_cpu_exttype;	/* SADB_X_EXT_KIPSEC_CPU */
	__u32	sadb_x_kipsec_cpu_id;		/* from 0 */
} __attribute__((packed));

#define SADB_X_EXT_KIPSEC_CPU		67

#endif /* _KIPSEC_PFKEYV2_H */
