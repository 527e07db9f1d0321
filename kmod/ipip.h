/* SPDX-License-Identifier: GPL-2.0 */
/*
 * ipip.h - packets of an IPComp tunnel that came without IPComp (floor 4).
 */
#ifndef _KIPSEC_IPIP_H
#define _KIPSEC_IPIP_H

struct kipsec_net;
struct kipsec_sa;
struct sk_buff;

/**
 * kipsec_ipip_sa() - the SA of the tunnel that an IP-in-IP packet belongs to
 * @kn: the namespace
 * @skb: the packet, with its outer header
 *
 * Context: RCU read side. Return: an SA of IPComp, or NULL.
 */
struct kipsec_sa *kipsec_ipip_sa(struct kipsec_net *kn,
				 const struct sk_buff *skb);

/** kipsec_ipip_start() - take IP in IP from the stack; once per module load */
int kipsec_ipip_start(void);

/** kipsec_ipip_stop() - no packet enters here after this */
void kipsec_ipip_stop(void);

#endif /* _KIPSEC_IPIP_H */
