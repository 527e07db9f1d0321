// SPDX-License-Identifier: GPL-2.0
/*
 * input.c - from protected packets back to the stack (floor 4).
 *
 *	receive() -> SA by SPI -> transform: replay window, crypto (now or later)
 *	  -> kipsec_input_clear(): tag, policy check -> reinject.c
 *
 * We stand before esp4 and its like in the stack's chains of handlers and answer
 * -EINVAL for an SPI that is not ours, so that the next in line is asked.
 */
#include <net/addrconf.h>
#include <net/ip.h>
#include <net/ipv6.h>
#include <net/protocol.h>
#include <net/xfrm.h>

#include "check.h"
#include "early.h"
#include "input.h"
#include "ipip.h"
#include "mss.h"
#include "packet.h"
#include "pmtu.h"
#include "reinject.h"
#include "route.h"
#include "shortcut.h"
#include "stats.h"
#include "xform.h"

struct kipsec_sa *kipsec_input_find(struct kipsec_net *kn,
				    const struct sk_buff *skb, int off, u8 proto)
{
	struct kipsec_sa_id id;

	if (!kipsec_id_get(skb, skb_network_header(skb), off, proto, &id))
		return NULL;
	return kipsec_sad_lookup(kn, &id);
}

/* Is there one more of our headers inside? Then the check is for later. */
static bool more_inside(struct kipsec_net *kn, const struct sk_buff *skb)
{
	struct kipsec_upper up;

	if (unlikely(kipsec_is_ipip(skb)))
		return kipsec_ipip_sa(kn, skb);
	return kipsec_maybe_ipsec(skb) && kipsec_upper_get(skb, &up) &&
	       !up.fragment && kipsec_is_ipsec(up.proto) &&
	       kipsec_input_sa(kn, skb, up.off, up.proto) &&
	       kipsec_for_us(kn->net, skb);
}

/* Nothing of the outer packet's way through the stack is left on the inner. */
static __always_inline void scrub(struct sk_buff *skb)
{
	skb_dst_drop(skb);
	nf_reset_ct(skb);
	skb_clear_hash(skb);
	skb->encapsulation = 0;
	memset(skb->cb, 0, max(sizeof(*IPCB(skb)), sizeof(*IP6CB(skb))));
}

/* Which policies are there for a packet in clear? */
static __always_inline bool look_up(struct kipsec_net *kn,
				    const struct sk_buff *skb,
				    struct kipsec_policy *found[KIPSEC_SLOTS])
{
	struct kipsec_flow fl KIPSEC_NOT_ZEROED;

	if (unlikely(!kipsec_flow_get(skb, &fl)))
		return false;
	kipsec_spd_lookup_in(kn, &fl, found);
	return true;
}

/* Are they known to accept what has passed this SA alone? */
static __always_inline bool
check_known(struct kipsec_net *kn, struct kipsec_sa *sa,
	    struct kipsec_policy *found[KIPSEC_SLOTS],
	    struct kipsec_policy **pol)
{
	if (!kipsec_check_recall(kn, found[0], sa) ||
	    !kipsec_check_recall(kn, found[1], sa))
		return false;
	*pol = found[0] ?: found[1];
	if (*pol)
		kipsec_policy_used(*pol);
	return true;
}

/* Ask them; @skb has the tag. */
static unsigned int check_asked(struct kipsec_net *kn, struct kipsec_sa *sa,
				struct sk_buff *skb,
				struct kipsec_policy *found[KIPSEC_SLOTS],
				struct kipsec_policy **pol)
{
	unsigned long gen = READ_ONCE(kn->sa_gen);
	unsigned int reason = kipsec_check(kn, skb, found[0], found[1], pol);

	if (reason == KIPSEC_REASON_MAX)
		kipsec_check_remember(kn, skb, sa, gen, found);
	return reason;
}

static unsigned int check_inner(struct kipsec_net *kn, struct kipsec_sa *sa,
				struct sk_buff *skb, struct kipsec_policy **pol)
{
	struct kipsec_policy *found[KIPSEC_SLOTS] KIPSEC_NOT_ZEROED;

	if (!look_up(kn, skb, found))
		return KIPSEC_DROP_IN_INNER;
	if (skb_sec_path(skb)->len == 1 && check_known(kn, sa, found, pol))
		return KIPSEC_REASON_MAX;
	return check_asked(kn, sa, skb, found, pol);
}

void kipsec_input_clear(struct kipsec_net *kn, struct kipsec_sa *sa,
			struct sk_buff *skb)
{
	unsigned int reason = KIPSEC_DROP_IN_NOMEM;
	struct kipsec_policy *pol = NULL;

	kipsec_route_learn(sa, skb);
	scrub(skb);
	/*
	 * A fragment from the tunnel must never meet one that came in clear:
	 * put it together here, where only fragments of this SA are.
	 */
	if (!kipsec_whole(kn->net, skb, KIPSEC_DEFRAG_SA + (u32)sa->serial))
		return;
	if (likely(kipsec_tag(skb, sa))) {
		if (more_inside(kn, skb)) {
			kipsec_reinject(skb);
			return;
		}
		reason = check_inner(kn, sa, skb, &pol);
	}
	if (unlikely(reason != KIPSEC_REASON_MAX)) {
		kipsec_drop(kn, skb, reason, sa, pol);
		return;
	}
	kipsec_count(kn, KIPSEC_COUNT_IN_PROTECTED);
	if (unlikely(READ_ONCE(kn->knobs.mss_clamp)))
		kipsec_mss_in(kn, skb);
	kipsec_reinject(skb);
}

/* The packet in clear, or NULL: dropped. */
static __always_inline struct sk_buff *input_strip(struct kipsec_job *job)
{
	struct kipsec_sa *sa = job->sa;
	int next = sa->xf->input_done(job), err;
	enum kipsec_reason reason = job->reason;
	struct sk_buff *skb = kipsec_job_put(job);

	if (likely(next >= 0)) {
		err = kipsec_pop(skb, next, sa);
		if (likely(!err))
			return skb;
		reason = -1 - err;
	}
	kipsec_drop(sa->net, skb, reason, sa, NULL);
	return NULL;
}

static void input_finish(struct kipsec_job *job)
{
	struct kipsec_sa *sa = job->sa;
	struct sk_buff *skb = input_strip(job);

	if (likely(skb))
		kipsec_input_clear(sa->net, sa, skb);
}

static void input_fail(struct kipsec_job *job)
{
	enum kipsec_reason reason = job->reason;
	struct kipsec_sa *sa = job->sa;
	struct kipsec_net *kn = sa->net;

	kipsec_drop(kn, kipsec_job_put(job), reason, sa, NULL);
}

static void input_resume(struct kipsec_job *job, int err)
{
	struct net_device *dev = job->dev;

	if (likely(!err)) {
		input_finish(job);
	} else {
		job->reason = kipsec_crypt_reason(false, err);
		input_fail(job);
	}
	/* Not before: the packet names its device on its way into the stack. */
	dev_put(dev);
}

/* The cipher has done its work, or NULL: it will, or the packet was dropped. */
static __always_inline struct kipsec_job *
input_begin(struct kipsec_sa *sa, struct sk_buff *skb)
{
	struct kipsec_job *job;
	int err;

	job = kipsec_job_get(skb);
	if (unlikely(!job)) {
		kipsec_drop(sa->net, skb, KIPSEC_DROP_IN_NOMEM, sa, NULL);
		return NULL;
	}
	job->sa = sa;
	job->path[0] = sa;
	job->n = 1;
	job->i = 0;
	job->dev = skb->dev;
	job->done = input_resume;
	err = sa->xf->input(job);
	if (likely(!err))
		return job;
	if (err != -EINPROGRESS)
		input_fail(job);
	return NULL;
}

static void input_sa(struct kipsec_sa *sa, struct sk_buff *skb)
{
	struct kipsec_job *job = input_begin(sa, skb);

	if (likely(job))
		input_finish(job);
}

/* --- the shortcut ---------------------------------------------------------- */

/*
 * Nothing that the stack does with a packet before PRE_ROUTING is needed for this
 * one: its header is plain and sound, and what is inside is not ours, nor would it
 * be joined with others.
 */
static bool plain4(struct sk_buff *skb)
{
	const struct iphdr *iph = ip_hdr(skb);

	return iph->ihl == 5 && !ip_is_fragment(iph) &&
	       !ip_fast_csum(iph, 5);
}

/* The stack refuses some addresses, by which groups and this host are known. */
static bool odd_address6(const struct in6_addr *addr)
{
	return ipv6_addr_is_multicast(addr) ||
	       !(addr->s6_addr32[0] | addr->s6_addr32[1]);
}

static bool plain6(struct sk_buff *skb)
{
	const struct ipv6hdr *ip6 = ipv6_hdr(skb);

	return !kipsec_is_extension(ip6->nexthdr) && !odd_address6(&ip6->saddr) &&
	       !odd_address6(&ip6->daddr);
}

static bool plain(struct sk_buff *skb, bool ip6)
{
	return kipsec_is_ip6(skb) == ip6 && (ip6 ? plain6(skb) : plain4(skb)) &&
	       !kipsec_maybe_ipsec(skb) && !kipsec_is_ipip(skb) &&
	       !kipsec_reinject_joins(skb);
}

/* What the stack counts where the packet does not pass: one out, another in. */
static void count_passage(struct net *net, const struct sk_buff *skb)
{
#if IS_ENABLED(CONFIG_IPV6)
	struct inet6_dev *in6;

	if (kipsec_is_ip6(skb)) {
		in6 = __in6_dev_get(skb->dev);
		__IP6_INC_STATS(net, in6, IPSTATS_MIB_INDELIVERS);
		__IP6_UPD_PO_STATS(net, in6, IPSTATS_MIB_IN, skb->len);
		return;
	}
#endif
	__IP_INC_STATS(net, IPSTATS_MIB_INDELIVERS);
	__IP_UPD_PO_STATS(net, IPSTATS_MIB_IN, skb->len);
}

/* As a packet that has just come in. */
static void set_cb(struct sk_buff *skb)
{
	if (kipsec_is_ip6(skb)) {
		IP6CB(skb)->iif = skb->dev->ifindex;
		IP6CB(skb)->nhoff = offsetof(struct ipv6hdr, nexthdr);
	} else {
		IPCB(skb)->iif = skb->skb_iif;
	}
	skb->pkt_type = PACKET_HOST;
}

/* The same, and the tag is left off if it can be. */
static __always_inline unsigned int
check_here(struct kipsec_net *kn, struct kipsec_sa *sa, struct sk_buff *skb,
	   struct kipsec_policy **pol)
{
	struct kipsec_policy *found[KIPSEC_SLOTS] KIPSEC_NOT_ZEROED;
	bool known;

	if (unlikely(!look_up(kn, skb, found)))
		return KIPSEC_DROP_IN_INNER;
	known = check_known(kn, sa, found, pol);
	if (likely(known && kipsec_shortcut_tag(kn->net, skb)))
		return KIPSEC_REASON_MAX;
	if (!kipsec_tag(skb, sa))
		return KIPSEC_DROP_IN_NOMEM;
	kipsec_calm_xfrm(kn->net, skb);
	return known ? KIPSEC_REASON_MAX : check_asked(kn, sa, skb, found, pol);
}

static __always_inline bool clear_here(struct kipsec_net *kn,
				       struct kipsec_sa *sa,
				       struct sk_buff *skb)
{
	struct kipsec_policy *pol = NULL;
	unsigned int reason;

	scrub(skb);
	set_cb(skb);
	reason = check_here(kn, sa, skb, &pol);
	if (unlikely(reason != KIPSEC_REASON_MAX)) {
		kipsec_drop(kn, skb, reason, sa, pol);
		return false;
	}
	kipsec_count(kn, KIPSEC_COUNT_IN_PROTECTED);
	kipsec_count(kn, KIPSEC_COUNT_IN_SHORT);
	count_passage(kn->net, skb);
	if (unlikely(READ_ONCE(kn->knobs.mss_clamp)))
		kipsec_mss_in(kn, skb);
	return true;
}

bool kipsec_input_short(struct kipsec_net *kn, struct kipsec_sa *sa,
			struct sk_buff *skb)
{
	bool ip6 = kipsec_is_ip6(skb);
	struct kipsec_job *job;
	struct sk_buff *clear;

	if (!kipsec_sa_usable(sa) || sa->dir == IPSEC_DIR_OUTBOUND)
		return true;
	__skb_pull(skb, kipsec_ip_header(ip6 ? AF_INET6 : AF_INET));
	job = input_begin(sa, skb);
	clear = likely(job) ? input_strip(job) : NULL;
	if (unlikely(!clear))
		return false;
	/* The hook's caller goes on with the packet that it knows. */
	if (likely(clear == skb && plain(skb, ip6)))
		return clear_here(kn, sa, skb);
	kipsec_input_clear(kn, sa, clear);
	return false;
}

/* --- the stack's side ---------------------------------------------------- */

/* Larval; or so when it was found, and completed now, by another SA in its place. */
static bool comes_early(struct kipsec_net *kn, const struct kipsec_sa *sa,
			const struct sk_buff *skb)
{
	const struct kipsec_sa *now;

	if (READ_ONCE(sa->state) == KIPSEC_SA_LARVAL)
		return true;
	now = kipsec_input_sa(kn, skb, 0, sa->id.proto);
	return now && now != sa;
}

static void not_usable(struct kipsec_net *kn, struct kipsec_sa *sa,
		       struct sk_buff *skb, int encap)
{
	if (!comes_early(kn, sa, skb) ||
	    !kipsec_early_hold(kn, sa, skb, encap))
		kipsec_drop(kn, skb, KIPSEC_DROP_IN_SA_STATE, sa, NULL);
}

void kipsec_input_protected(struct kipsec_net *kn, struct kipsec_sa *sa,
			    struct sk_buff *skb, int encap)
{
	if (unlikely(!kipsec_sa_usable(sa) || sa->dir == IPSEC_DIR_OUTBOUND))
		not_usable(kn, sa, skb, encap);
	else if (unlikely(sa->natt.type != encap))
		kipsec_drop(kn, skb, KIPSEC_DROP_IN_ENCAP, sa, NULL);
	else
		input_sa(sa, skb);
}

static int receive(struct sk_buff *skb, u8 proto, int encap)
{
	struct kipsec_net *kn = kipsec_net(dev_net(skb->dev));
	struct kipsec_sa *sa = kipsec_input_sa(kn, skb, 0, proto);

	if (!sa) {
		if (kipsec_sad_count(kn))
			kipsec_count(kn, KIPSEC_COUNT_IN_UNKNOWN_SPI);
		return -EINVAL;
	}
	kipsec_input_protected(kn, sa, skb, encap);
	return 0;
}

/* A key manager's socket got ESP in UDP; the data start at the ESP header. */
static int rcv_encap(struct sk_buff *skb, int nexthdr, __be32 spi, int encap)
{
	return receive(skb, IPPROTO_ESP, encap);
}

/*
 * xfrm has decapsulated a packet and asks in turn whose device it belongs to,
 * until one does not say "not mine": xfrm interfaces and VTI come behind us.
 */
static int rcv_cb(struct sk_buff *skb, int err)
{
	return 1;
}

/* A handler is not told for which protocol it was called: one for each. */
#define PROTOCOL(name, NAME)						\
static int name##_rcv(struct sk_buff *skb)				\
{									\
	return receive(skb, IPPROTO_##NAME, 0);				\
}									\
									\
static int name##_err6(struct sk_buff *skb, struct inet6_skb_parm *opt,	\
		       u8 type, u8 code, int off, __be32 info)		\
{									\
	return kipsec_pmtu_icmp6(skb, IPPROTO_##NAME, type, off,	\
				 ntohl(info));				\
}

PROTOCOL(esp, ESP)
PROTOCOL(ah, AH)
PROTOCOL(comp, COMP)

#define PRIORITY	1000	/* esp4 and its like have 0, VTI 100 */

#define HANDLERS(name)				\
	.handler	= name##_rcv,		\
	.input_handler	= rcv_encap,		\
	.cb_handler	= rcv_cb,		\
	.priority	= PRIORITY

/**
 * struct kipsec_protocol - what the stack calls for a protocol
 * @proto: IPPROTO_*
 * @ip4: for packets of IPv4
 * @ip6: for packets of IPv6
 */
struct kipsec_protocol {
	u8			proto;
	struct xfrm4_protocol	ip4;
	struct xfrm6_protocol	ip6;
};

static struct kipsec_protocol protocols[] = {
	{
		.proto	= IPPROTO_ESP,
		.ip4	= { HANDLERS(esp), .err_handler = kipsec_pmtu_icmp4 },
		.ip6	= { HANDLERS(esp), .err_handler = esp_err6 },
	}, {
		.proto	= IPPROTO_AH,
		.ip4	= { HANDLERS(ah), .err_handler = kipsec_pmtu_icmp4 },
		.ip6	= { HANDLERS(ah), .err_handler = ah_err6 },
	}, {
		.proto	= IPPROTO_COMP,
		.ip4	= { HANDLERS(comp), .err_handler = kipsec_pmtu_icmp4 },
		.ip6	= { HANDLERS(comp), .err_handler = comp_err6 },
	},
};

static int protocol_register(struct kipsec_protocol *p)
{
	int err = xfrm4_protocol_register(&p->ip4, p->proto);

	if (err || !IS_ENABLED(CONFIG_IPV6))
		return err;
	err = xfrm6_protocol_register(&p->ip6, p->proto);
	if (err)
		xfrm4_protocol_deregister(&p->ip4, p->proto);
	return err;
}

static void deregister(unsigned int n)
{
	while (n--) {
		if (IS_ENABLED(CONFIG_IPV6))
			xfrm6_protocol_deregister(&protocols[n].ip6,
						  protocols[n].proto);
		xfrm4_protocol_deregister(&protocols[n].ip4, protocols[n].proto);
	}
}

int kipsec_input_start(void)
{
	unsigned int i;
	int err;

	for (i = 0; i < ARRAY_SIZE(protocols); i++) {
		err = protocol_register(&protocols[i]);
		if (err) {
			deregister(i);
			return err;
		}
	}
	return 0;
}

void kipsec_input_stop(void)
{
	deregister(ARRAY_SIZE(protocols));
}
