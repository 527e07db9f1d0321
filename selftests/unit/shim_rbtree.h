/* SPDX-License-Identifier: GPL-2.0 */
/*
 * shim_rbtree.h - the kernel's tree interface over a treap: balanced by random
 * weights, so short that one can see that it is right.
 */
#ifndef _SHIM_RBTREE_H
#define _SHIM_RBTREE_H

struct rb_node {
	struct rb_node	*parent;
	struct rb_node	*rb_left;
	struct rb_node	*rb_right;
	u32		weight;		/* a parent's is not below its children's */
};

struct rb_root {
	struct rb_node	*rb_node;
};

struct rb_root_cached {
	struct rb_root	rb_root;
};

#define RB_ROOT			(struct rb_root) { NULL }
#define RB_ROOT_CACHED		(struct rb_root_cached) { { NULL } }
#define RB_EMPTY_ROOT(root)	(!(root)->rb_node)
#define rb_entry(p, type, member) container_of(p, type, member)

typedef bool (*shim_rb_less)(struct rb_node *a, const struct rb_node *b);

void rb_add(struct rb_node *node, struct rb_root *root, shim_rb_less less);
void rb_erase(struct rb_node *node, struct rb_root *root);
struct rb_node *rb_first(const struct rb_root *root);
struct rb_node *rb_next(const struct rb_node *node);

#define rb_first_cached(root)		rb_first(&(root)->rb_root)
#define rb_erase_cached(node, root)	rb_erase(node, &(root)->rb_root)

/* Return: @node if it is the first now, else NULL */
static inline struct rb_node *rb_add_cached(struct rb_node *node,
					    struct rb_root_cached *root,
					    shim_rb_less less)
{
	rb_add(node, &root->rb_root, less);
	return rb_first_cached(root) == node ? node : NULL;
}

#endif /* _SHIM_RBTREE_H */
