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
 * @bound: how many of them are bound to a processor
 * @rcu: frees it
 */
struct kipsec_sa_group {
	struct rhash_head	node;
	struct kipsec_sa_want	key;
	struct list_head	sas;
	unsigned int		bound;
	struct rcu_head		rcu;
};

static const struct rhashtable_params group_params = {
	.head_offset	= offsetof(struct kipsec_sa_group, node),
	.key_offset	= offsetof(struct kipsec_sa_group, key),
	.key_len	= sizeof(struct kipsec_sa_want),
	.automatic_shrinking = true,
};

/* --- coming and going ------------------------------------------------------ */

/*
 * What a tunnel's IPComp could not shrink comes in as IP in IP, and only groups know
 * by which SA (ipip.c). One for input has no other business in them.
 */
static void group_key(struct kipsec_sa_want *key, const struct kipsec_sa *sa,
		      bool any)
{
	memset(key, 0, sizeof(*key));
	key->src = sa->src;
	key->dst = sa->id.dst;
	key->reqid = any ? 0 : sa->reqid;
	key->proto = sa->dir == IPSEC_DIR_INBOUND ? IPPROTO_IPIP : sa->id.proto;
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

static void group_add(struct kipsec_sa_group *g, struct list_head *link,
		      const struct kipsec_sa *sa)
{
	if (sa->cpu >= 0)
		WRITE_ONCE(g->bound, g->bound + 1);
	list_add_rcu(link, &g->sas);
}

static void group_del(struct kipsec_sad *sad, struct kipsec_sa_group *g,
		      struct list_head *link, const struct kipsec_sa *sa)
{
	list_del_rcu(link);
	if (sa->cpu >= 0)
		WRITE_ONCE(g->bound, g->bound - 1);
	group_drop_if_empty(sad, g);
}

int kipsec_sad_join(struct kipsec_sad *sad, struct kipsec_sa *sa)
{
	struct kipsec_sa_group *group, *any = NULL;

	if (sa->dir == IPSEC_DIR_INBOUND && sa->id.proto != IPPROTO_COMP)
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
		group_add(any, &sa->in_any, sa);
	}
	group_add(group, &sa->in_group, sa);
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
	group_del(sad, sa->group, &sa->in_group, sa);
	if (sa->any)
		group_del(sad, sa->any, &sa->in_any, sa);
}

/* --- finding ------------------------------------------------------------- */

/*
 * struct pick - the best SA so far
 * @kn: the namespace
 * @cpu: this processor, or -1 where no SA is bound to any
 * @sa: it
 * @rank: how good it is
 */
struct pick {
	struct kipsec_net	*kn;
	int			cpu;
	struct kipsec_sa	*sa;
	unsigned int		rank;
};

/* Bound to this processor, to none, to another; of each first mature, then dying. */
static unsigned int pick_rank(const struct pick *p, const struct kipsec_sa *sa)
{
	unsigned int rank = sa->cpu < 0 ? 4 : sa->cpu == p->cpu ? 6 : 2;

	switch (READ_ONCE(sa->state)) {
	case KIPSEC_SA_MATURE:
		return rank + 1;
	case KIPSEC_SA_DYING:
		return rank;
	default:
		return 0;
	}
}

#define RANK_ALONE	5	/* mature, and bound to none where none is bound */

/* The SA of a group that output prefers goes to @p, if there is any. */
static bool group_pick(struct pick *p, const struct kipsec_sa_want *key)
{
	bool prefer_old = READ_ONCE(p->kn->knobs.prefer_old_sa);
	struct kipsec_sa_group *g;
	struct kipsec_sa *sa;
	struct list_head *pos;
	unsigned int rank;

	g = rhashtable_lookup(&p->kn->sad->groups, key, group_params);
	if (!g)
		return false;
	if (READ_ONCE(g->bound))
		p->cpu = raw_smp_processor_id();
	for (pos = rcu_dereference(list_next_rcu(&g->sas)); pos != &g->sas;
	     pos = rcu_dereference(list_next_rcu(pos))) {
		sa = key->zero ? list_entry(pos, struct kipsec_sa, in_any) :
				 list_entry(pos, struct kipsec_sa, in_group);
		rank = pick_rank(p, sa);
		if (rank <= p->rank && !(rank && rank == p->rank && prefer_old))
			continue;
		p->sa = sa;
		p->rank = rank;
		if (p->cpu < 0 && rank == RANK_ALONE && !prefer_old)
			break;
	}
	return p->sa;
}

static struct kipsec_sa *search(struct pick *p,
				const struct kipsec_sa_want *want)
{
	struct kipsec_sa_want key = *want;
	int any;

	for (any = 0; any <= !want->reqid; any++) {
		key.zero = any;
		key.mode = want->mode;
		if (group_pick(p, &key))
			break;
		key.mode = KIPSEC_MODE_ANY;
		if (group_pick(p, &key))
			break;
	}
	return p->sa;
}

struct kipsec_sa *kipsec_sad_search(struct kipsec_net *kn,
				    const struct kipsec_sa_want *want)
{
	struct pick p = { .kn = kn, .cpu = -1 };

	return search(&p, want);
}

struct kipsec_sa *kipsec_sad_like(const struct kipsec_sa *sa, bool back)
{
	struct kipsec_sa_want want = {
		.src	= back ? sa->id.dst : sa->src,
		.dst	= back ? sa->src : sa->id.dst,
		.reqid	= back ? 0 : sa->reqid,
		.proto	= sa->id.proto,
		.mode	= sa->mode,
		.family	= sa->id.family,
	};

	return kipsec_sad_search(sa->net, &want);
}

struct kipsec_sa *kipsec_sad_choose(struct kipsec_net *kn,
				    const struct kipsec_sa_want *want,
				    struct kipsec_sa_cache *cache)
{
	unsigned long gen = READ_ONCE(kn->sa_gen);
	struct kipsec_sa *sa = kipsec_sa_recall(kn, cache);
	struct pick p = { .kn = kn, .cpu = -1 };

	if (sa && kipsec_sa_usable(sa) &&
	    kipsec_addr_equal(&sa->id.dst, &want->dst, want->family) &&
	    kipsec_addr_equal(&sa->src, &want->src, want->family))
		return sa;
	sa = search(&p, want);
	/* What holds for one processor is not remembered for all. */
	if (sa && p.cpu < 0)
		kipsec_sa_remember(kn, cache, sa, gen);
	return sa;
}

/* --- beginning and end --------------------------------------------------- */

int kipsec_sad_groups_init(struct kipsec_sad *sad)
{
	return rhashtable_init(&sad->groups, &group_params);
}
