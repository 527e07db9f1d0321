// SPDX-License-Identifier: GPL-2.0
/*
 * spd.c - the security policy data base (floor 2).
 *
 * LOCKING AND LIFE
 *
 * A policy stands in four places: the classifier of its direction and family,
 * where packets find it (unless the table of spd_glance.c spares them that); the
 * tree @in_order, which dumps walk; the table @by_id; and, if it has a limit of
 * time, the expiry queue.
 *
 * Writers. All four are changed under kipsec_net.cfg, by PF_KEY requests and by
 * the expiry worker, always in process context. The data path changes nothing
 * but two members of policies: @last_used (WRITE_ONCE) and the @cache in each
 * request, which belongs to the SAD and holds no reference that would have to
 * be given back here.
 *
 * Readers. kipsec_spd_lookup_*() run in any context under rcu_read_lock(), takes
 * no lock and no reference; its answer is good until rcu_read_unlock(). The
 * tree and the table by id are for holders of @cfg only (the table's own
 * resizing is its own affair).
 *
 * Constancy. Whatever the data path reads, (c) in spd.h, is complete before
 * kipsec_classifier_insert() publishes the policy and is never changed again. A
 * change is a new policy: the new one goes in beside the old, then the old one
 * comes out, so that a packet meets one of them at every moment. Both have the
 * same id; the table by id knows the new one only.
 *
 * Freeing. unlink_policy() takes a policy out of all four places; from then on
 * nobody can find it, and those who had found it are RCU readers; hence
 * kfree_rcu(). The expiry worker cannot come across it either: it holds @cfg
 * while it calls policy_due(), and a deadline that is out of the queue is not
 * called. Whoever calls kipsec_spd_find() and friends may use the answer as
 * long as he keeps @cfg.
 *
 * Generations. Each processor remembers which policies it found for some flows
 * (spd_flow.h), under a generation that is raised after every change, and before
 * the grace period that a policy waits for. (SAs are remembered in the policy,
 * under the generation of the SAD.) The classifier's hash table has two
 * generations of its own, see classifier.c.
 *
 * The first policy for input brings up the namespace's hooks of input and the last
 * one takes them down, and so for output, through the callback of
 * kipsec_spd_set_populated(), under @cfg.
 *
 * Time limits. Of HARD, addtime counts from the policy's creation, usetime from
 * the last match, or from creation before the first: an idle limit, as KAME
 * and the kernel's own policies have it.
 */
#include <linux/lockdep.h>
#include <linux/random.h>
#include <linux/rcupdate.h>
#include <linux/rhashtable.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <net/ipv6.h>
#include <net/ndisc.h>
#include <linux/timekeeping.h>

#include "spd.h"

#define ID_STEP		8	/* the low three bits are the direction */

static const struct rhashtable_params by_id_params = {
	.key_len = sizeof_field(struct kipsec_policy, id),
	.key_offset = offsetof(struct kipsec_policy, id),
	.head_offset = offsetof(struct kipsec_policy, by_id),
	.automatic_shrinking = true,
};

/* Set once at module load, before the first namespace exists. */
static void (*report_expired)(struct kipsec_net *kn, struct kipsec_policy *pol);
static int (*report_populated)(struct kipsec_net *kn, enum kipsec_side side,
			       bool on);

void kipsec_spd_set_expired(void (*fn)(struct kipsec_net *kn,
				       struct kipsec_policy *pol))
{
	report_expired = fn;
}

void kipsec_spd_set_populated(int (*fn)(struct kipsec_net *kn,
					enum kipsec_side side, bool on))
{
	report_populated = fn;
}

static enum kipsec_side side_of(unsigned int dir)
{
	return dir == KIPSEC_DIR_OUT ? KIPSEC_SIDE_OUT : KIPSEC_SIDE_IN;
}

static struct kipsec_classifier *class_of(struct kipsec_spd *spd,
					  unsigned int dir, u8 family)
{
	return &spd->class[side_of(dir)][family == AF_INET6];
}

/* What was remembered of flows is to be asked again. */
static void spd_changed(struct kipsec_net *kn)
{
	/* Who sees it sees the change. */
	smp_store_release(&kn->spd->gen, kn->spd->gen + 1);
}

static void policy_due(struct kipsec_net *kn, struct kipsec_deadline *d);

struct kipsec_policy *kipsec_policy_alloc(unsigned int nreq)
{
	struct kipsec_policy *pol;

	pol = kzalloc(struct_size(pol, req, nreq), GFP_KERNEL);
	if (!pol)
		return NULL;
	pol->nreq = nreq;
	RB_CLEAR_NODE(&pol->in_order);
	kipsec_deadline_init(&pol->deadline, policy_due);
	return pol;
}

/* What makes two policies the same. */
struct identity {
	enum kipsec_dir			dir;
	const struct kipsec_selector	*sel;
};

static bool same_policy(const struct kipsec_rule *rule, const void *data)
{
	const struct kipsec_policy *pol = container_of(rule,
						       struct kipsec_policy,
						       rule);
	const struct identity *who = data;

	return pol->dir == who->dir &&
	       kipsec_selector_equal(&pol->sel, who->sel);
}

struct kipsec_policy *kipsec_spd_find(struct kipsec_net *kn,
				      enum kipsec_dir dir,
				      const struct kipsec_selector *sel)
{
	struct identity who = { dir, sel };
	struct kipsec_rule *rule;

	lockdep_assert_held(&kn->cfg);

	rule = kipsec_classifier_find(class_of(kn->spd, dir, sel->family), sel,
				      same_policy, &who);
	return kipsec_policy_of(rule);
}

struct kipsec_policy *kipsec_spd_find_id(struct kipsec_net *kn, u32 id)
{
	lockdep_assert_held(&kn->cfg);

	return rhashtable_lookup_fast(&kn->spd->by_id, &id, by_id_params);
}

unsigned int kipsec_spd_count(struct kipsec_net *kn)
{
	return READ_ONCE(kn->spd->count);
}

/* The tree of (direction, priority, order) */

static int cursor_cmp(const struct kipsec_spd_cursor *cur,
		      const struct kipsec_policy *pol)
{
	if (cur->dir != pol->dir)
		return cur->dir < pol->dir ? -1 : 1;
	if (cur->priority != pol->rule.priority)
		return cur->priority < pol->rule.priority ? -1 : 1;
	if (cur->order != pol->rule.order)
		return cur->order < pol->rule.order ? -1 : 1;
	return 0;
}

static struct kipsec_spd_cursor cursor_at(const struct kipsec_policy *pol)
{
	return (struct kipsec_spd_cursor) {
		.dir = pol->dir,
		.priority = pol->rule.priority,
		.order = pol->rule.order,
	};
}

static bool in_order_less(struct rb_node *a, const struct rb_node *b)
{
	struct kipsec_spd_cursor cur;

	cur = cursor_at(rb_entry(a, struct kipsec_policy, in_order));
	return cursor_cmp(&cur, rb_entry(b, struct kipsec_policy,
					 in_order)) < 0;
}

struct kipsec_policy *kipsec_spd_next(struct kipsec_net *kn,
				      struct kipsec_spd_cursor *cur)
{
	struct rb_node *node = kn->spd->in_order.rb_node;
	struct kipsec_policy *pol, *next = NULL;

	lockdep_assert_held(&kn->cfg);

	while (node) {
		pol = rb_entry(node, struct kipsec_policy, in_order);
		if (cursor_cmp(cur, pol) < 0) {
			next = pol;
			node = node->rb_left;
		} else {
			node = node->rb_right;
		}
	}
	if (next)
		*cur = cursor_at(next);
	return next;
}

/* Which flows a policy for all addresses leaves alone */

static bool neighbour_discovery(const struct kipsec_flow *fl)
{
	return fl->proto == IPPROTO_ICMPV6 &&
	       ntohs(fl->sport) >= NDISC_ROUTER_SOLICITATION &&
	       ntohs(fl->sport) <= NDISC_REDIRECT;
}

static bool meant6(const struct kipsec_policy *pol,
		   const struct kipsec_flow *fl)
{
	int src = ipv6_addr_type((const struct in6_addr *)&fl->addr[0]);
	int dst = ipv6_addr_type((const struct in6_addr *)&fl->addr[4]);

	if (neighbour_discovery(fl) && pol->sel.proto == KIPSEC_PROTO_ANY)
		return false;
	if (pol->action != KIPSEC_PROTECT)
		return true;
	return (pol->sel.src_len || !(src & IPV6_ADDR_LINKLOCAL)) &&
	       (pol->sel.dst_len ||
		!(dst & (IPV6_ADDR_LINKLOCAL | IPV6_ADDR_MULTICAST)));
}

bool kipsec_policy_meant_slow(const struct kipsec_policy *pol,
			      const struct kipsec_flow *fl)
{
	__be32 dst = fl->addr[1];

	if (fl->family == AF_INET6)
		return meant6(pol, fl);
	return pol->sel.dst_len || pol->action != KIPSEC_PROTECT ||
	       !(ipv4_is_multicast(dst) || ipv4_is_lbcast(dst));
}

/* Numbers */

static u32 next_id(struct kipsec_net *kn, u8 dir)
{
	struct kipsec_spd *spd = kn->spd;

	/* memory ends long before the 2^29 numbers do */
	do {
		spd->last_id += ID_STEP;
		if (!spd->last_id)
			spd->last_id = ID_STEP;
	} while (kipsec_spd_find_id(kn, spd->last_id | dir));
	return spd->last_id | dir;
}

static bool reqid_in_use(struct kipsec_spd *spd, u32 reqid)
{
	const struct kipsec_policy *pol;
	struct rb_node *node;
	unsigned int i;

	for (node = rb_first(&spd->in_order); node; node = rb_next(node)) {
		pol = rb_entry(node, struct kipsec_policy, in_order);
		for (i = 0; i < pol->nreq; i++)
			if (pol->req[i].reqid == reqid)
				return true;
	}
	return false;
}

/* A number that no policy has; 0 if there is none. Walks after 2^32 only. */
static u32 next_reqid(struct kipsec_spd *spd)
{
	u32 first = spd->last_reqid;

	do {
		if (spd->last_reqid++ == U32_MAX) {
			spd->last_reqid = KIPSEC_REQID_MAX + 1;
			spd->reqids_reused = true;
		}
		if (!spd->reqids_reused ||
		    !reqid_in_use(spd, spd->last_reqid))
			return spd->last_reqid;
	} while (spd->last_reqid != first);
	return 0;
}

static int assign_reqids(struct kipsec_spd *spd, struct kipsec_policy *pol)
{
	struct kipsec_request *req;

	for (req = pol->req; req < pol->req + pol->nreq; req++) {
		if (req->level != KIPSEC_LEVEL_UNIQUE ||
		    (req->reqid && req->reqid <= KIPSEC_REQID_MAX))
			continue;
		req->reqid = next_reqid(spd);
		if (!req->reqid)
			return -ENOBUFS;
	}
	return 0;
}

/* Time */

static bool policy_over(const struct kipsec_policy *pol, u64 *next)
{
	const struct kipsec_lifetime hard = { .hard = pol->lifetime.hard };
	u64 used = READ_ONCE(pol->last_used) ?: pol->created;

	return kipsec_lifetime_by_time(&hard, pol->created, used, kipsec_now(),
				       true, next) == KIPSEC_LIFE_HARD;
}

/* Coming and going */

static void unlink_policy(struct kipsec_net *kn, struct kipsec_policy *pol)
{
	struct kipsec_spd *spd = kn->spd;

	kipsec_classifier_remove(class_of(spd, pol->dir, pol->sel.family),
				 &pol->rule);
	rb_erase(&pol->in_order, &spd->in_order);
	/* finds nothing if a replacement has taken the place */
	rhashtable_remove_fast(&spd->by_id, &pol->by_id, by_id_params);
	kipsec_deadline_set(kn, &pol->deadline, 0);
	WRITE_ONCE(spd->count, spd->count - 1);
	/* With the last policy, keys lose bits: between two generations. */
	spd_changed(kn);
	kipsec_spd_glance_gone(kn, pol);
	spd_changed(kn);
}

static bool side_empty(const struct kipsec_spd *spd, enum kipsec_side side)
{
	return !spd->class[side][0].count && !spd->class[side][1].count;
}

static int populate(struct kipsec_net *kn, enum kipsec_side side)
{
	struct kipsec_spd *spd = kn->spd;

	/* Without memory for it, flows are not remembered; it stays to the end. */
	if (!spd->flows) {
		/* Who sees it sees it zeroed. */
		smp_store_release(&spd->flows,
				  alloc_percpu(struct kipsec_spd_flows));
	}
	if (!side_empty(spd, side) || !report_populated)
		return 0;
	return report_populated(kn, side, true);
}

static void depopulate(struct kipsec_net *kn)
{
	unsigned int side;

	for (side = 0; side < KIPSEC_SIDES && report_populated; side++)
		if (side_empty(kn->spd, side))
			report_populated(kn, side, false);
}

static void policy_due(struct kipsec_net *kn, struct kipsec_deadline *d)
{
	struct kipsec_policy *pol = container_of(d, struct kipsec_policy,
						 deadline);
	u64 next;

	if (!policy_over(pol, &next)) {
		kipsec_deadline_set(kn, d, next);
		return;
	}
	unlink_policy(kn, pol);
	if (report_expired)
		report_expired(kn, pol);
	/* unlinked, and @cfg kept since: only RCU readers know it */
	kfree_rcu(pol, rcu);
	depopulate(kn);
}

void kipsec_spd_remove(struct kipsec_net *kn, struct kipsec_policy *pol)
{
	lockdep_assert_held(&kn->cfg);

	unlink_policy(kn, pol);
	/* unlinked, and @cfg kept since: only RCU readers know it */
	kfree_rcu(pol, rcu);
	depopulate(kn);
}

/* Enter @pol into the table by id, in the place of @old if there is one. */
static int link_id(struct kipsec_net *kn, struct kipsec_policy *pol,
		   struct kipsec_policy *old)
{
	struct rhashtable *by_id = &kn->spd->by_id;

	if (old) {
		pol->id = old->id;
		return rhashtable_replace_fast(by_id, &old->by_id, &pol->by_id,
					       by_id_params);
	}
	pol->id = next_id(kn, pol->dir);
	return rhashtable_insert_fast(by_id, &pol->by_id, by_id_params);
}

/*
 * Publish @pol. With @old, both can be found when this returns; @old is in the
 * classifier and the tree still, but no longer in the table by id.
 */
static int link_policy(struct kipsec_net *kn, struct kipsec_policy *pol,
		       struct kipsec_policy *old)
{
	struct kipsec_classifier *class = class_of(kn->spd, pol->dir,
						   pol->sel.family);
	int err;

	pol->rule.slot = pol->dir == KIPSEC_DIR_FWD;
	if (old && old->rule.priority == pol->rule.priority)
		pol->rule.order = old->rule.order;
	else
		pol->rule.order = ++kn->spd->last_order;
	if (link_id(kn, pol, old))
		return -ENOMEM;
	kipsec_spd_glance_come(kn, pol);
	err = kipsec_classifier_insert(class, &pol->rule, &pol->sel);
	if (err) {
		if (old)
			rhashtable_replace_fast(&kn->spd->by_id, &pol->by_id,
						&old->by_id, by_id_params);
		else
			rhashtable_remove_fast(&kn->spd->by_id, &pol->by_id,
					       by_id_params);
		return err;
	}
	spd_changed(kn);
	rb_add(&pol->in_order, &kn->spd->in_order, in_order_less);
	WRITE_ONCE(kn->spd->count, kn->spd->count + 1);
	return 0;
}

int kipsec_spd_insert(struct kipsec_net *kn, struct kipsec_policy *pol,
		      bool replace)
{
	struct kipsec_policy *old;
	u64 next;
	int err;

	lockdep_assert_held(&kn->cfg);

	old = kipsec_spd_find(kn, pol->dir, &pol->sel);
	if (old && !replace)
		return -EEXIST;
	if (!pol->created) {
		err = assign_reqids(kn->spd, pol);
		if (err)
			return err;
		pol->created = kipsec_now();
		pol->created_real = ktime_get_real_seconds();
	}
	err = populate(kn, side_of(pol->dir));
	if (err)
		return err;
	err = link_policy(kn, pol, old);
	if (err) {
		depopulate(kn);
		return err;
	}
	/* One that moved may be over already. */
	if (policy_over(pol, &next))
		next = kipsec_now();
	kipsec_deadline_set(kn, &pol->deadline, next);
	if (old)
		kipsec_spd_remove(kn, old);
	return 0;
}

/*
 * From the last to the first: the best rule of a tuple is the last to leave,
 * so that the classifiers do not re-sort their tuples for each policy.
 */
static unsigned int remove_all(struct kipsec_net *kn)
{
	struct kipsec_policy *pol;
	unsigned int gone = 0;
	struct rb_node *node;

	while ((node = rb_last(&kn->spd->in_order))) {
		pol = rb_entry(node, struct kipsec_policy, in_order);
		unlink_policy(kn, pol);
		/* unlinked, and @cfg kept since: only RCU readers know it */
		kfree_rcu(pol, rcu);
		gone++;
		cond_resched();
	}
	return gone;
}

unsigned int kipsec_spd_flush(struct kipsec_net *kn)
{
	unsigned int gone;

	lockdep_assert_held(&kn->cfg);

	gone = remove_all(kn);
	if (gone)
		depopulate(kn);
	return gone;
}

int kipsec_spd_init(struct kipsec_net *kn)
{
	struct kipsec_spd *spd = kzalloc(sizeof(*spd), GFP_KERNEL);
	unsigned int side, ip6;
	int err;

	if (!spd)
		return -ENOMEM;
	err = rhashtable_init(&spd->by_id, &by_id_params);
	if (err) {
		kfree(spd);
		return err;
	}
	for (side = 0; side < KIPSEC_SIDES; side++)
		for (ip6 = 0; ip6 < 2; ip6++) {
			kipsec_classifier_init(&spd->class[side][ip6],
					       ip6 ? AF_INET6 : AF_INET,
					       get_random_u64());
			kipsec_spd_view_init(&spd->view[side][ip6], kn);
		}
	spd->gen = 1;		/* of no entry of an empty table */
	spd->in_order = RB_ROOT;
	spd->last_reqid = KIPSEC_REQID_MAX;
	kn->spd = spd;
	return 0;
}

/*
 * The hooks are down and nobody asks for policies any more, but packets that
 * had passed the hooks may still be in their RCU sections: they read the
 * classifiers as well as the policies, so the former wait here.
 */
void kipsec_spd_exit(struct kipsec_net *kn)
{
	struct kipsec_spd *spd = kn->spd;
	unsigned int dir;

	mutex_lock(&kn->cfg);
	remove_all(kn);
	mutex_unlock(&kn->cfg);
	synchronize_rcu();
	for (dir = KIPSEC_DIR_IN; dir <= KIPSEC_DIR_OUT; dir++) {
		kipsec_classifier_destroy(class_of(spd, dir, AF_INET));
		kipsec_classifier_destroy(class_of(spd, dir, AF_INET6));
	}
	kipsec_spd_glance_exit(spd);
	rhashtable_destroy(&spd->by_id);
	free_percpu(spd->flows);
	kn->spd = NULL;
	kfree(spd);
}
