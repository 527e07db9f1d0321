/* SPDX-License-Identifier: GPL-2.0 */
/*
 * trace.h - trace events (floor 2): /sys/kernel/tracing/events/kipsec.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM kipsec

#if !defined(_KIPSEC_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _KIPSEC_TRACE_H

#include <linux/ip.h>
#include <linux/skbuff.h>
#include <linux/tracepoint.h>

#include "reason.h"
#include "sad.h"
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
		__array(__u8, src, 4)
		__array(__u8, dst, 4)
		__field(u8, proto)
		__field(u32, spi)
		__field(u32, policy)
	),

	TP_fast_assign(
		const struct iphdr *iph = ip_hdr(skb);

		kipsec_assign_str(reason, kipsec_stats_name(reason));
		__entry->skb = skb;
		__entry->len = skb->len;
		memcpy(__entry->src, &iph->saddr, 4);
		memcpy(__entry->dst, &iph->daddr, 4);
		__entry->proto = iph->protocol;
		__entry->spi = sa ? ntohl(sa->id.spi) : 0;
		__entry->policy = pol ? pol->id : 0;
	),

	TP_printk("reason=%s src=%pI4 dst=%pI4 proto=%u len=%u spi=0x%08x policy=%u skb=%p",
		  __get_str(reason), __entry->src, __entry->dst, __entry->proto,
		  __entry->len, __entry->spi, __entry->policy, __entry->skb)
);

#endif /* _KIPSEC_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
