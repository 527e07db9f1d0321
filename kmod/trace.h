/* SPDX-License-Identifier: GPL-2.0 */
/*
 * trace.h - trace events (floor 2): /sys/kernel/tracing/events/kipsec.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM kipsec

#if !defined(_KIPSEC_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _KIPSEC_TRACE_H

#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/skbuff.h>
#include <linux/tracepoint.h>
#include <net/ipv6.h>

#include "reason.h"
#include "sa.h"
#include "spd.h"
#include "stats.h"

/*
 * A packet was dropped: why, what its IP header says, and the SA and policy at
 * hand (0 if none).
 */
TRACE_EVENT(kipsec_drop,
	TP_PROTO(const struct sk_buff *skb, enum kipsec_reason reason,
		 const struct kipsec_sa *sa, const struct kipsec_policy *pol),
	TP_ARGS(skb, reason, sa, pol),

	TP_STRUCT__entry(
		__string(reason, kipsec_stats_name(reason))
		__field(const void *, skb)
		__field(unsigned int, len)
		__array(__u8, src, 16)
		__array(__u8, dst, 16)
		__field(u8, proto)
		__field(u32, spi)
		__field(u32, policy)
	),

	TP_fast_assign(
		const struct iphdr *iph = ip_hdr(skb);
		const struct ipv6hdr *ip6 = ipv6_hdr(skb);

		kipsec_assign_str(reason, kipsec_stats_name(reason));
		__entry->skb = skb;
		__entry->len = skb->len;
		if (iph->version == 6) {
			memcpy(__entry->src, &ip6->saddr, 16);
			memcpy(__entry->dst, &ip6->daddr, 16);
			__entry->proto = ip6->nexthdr;
		} else {
			ipv6_addr_set_v4mapped(iph->saddr,
					       (void *)__entry->src);
			ipv6_addr_set_v4mapped(iph->daddr,
					       (void *)__entry->dst);
			__entry->proto = iph->protocol;
		}
		__entry->spi = sa ? ntohl(sa->id.spi) : 0;
		__entry->policy = pol ? pol->id : 0;
	),

	TP_printk("reason=%s src=%pI6c dst=%pI6c proto=%u len=%u spi=0x%08x policy=%u skb=%p",
		  __get_str(reason), __entry->src, __entry->dst, __entry->proto,
		  __entry->len, __entry->spi, __entry->policy, __entry->skb)
);

#endif /* _KIPSEC_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
