/* SPDX-License-Identifier: GPL-2.0 */
/*
 * message.h - PF_KEY messages, sound ones and spoiled ones.
 */
#ifndef _FUZZ_MESSAGE_H
#define _FUZZ_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#include "../../uapi/pfkeyv2.h"

#define MSG_LONGEST	65536	/* bytes of a message */

/* The kernel's numbers of policies that were heard of last. */
#define IDS		16
extern uint32_t policy_ids[IDS];

void random_seed(uint64_t seed);

/* below N, N > 0 */
uint32_t below(uint32_t n);

/* true once in N times */
int one_in(uint32_t n);

/**
 * make_message() - the next message
 * @buf: room for MSG_LONGEST bytes
 * @seq: its number
 * @pid: its sender
 *
 * Begins with a sound one of a type by chance, and spoils three of four.
 *
 * Return: how many bytes to send.
 */
size_t make_message(uint8_t *buf, uint32_t seq, uint32_t pid);

/* A sound header without extensions; 16 bytes. */
size_t make_header(uint8_t *buf, uint8_t type, uint8_t satype, uint32_t seq,
		   uint32_t pid);

#endif /* _FUZZ_MESSAGE_H */
