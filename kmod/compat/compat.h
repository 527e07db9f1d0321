/* SPDX-License-Identifier: GPL-2.0 */
/*
 * compat.h - what differs between kernels 6.1 and 7.2 (floor 0).
 *
 * The rest of the source reads like code for one kernel. Where a feature can
 * be probed (Kbuild looks for headers) it is probed, since distributions carry
 * features back; the version is the last resort.
 */
#ifndef _KIPSEC_COMPAT_H
#define _KIPSEC_COMPAT_H

#include <linux/crypto.h>
#include <linux/netdevice.h>
#include <linux/version.h>
#include <net/ip.h>
#include <net/route.h>

#ifdef KIPSEC_HAS_LINUX_UNALIGNED
#include <linux/unaligned.h>
#else
#include <asm/unaligned.h>
#endif

#ifdef KIPSEC_HAS_NET_GSO
#include <net/gso.h>
#endif

#ifdef KIPSEC_HAS_NET_RPS
#include <net/rps.h>
#endif

/* Has the administrator asked for packets to be spread over processors? */
static inline bool kipsec_rps(void)
{
#ifdef CONFIG_RPS
	return static_branch_unlikely(&rps_needed);
#else
	return false;
#endif
}

/* Traffic control, BPF and firewalls where a device delivers packets. */
static inline bool kipsec_ingress(const struct net_device *dev)
{
#ifdef CONFIG_NETFILTER_INGRESS
	if (rcu_access_pointer(dev->nf_hooks_ingress))
		return true;
#endif
#if defined(CONFIG_NET_XGRESS)
	return rcu_access_pointer(dev->tcx_ingress);
#elif defined(CONFIG_NET_CLS_ACT)
	return rcu_access_pointer(dev->miniq_ingress);
#else
	return false;
#endif
}

/*
 * Kernels that clear all variables on the stack: not this one, on a path that
 * every packet takes, for it is filled in at once.
 */
#if __has_attribute(__uninitialized__)
#define KIPSEC_NOT_ZEROED	__attribute__((__uninitialized__))
#else
#define KIPSEC_NOT_ZEROED
#endif

/* The argument of a crypto completion: the request until 6.2, its data since. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
typedef struct crypto_async_request *kipsec_crypto_arg;
static inline void *kipsec_crypto_data(kipsec_crypto_arg arg)
{
	return arg->data;
}
#else
typedef void *kipsec_crypto_arg;
static inline void *kipsec_crypto_data(kipsec_crypto_arg arg)
{
	return arg;
}
#endif

/* A device that is never registered, with what the stack expects of those that receive. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 10, 0)
static inline void kipsec_dummy_setup(struct net_device *dev)
{
}

static inline struct net_device *kipsec_dummy_netdev(void)
{
	return alloc_netdev(0, "kipsec", NET_NAME_UNKNOWN, kipsec_dummy_setup);
}
#else
static inline struct net_device *kipsec_dummy_netdev(void)
{
	return alloc_netdev_dummy(0);
}
#endif

/*
 * May a device that is never registered be in no namespace? Since 6.15 the stack looks
 * there for who wants to see the packets of all devices.
 */
#define KIPSEC_NO_NAMESPACE	(LINUX_VERSION_CODE < KERNEL_VERSION(6, 15, 0))

/* Type of service in a route key: a byte until 6.17, a DSCP since. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 18, 0)
#define kipsec_flowi4_set_tos(fl4, tos) ((fl4)->flowi4_tos = (tos) & 0x1c)
#else
#define kipsec_flowi4_set_tos(fl4, tos) \
	((fl4)->flowi4_dscp = inet_dsfield_to_dscp(tos))
#endif

/* The way of a packet that has come in; 0 or not. A byte until 6.12, a DSCP since. */
static inline int kipsec_route_input(struct sk_buff *skb)
{
	const struct iphdr *iph = ip_hdr(skb);

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
	return ip_route_input_noref(skb, iph->daddr, iph->saddr, iph->tos,
				    skb->dev);
#else
	return ip_route_input_noref(skb, iph->daddr, iph->saddr,
				    ip4h_dscp(iph), skb->dev);
#endif
}

/* The length of a sysctl table: a sentinel until 6.10, a number since. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 11, 0)
#define KIPSEC_SYSCTL_END	{ }
#define kipsec_register_sysctl(net, path, table, n) \
	register_net_sysctl(net, path, table)
#else
#define KIPSEC_SYSCTL_END
#define kipsec_register_sysctl(net, path, table, n) \
	register_net_sysctl_sz(net, path, table, n)
#endif

/* What a handler of a sysctl gets: not to be written to since 6.11. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 11, 0)
typedef struct ctl_table kipsec_ctl_table;
#else
typedef const struct ctl_table kipsec_ctl_table;
#endif

/* The source is named once since 6.10. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 10, 0)
#define kipsec_assign_str(dst, src) __assign_str(dst, src)
#else
#define kipsec_assign_str(dst, src) __assign_str(dst)
#endif

/* Work queues that stay on a processor: unless told otherwise, and to be told. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 18, 0)
#define KIPSEC_WQ_PERCPU	0
#else
#define KIPSEC_WQ_PERCPU	WQ_PERCPU
#endif

#endif /* _KIPSEC_COMPAT_H */
