// SPDX-License-Identifier: GPL-2.0
/*
 * reinject.c - the decapsulated packet's way back into the stack (floor 4).
 *
 * Both modes go the same way: the packet enters once more as if it had just
 * arrived on the device that brought the outer one. So packet sockets, firewall
 * and connection tracking see it in clear, and no worker thread is involved.
 *
 * TCP goes through GRO where the device does, since merged packets are cheaper
 * for all that follows. The rest goes straight on, in the same stack frame: a
 * second pass through the backlog would cost more than it gains.
 */
#include <linux/etherdevice.h>
#include <linux/ip.h>
#include <linux/netdevice.h>
#include <linux/percpu.h>
#include <linux/skbuff.h>
#include <net/gro_cells.h>

#include "compat/compat.h"
#include "reinject.h"

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

void kipsec_reinject(struct sk_buff *skb)
{
	pull_mac(skb);
	skb->pkt_type = PACKET_HOST;
	if (kipsec_reinject_joins(skb)) {
		gro_cells_receive(&cells, skb);
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

int kipsec_reinject_start(void)
{
	int err;

	cells_dev = kipsec_dummy_netdev();
	if (!cells_dev)
		return -ENOMEM;
	err = gro_cells_init(&cells, cells_dev);
	if (err)
		kipsec_dummy_netdev_free(cells_dev);
	return err;
}

void kipsec_reinject_stop(void)
{
	gro_cells_destroy(&cells);
	/* The cells' NAPI contexts are freed after a grace period. */
	synchronize_net();
	kipsec_dummy_netdev_free(cells_dev);
}
