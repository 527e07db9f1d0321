/* SPDX-License-Identifier: GPL-2.0 */
/*
 * ah_mask.h - what AH can vouch for in the headers before it (floor 1, pure).
 */
#ifndef _KIPSEC_AH_MASK_H
#define _KIPSEC_AH_MASK_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include "shim.h"
#endif

/**
 * kipsec_ah_mask() - IP headers as AH authenticates them
 * @head: a copy of the packet's headers of either family, with IPv4 options or
 *	IPv6 extension headers; aligned to 4 bytes; changed
 * @len: bytes of it, up to the AH header; at least the IP header
 * @out: the packet is about to be sent: what changes on the way in a manner
 *	that can be told now, gets the value that it will have at the end
 *
 * What may change on the way otherwise, becomes zero.
 *
 * Return: false if the headers are malformed, or cannot be in front of AH.
 */
bool kipsec_ah_mask(u8 *head, unsigned int len, bool out);

#endif /* _KIPSEC_AH_MASK_H */
