/* SPDX-License-Identifier: GPL-2.0 */
/* shim_list.h - hash chains that RCU readers may walk. */
#ifndef _SHIM_LIST_H
#define _SHIM_LIST_H

#define LIST_POISON	((void *)0x122)

struct hlist_head {
	struct hlist_node	*first;
};

struct hlist_node {
	struct hlist_node	*next;
	struct hlist_node	**pprev;
};

#define hlist_first_rcu(head)	((head)->first)
#define hlist_next_rcu(node)	((node)->next)

/* put @n where @where points to */
static inline void shim_hlist_add(struct hlist_node *n,
				  struct hlist_node **where)
{
	n->next = *where;
	n->pprev = where;
	if (n->next)
		n->next->pprev = &n->next;
	rcu_assign_pointer(*where, n);
}

static inline void hlist_add_head_rcu(struct hlist_node *n,
				      struct hlist_head *head)
{
	shim_hlist_add(n, &head->first);
}

static inline void hlist_add_before_rcu(struct hlist_node *n,
					struct hlist_node *next)
{
	shim_hlist_add(n, next->pprev);
}

static inline void hlist_add_behind_rcu(struct hlist_node *n,
					struct hlist_node *prev)
{
	shim_hlist_add(n, &prev->next);
}

/* readers on @n go on along its next */
static inline void hlist_del_rcu(struct hlist_node *n)
{
	rcu_assign_pointer(*n->pprev, n->next);
	if (n->next)
		n->next->pprev = n->pprev;
	n->pprev = LIST_POISON;
}

#endif /* _SHIM_LIST_H */
