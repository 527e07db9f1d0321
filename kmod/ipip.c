// SPDX-License-Identifier: GPL-2.0
/*
 * ipip.c - packets of an IPComp tunnel that came without IPComp (floor 4).
 *
 * What such a tunnel cannot shrink, it sends as plain IP in IP (RFC 3173 section
 * 2.2), in clear or inside the other headers of a bundle. If there is the SA of
 * such a tunnel between these two addresses, the packet is taken as if it had
 * passed it: it gets the SA's tag, and policy is asked. All other IP in IP is
 * left to those behind us, who may have a device for it.
 */
#include <net/xfrm.h>

#include "header.h"
#include "input.h"
#include "ipip.h"
#include "packet.h"
#include "stats.h"

struct kipsec_sa *kipsec_ipip_sa(struct kipsec_net *kn,
				 const struct sk_buff *skb)
{
	struct kipsec_sa_want want = {
		.proto	= IPPROTO_COMP,
		.mode	= KIPSEC_MODE_TUNNEL,
		.family	= AF_INET,
	};
	struct kipsec_sa *sa;

	if (ip_hdr(skb)->version == 6) {
		want.family = AF_INET6;
		want.src.ip6 = ipv6_hdr(skb)->saddr;
		want.dst.ip6 = ipv6_hdr(skb)->daddr;
	} else {
		want.src.ip = ip_hdr(skb)->saddr;
		want.dst.ip = ip_hdr(skb)->daddr;
	}
	sa = kipsec_sad_search(kn, &want);
	if (sa)
		return sa;
	want.proto = IPPROTO_IPIP;	/* SAs for input only */
	return kipsec_sad_search(kn, &want);
}

/* Data at the inner header; the network header is the outer one. */
static int receive(struct sk_buff *skb, u8 next)
{
	struct kipsec_net *kn = kipsec_net(dev_net(skb->dev));
	struct kipsec_sa *sa;
	int err;

	if (!kipsec_sad_count(kn))
		return -EINVAL;
	sa = kipsec_ipip_sa(kn, skb);
	if (!sa)
		return -EINVAL;
	if (skb_linearize_cow(skb)) {
		kipsec_drop(kn, skb, KIPSEC_DROP_IN_NOMEM, sa, NULL);
		return 0;
	}
	err = kipsec_pop(skb, next, sa);
	if (err)
		kipsec_drop(kn, skb, -1 - err, sa, NULL);
	else
		kipsec_input_clear(kn, sa, skb);
	return 0;
}

static int receive4(struct sk_buff *skb)
{
	return receive(skb, IPPROTO_IPIP);
}

static int receive6(struct sk_buff *skb)
{
	return receive(skb, IPPROTO_IPV6);
}

/* ICMP about such packets says nothing of use to us. */
static int no_error4(struct sk_buff *skb, u32 info)
{
	return -ENOENT;
}

#define FIRST	-1	/* in line, before ipip and its like */

static struct xfrm_tunnel in4[] = {
	{ .handler = receive4, .err_handler = no_error4, .priority = FIRST },
	{ .handler = receive6, .err_handler = no_error4, .priority = FIRST },
};

static const u8 families[] = { AF_INET, AF_INET6 };	/* of what is inside */

#if IS_ENABLED(CONFIG_IPV6)
static int no_error6(struct sk_buff *skb, struct inet6_skb_parm *opt, u8 type,
		     u8 code, int off, __be32 info)
{
	return -ENOENT;
}

static struct xfrm6_tunnel in6[] = {
	{ .handler = receive4, .err_handler = no_error6, .priority = FIRST },
	{ .handler = receive6, .err_handler = no_error6, .priority = FIRST },
};

static int register6(unsigned int i)
{
	return xfrm6_tunnel_register(&in6[i], families[i]);
}

static void deregister6(unsigned int i)
{
	xfrm6_tunnel_deregister(&in6[i], families[i]);
}
#else
static int register6(unsigned int i)
{
	return 0;
}

static void deregister6(unsigned int i)
{
}
#endif

static void stop(unsigned int n)
{
	while (n--) {
		deregister6(n);
		xfrm4_tunnel_deregister(&in4[n], families[n]);
	}
}

int kipsec_ipip_start(void)
{
	unsigned int i;
	int err;

	for (i = 0; i < ARRAY_SIZE(families); i++) {
		err = xfrm4_tunnel_register(&in4[i], families[i]);
		if (!err) {
			err = register6(i);
			if (err)
				xfrm4_tunnel_deregister(&in4[i], families[i]);
		}
		if (err) {
			stop(i);
			return err;
		}
	}
	return 0;
}

void kipsec_ipip_stop(void)
{
	stop(ARRAY_SIZE(families));
}
