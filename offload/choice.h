/* SPDX-License-Identifier: GPL-2.0 */
/*
 * choice.h - which driver somebody wants for an SA (floor 3).
 */
#ifndef _KIPSEC_CHOICE_H
#define _KIPSEC_CHOICE_H

#include "../kmod/alg.h"
#include "crypto.h"

/**
 * kipsec_choice_cipher() - the cipher of an SA, by the driver that is wanted for it
 * @c: filled in
 * @sa: the SA
 * @enc: encryption or AEAD key, NULL for none
 * @auth: authentication key, NULL for none
 * @esn: with extended sequence numbers
 *
 * The SA's own driver has to be there. Those that sysctls and the module's
 * parameter name are taken if they are, else it is counted.
 *
 * Context and answers: as kipsec_cipher_init().
 */
int kipsec_choice_cipher(struct kipsec_cipher *c, const struct kipsec_sa *sa,
			 const struct kipsec_key *enc,
			 const struct kipsec_key *auth, bool esn);

/** kipsec_choice_get() - what the sysctl of an algorithm says; "" nothing */
void kipsec_choice_get(struct kipsec_net *kn, unsigned int alg,
		       char name[KIPSEC_DRIVER_MAX]);

/**
 * kipsec_choice_set() - let a driver serve the SAs that come
 * @kn: the namespace
 * @alg: of kipsec_alg_index()
 * @name: the driver, "" for none
 *
 * Return: 0, or -EINVAL if no driver has such a name.
 */
int kipsec_choice_set(struct kipsec_net *kn, unsigned int alg, const char *name);

int kipsec_choice_init(struct kipsec_net *kn);
void kipsec_choice_exit(struct kipsec_net *kn);

#endif /* _KIPSEC_CHOICE_H */
