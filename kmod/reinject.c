// SPDX-License-Identifier: GPL-2.0
/*
 * reinject.c - the decapsulated packet's way back into the stack (floor 4).
 *
 * Both modes go the same way: the packet enters once more as if it had just
 * arrived on the device that brought the outer one. So packet sockets, firewall
 * and connection tracking see it in clear, and no worker thread is involved.
 *
 * TCP goes through GRO, since merged packets are cheaper for all that follows. The
 * stack refuses that on devices without GRO (veth has none), and a tunnel's packets
 * are none of the device's; so they are joined on a device of our own, of which
 * nobody knows, and leave it for the one that brought them. Where every device must be
 * in a namespace, whose packet sockets would see it, that is not done. The rest goes
 * straight on, in the same stack frame: a second pass through the backlog would cost
 * more than it gains.
 */
#include <linux/etherdevice.h>
#include <linux/ip.h>
#include <linux/netdevice.h>
#include <linux/percpu.h>
#include <linux/rtnetlink.h>
#include <linux/skbuff.h>
#include <net/gro_cells.h>
#include <net/xfrm.h>

#include "compat/compat.h"
#include "reinject.h"
#include "stats.h"

#define MAX_DEPTH	2	/* tunnels within tunnels on one kernel stack */

static struct gro_cells cells;
static struct net_device *cells_dev;
static DEFINE_PER_CPU(unsigned int, depth);

/* Packet sockets read the protocol out of the link-layer header. */
static void pull_mac(struct sk_buff *skb)
{
	skb_mac_header_rebuild(skb);
	if (skb->mac_len == ETH_HLEN)
		eth_hdr(skb)->h_proto = skb->protocol;
}

/*
 * Which device it is of, GRO leaves no place to note: but headers inside the packet,
 * of which it has none.
 */
static void join(struct sk_buff *skb)
{
	struct kipsec_net *kn = kipsec_net(dev_net(skb->dev));

	if (KIPSEC_NO_NAMESPACE) {
		skb->inner_transport_header = skb->dev->ifindex >> 16;
		skb->inner_network_header = skb->dev->ifindex;
		skb->dev = cells_dev;
	}
	/* It has freed the packet then. */
	if (gro_cells_receive(&cells, skb) == NET_RX_DROP)
		kipsec_count(kn, KIPSEC_DROP_IN_QUEUE);
}

/* Joined, a packet leaves our device; the tag tells of its namespace. */
static rx_handler_result_t joined(struct sk_buff **pskb)
{
	struct sk_buff *skb = *pskb;
	struct net *net = xs_net(skb_sec_path(skb)->xvec[0]);
	int ifindex = skb->inner_transport_header << 16 |
		      skb->inner_network_header;
	struct net_device *dev = dev_get_by_index_rcu(net, ifindex);

	if (!dev) {
		kipsec_drop(kipsec_net(net), skb, KIPSEC_DROP_IN_QUEUE, NULL, NULL);
		return RX_HANDLER_CONSUMED;
	}
	skb->inner_transport_header = 0;
	skb->inner_network_header = 0;
	skb->dev = dev;
	return RX_HANDLER_ANOTHER;
}

void kipsec_reinject(struct sk_buff *skb)
{
	pull_mac(skb);
	skb->pkt_type = PACKET_HOST;
	if (kipsec_reinject_joins(skb)) {
		join(skb);
		return;
	}
	if (unlikely(this_cpu_read(depth) >= MAX_DEPTH)) {
		netif_rx(skb);
		return;
	}
	this_cpu_inc(depth);
	netif_receive_skb(skb);
	this_cpu_dec(depth);
}

void kipsec_reinject_flush(void)
{
	struct napi_struct *napi;

	/* A cell with packets in it is scheduled, until it has none. */
	list_for_each_entry(napi, &cells_dev->napi_list, dev_list)
		napi_synchronize(napi);
}

/* A device that no namespace has, where packets are only joined. */
static struct net_device *cells_dev_alloc(void)
{
	struct net_device *dev = kipsec_dummy_netdev();

	if (!dev)
		return NULL;
	if (KIPSEC_NO_NAMESPACE)
		dev_net_set(dev, NULL);
	dev->features |= NETIF_F_GRO;
	dev->flags |= IFF_UP;
	rtnl_lock();
	/* Refused to those that have one, only. */
	WARN_ON(netdev_rx_handler_register(dev, joined, NULL));
	rtnl_unlock();
	return dev;
}

static void cells_dev_free(void)
{
	rtnl_lock();
	netdev_rx_handler_unregister(cells_dev);
	rtnl_unlock();
	free_netdev(cells_dev);
}

int kipsec_reinject_start(void)
{
	int err;

	cells_dev = cells_dev_alloc();
	if (!cells_dev)
		return -ENOMEM;
	err = gro_cells_init(&cells, cells_dev);
	if (err)
		cells_dev_free();
	return err;
}

void kipsec_reinject_stop(void)
{
	gro_cells_destroy(&cells);
	/* The cells' NAPI contexts are freed after a grace period. */
	synchronize_net();
	cells_dev_free();
}
