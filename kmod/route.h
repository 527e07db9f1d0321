/* SPDX-License-Identifier: GPL-2.0 */
/*
 * route.h - the way of the outer packet (floor 4).
 */
#ifndef _KIPSEC_ROUTE_H
#define _KIPSEC_ROUTE_H

#include <net/dst.h>

struct kipsec_sa;

/**
 * kipsec_route() - the remembered route from an SA's source to its destination
 * @sa: the SA
 *
 * A private copy, looked up again when routing has changed.
 *
 * Context: RCU read side; valid in it, no reference taken.
 * Return: the route or NULL.
 */
struct dst_entry *kipsec_route(struct kipsec_sa *sa);

/** kipsec_route_mtu() - what fits on the path of the outer packet, in bytes */
unsigned int kipsec_route_mtu(const struct kipsec_sa *sa,
			      const struct dst_entry *dst);

/** kipsec_route_start() - watch for devices that go away; once per load */
int kipsec_route_start(void);
void kipsec_route_stop(void);

#endif /* _KIPSEC_ROUTE_H */
