// SPDX-License-Identifier: GPL-2.0
/*
 * sad_group.c - which SA a policy's request gets (floor 2). The rules of locking
 * and of remembered answers are the essay at the top of sad.c.
 */
#include <linux/slab.h>

#include "../uapi/pfkeyv2.h"
#include "sad_impl.h"

/**
 * struct kipsec_sa_group - SAs that are equal in the eyes of a policy request
 * @node: link of kipsec_sad.groups
 * @key: what they have in common; @key.zero is 1 where the reqid is ignored
 * @sas: the SAs, newest first, RCU
 * @rcu: frees it
 */
struct kipsec_sa_group {
	struct rhash_head	node;
	struct kipsec_sa_want	key;
	struct list_head	sas;
	struct rcu_head		rcu;
};

static const struct rhashtable_params group_params = {
	.head_offset	= offsetof(struct kipsec_sa_group, node),
	.key_offset	= offsetof(struct kipsec_sa_group, key),
	.key_len	= sizeof(struct kipsec_sa_want),
	.automatic_shrinking = true,
};

/* --- coming and going ------------------------------------------------------ */

static void group_key(struct kipsec_sa_want *key, const struct kipsec_sa *sa,
		      bool any)
{
	memset(key, 0, sizeof(*key));
	key->src = sa->src;
	key->dst = sa->id.dst;
	key->reqid = any ? 0 : sa->reqid;
	key->proto = sa->id.proto;
	key->mode = sa->mode;
	key->family = sa->id.family;
	key->zero = any;
}

static struct kipsec_sa_group *group_get(struct kipsec_sad *sad,
					 const struct kipsec_sa *sa, bool any)
{
	struct kipsec_sa_group *g;
	struct kipsec_sa_want key;
	int err;

	group_key(&key, sa, any);
	g = rhashtable_lookup_fast(&sad->groups, &key, group_params);
	if (g)
		return g;
	g = kzalloc(sizeof(*g), GFP_KERNEL);
	if (!g)
		return NULL;
	g->key = key;
	INIT_LIST_HEAD(&g->sas);
	err = rhashtable_insert_fast(&sad->groups, &g->node, group_params);
	if (err) {
		kfree(g);
		return NULL;
	}
	return g;
}

static void group_drop_if_empty(struct kipsec_sad *sad,
				struct kipsec_sa_group *g)
{
	if (!list_empty(&g->sas))
		return;
	rhashtable_remove_fast(&sad->groups, &g->node, group_params);
	/* Readers that found it see an empty list until they are done. */
	kfree_rcu(g, rcu);
}

int kipsec_sad_join(struct kipsec_sad *sad, struct kipsec_sa *sa)
{
	struct kipsec_sa_group *group, *any = NULL;

	if (sa->dir == IPSEC_DIR_INBOUND)
		return 0;
	group = group_get(sad, sa, false);
	if (!group)
		return -ENOMEM;
	if (sa->reqid) {
		any = group_get(sad, sa, true);
		if (!any) {
			group_drop_if_empty(sad, group);
			return -ENOMEM;
		}
		list_add_rcu(&sa->in_any, &any->sas);
	}
	list_add_rcu(&sa->in_group, &group->sas);
	sa->group = group;
	sa->any = any;
	return 0;
}

void kipsec_sad_part(struct kipsec_sad *sad, struct kipsec_sa *sa)
{
	if (!sa->group) {
		list_del_init(&sa->in_group);	/* of the larvals, or none */
		return;
	}
	list_del_rcu(&sa->in_group);
	group_drop_if_empty(sad, sa->group);
	if (sa->any) {
		list_del_rcu(&sa->in_any);
		group_drop_if_empty(sad, sa->any);
	}
}

/* --- finding ------------------------------------------------------------- */

/* The SA of a group that output prefers, or NULL. */
static struct kipsec_sa *group_pick(struct kipsec_net *kn,
				    const struct kipsec_sa_want *key)
{
	struct kipsec_sa *sa, *dying = NULL, *oldest = NULL;
	bool any = key->zero, prefer_old = READ_ONCE(kn->knobs.prefer_old_sa);
	struct kipsec_sa_group *g;
	struct list_head *pos;

	g = rhashtable_lookup(&kn->sad->groups, key, group_params);
	if (!g)
		return NULL;
	for (pos = rcu_dereference(list_next_rcu(&g->sas)); pos != &g->sas;
	     pos = rcu_dereference(list_next_rcu(pos))) {
		sa = any ? list_entry(pos, struct kipsec_sa, in_any) :
			   list_entry(pos, struct kipsec_sa, in_group);
		switch (READ_ONCE(sa->state)) {
		case KIPSEC_SA_MATURE:
			if (!prefer_old)
				return sa;
			oldest = sa;
			break;
		case KIPSEC_SA_DYING:
			if (!dying || prefer_old)
				dying = sa;
			break;
		}
	}
	return oldest ?: dying;
}

struct kipsec_sa *kipsec_sad_search(struct kipsec_net *kn,
				    const struct kipsec_sa_want *want)
{
	struct kipsec_sa_want key = *want;
	struct kipsec_sa *sa;
	int any;

	for (any = 0; any <= !want->reqid; any++) {
		key.zero = any;
		key.mode = want->mode;
		sa = group_pick(kn, &key);
		if (sa)
			return sa;
		key.mode = KIPSEC_MODE_ANY;
		sa = group_pick(kn, &key);
		if (sa)
			return sa;
	}
	return NULL;
}

struct kipsec_sa *kipsec_sad_choose(struct kipsec_net *kn,
				    const struct kipsec_sa_want *want,
				    struct kipsec_sa_cache *cache)
{
	struct kipsec_sad *sad = kn->sad;
	unsigned long gen = READ_ONCE(sad->gen);
	struct kipsec_sa *sa;

	/* Pairs with the release below: an SA as new as the generation. */
	if (likely(smp_load_acquire(&cache->gen) == gen)) {
		sa = rcu_dereference(cache->sa);
		if (sa && kipsec_sa_usable(sa) &&
		    kipsec_addr_equal(&sa->id.dst, &want->dst, want->family) &&
		    kipsec_addr_equal(&sa->src, &want->src, want->family))
			return sa;
	}
	sa = kipsec_sad_search(kn, want);
	if (sa && spin_trylock(&sad->cache_lock)) {
		if (sad->gen == gen) {
			rcu_assign_pointer(cache->sa, sa);
			/* Pairs with the acquire above. */
			smp_store_release(&cache->gen, gen);
		}
		spin_unlock(&sad->cache_lock);
	}
	return sa;
}

/* --- beginning and end --------------------------------------------------- */

int kipsec_sad_groups_init(struct kipsec_sad *sad)
{
	return rhashtable_init(&sad->groups, &group_params);
}
