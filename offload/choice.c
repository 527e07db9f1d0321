// SPDX-License-Identifier: GPL-2.0
/*
 * choice.c - which driver somebody wants for an SA (floor 3).
 *
 * Whoever makes the SA has the first say, by PF_KEY; then the administrator of
 * its namespace, by net.kipsec.engine.ALGORITHM; then that of the machine, by
 * the parameter "engine" of the module. If nobody cares, the driver with the
 * highest priority serves, as everywhere.
 *
 * The parameter is a list, "aes-cbc:virtio_crypto_aes_cbc,hmac-sha1:...", in
 * which commas between brackets belong to a name.
 */
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/slab.h>

#include "../kmod/alg.h"
#include "../kmod/stats.h"
#include "choice.h"

/**
 * struct kipsec_choice - a driver for each algorithm
 * @name: by kipsec_alg_index(), "" none
 */
struct kipsec_choice {
	char	name[KIPSEC_ALGS][KIPSEC_DRIVER_MAX];
};

static struct kipsec_choice parameter;
static DEFINE_MUTEX(choice_lock);	/* of all names */

/* --- the parameter -------------------------------------------------------- */

static const struct kipsec_alg *alg_named(const char *name)
{
	const struct kipsec_alg *alg;
	unsigned int i, auth;

	for (auth = 0; auth < 2; auth++)
		for (i = 0; (alg = kipsec_alg_each(auth, i)); i++)
			if (alg->maxbits && !strcmp(alg->name, name))
				return alg;
	return NULL;
}

/* Cut off the first of a list; the rest, or NULL behind the last. */
static char *cut(char *list)
{
	int depth = 0;

	for (; *list; list++) {
		depth += (*list == '(') - (*list == ')');
		if (*list == ',' && depth <= 0) {
			*list = '\0';
			return list + 1;
		}
	}
	return NULL;
}

static int parse_list(struct kipsec_choice *to, char *list)
{
	const struct kipsec_alg *alg;
	char *rest, *name;

	for (; list && *list; list = rest) {
		rest = cut(list);
		name = strchr(list, ':');
		if (!name)
			return -EINVAL;
		*name++ = '\0';
		alg = alg_named(list);
		if (!alg || !kipsec_driver_ok(name))
			return -EINVAL;
		strscpy(to->name[kipsec_alg_index(alg)], name,
			KIPSEC_DRIVER_MAX);
	}
	return 0;
}

static int parameter_set(const char *val, const struct kernel_param *kp)
{
	struct kipsec_choice *new = kzalloc(sizeof(*new), GFP_KERNEL);
	char *list = kstrdup(val, GFP_KERNEL);
	int err = -ENOMEM;

	if (new && list)
		err = parse_list(new, strim(list));
	if (!err) {
		mutex_lock(&choice_lock);
		parameter = *new;
		mutex_unlock(&choice_lock);
	}
	kfree(list);
	kfree(new);
	return err;
}

static int parameter_get(char *buf, const struct kernel_param *kp)
{
	const struct kipsec_alg *alg;
	unsigned int i, auth;
	int len = 0;

	mutex_lock(&choice_lock);
	for (auth = 0; auth < 2; auth++) {
		for (i = 0; (alg = kipsec_alg_each(auth, i)); i++) {
			const char *name = parameter.name[kipsec_alg_index(alg)];

			if (*name)
				len += scnprintf(buf + len, PAGE_SIZE - len,
						 "%s%s:%s", len ? "," : "",
						 alg->name, name);
		}
	}
	mutex_unlock(&choice_lock);
	return len + scnprintf(buf + len, PAGE_SIZE - len, "\n");
}

static const struct kernel_param_ops parameter_ops = {
	.set	= parameter_set,
	.get	= parameter_get,
};

module_param_cb(engine, &parameter_ops, NULL, 0644);
MODULE_PARM_DESC(engine, "drivers of new SAs: algorithm:driver,...");

/* --- the sysctls ---------------------------------------------------------- */

void kipsec_choice_get(struct kipsec_net *kn, unsigned int alg,
		       char name[KIPSEC_DRIVER_MAX])
{
	mutex_lock(&choice_lock);
	strscpy(name, kn->choice->name[alg], KIPSEC_DRIVER_MAX);
	mutex_unlock(&choice_lock);
}

int kipsec_choice_set(struct kipsec_net *kn, unsigned int alg, const char *name)
{
	if (*name && !kipsec_driver_ok(name))
		return -EINVAL;
	mutex_lock(&choice_lock);
	strscpy(kn->choice->name[alg], name, KIPSEC_DRIVER_MAX);
	mutex_unlock(&choice_lock);
	return 0;
}

/* --- an SA ---------------------------------------------------------------- */

/**
 * struct wishes - what is wanted for the two halves of an SA's cipher
 * @enc: "" nothing
 * @auth: the same
 * @both: a name for both together
 * @missed: not all of it could be had
 */
struct wishes {
	char	enc[KIPSEC_DRIVER_MAX];
	char	auth[KIPSEC_DRIVER_MAX];
	char	both[KIPSEC_DRIVER_MAX];
	bool	missed;
};

static void wish(struct kipsec_net *kn, const struct kipsec_key *key, char *name)
{
	unsigned int alg;

	if (!key)
		return;
	alg = kipsec_alg_index(key->alg);
	mutex_lock(&choice_lock);
	strscpy(name, *kn->choice->name[alg] ? kn->choice->name[alg] :
					       parameter.name[alg],
		KIPSEC_DRIVER_MAX);
	mutex_unlock(&choice_lock);
}

/* Both if they go together, else that for the cipher, else that for the hash. */
static int try_wishes(struct kipsec_cipher *c, struct wishes *w,
		      const struct kipsec_key *enc,
		      const struct kipsec_key *auth, bool esn)
{
	int err = -ENOENT;

	if (*w->enc && *w->auth &&
	    snprintf(w->both, sizeof(w->both), "%s(%s,%s)",
		     esn ? "authencesn" : "authenc", w->auth,
		     w->enc) < sizeof(w->both)) {
		err = kipsec_cipher_init(c, enc, auth, esn, w->both);
		w->missed = err;
	}
	if (err && *w->enc)
		err = kipsec_cipher_init(c, enc, auth, esn, w->enc);
	if (err && *w->auth)
		err = kipsec_cipher_init(c, enc, auth, esn, w->auth);
	w->missed |= err;
	return err;
}

int kipsec_choice_cipher(struct kipsec_cipher *c, const struct kipsec_sa *sa,
			 const struct kipsec_key *enc,
			 const struct kipsec_key *auth, bool esn)
{
	struct wishes *w;
	int err = -ENOENT;

	if (sa->driver)
		return kipsec_cipher_init(c, enc, auth, esn, sa->driver);
	w = kzalloc(sizeof(*w), GFP_KERNEL);
	if (!w)
		return -ENOMEM;
	wish(sa->net, enc, w->enc);
	wish(sa->net, auth, w->auth);
	if (*w->enc || *w->auth)
		err = try_wishes(c, w, enc, auth, esn);
	if (w->missed)
		kipsec_count(sa->net, KIPSEC_COUNT_ENGINE_MISSING);
	kfree(w);
	return err ? kipsec_cipher_init(c, enc, auth, esn, NULL) : 0;
}

/* --- beginning and end ---------------------------------------------------- */

int kipsec_choice_init(struct kipsec_net *kn)
{
	kn->choice = kzalloc(sizeof(*kn->choice), GFP_KERNEL);
	return kn->choice ? 0 : -ENOMEM;
}

void kipsec_choice_exit(struct kipsec_net *kn)
{
	kfree(kn->choice);
	kn->choice = NULL;
}
