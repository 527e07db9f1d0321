// SPDX-License-Identifier: GPL-2.0
/* shim.c - the parts of the stand-ins that are not inline. */
#define _GNU_SOURCE
#include <pthread.h>

#include "shim.h"

void shim_warn(const char *file, int line, const char *what)
{
	printf("# %s:%d: WARN_ON(%s)\n", file, line, what);
	fflush(stdout);
	abort();
}

/* Allocation */

static unsigned int fail_countdown;
static unsigned long live;

void shim_fail_alloc(unsigned int n)
{
	fail_countdown = n;
}

unsigned long shim_live(void)
{
	return __atomic_load_n(&live, __ATOMIC_RELAXED);
}

/* Uncleared memory is filled, so that nobody lives on lucky zeroes. */
void *shim_alloc(size_t size, bool zero)
{
	void *p;

	if (fail_countdown && !--fail_countdown)
		return NULL;
	p = malloc(size);
	assert(p);
	memset(p, zero ? 0 : 0x5a, size);
	__atomic_add_fetch(&live, 1, __ATOMIC_RELAXED);
	return p;
}

void shim_free(const void *p)
{
	if (!p)
		return;
	__atomic_sub_fetch(&live, 1, __ATOMIC_RELAXED);
	free((void *)p);
}

/* RCU */

struct deferred {
	struct deferred	*next;
	void		*p;
};

static pthread_rwlock_t readers =
	PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
static pthread_mutex_t queue_lock = PTHREAD_MUTEX_INITIALIZER;
static struct deferred *queue;
static __thread unsigned int nesting;

void rcu_read_lock(void)
{
	if (!nesting++)
		pthread_rwlock_rdlock(&readers);
}

void rcu_read_unlock(void)
{
	assert(nesting);
	if (!--nesting)
		pthread_rwlock_unlock(&readers);
}

bool rcu_read_lock_held(void)
{
	return nesting;
}

void synchronize_rcu(void)
{
	struct deferred *list, *next;

	assert(!nesting);
	pthread_mutex_lock(&queue_lock);
	list = queue;
	queue = NULL;
	pthread_mutex_unlock(&queue_lock);

	pthread_rwlock_wrlock(&readers);
	pthread_rwlock_unlock(&readers);

	for (; list; list = next) {
		next = list->next;
		shim_free(list->p);
		free(list);
	}
}

void shim_rcu_free(void *p)
{
	struct deferred *d = malloc(sizeof(*d));

	assert(d);
	d->p = p;
	pthread_mutex_lock(&queue_lock);
	d->next = queue;
	queue = d;
	pthread_mutex_unlock(&queue_lock);
}

/* Trees */

/* the pointer that points to @node */
static struct rb_node **link_to(struct rb_node *node, struct rb_root *root)
{
	struct rb_node *parent = node->parent;

	if (!parent)
		return &root->rb_node;
	return parent->rb_left == node ? &parent->rb_left : &parent->rb_right;
}

/* let @node and its parent change places; the order stays */
static void lift(struct rb_node *node, struct rb_root *root)
{
	struct rb_node *down = node->parent;
	struct rb_node *middle;

	*link_to(down, root) = node;
	node->parent = down->parent;
	if (down->rb_left == node) {
		middle = node->rb_right;
		down->rb_left = middle;
		node->rb_right = down;
	} else {
		middle = node->rb_left;
		down->rb_right = middle;
		node->rb_left = down;
	}
	down->parent = node;
	if (middle)
		middle->parent = down;
}

void rb_add(struct rb_node *node, struct rb_root *root, shim_rb_less less)
{
	struct rb_node **link = &root->rb_node;

	node->rb_left = NULL;
	node->rb_right = NULL;
	node->parent = NULL;
	node->weight = random();
	while (*link) {
		node->parent = *link;
		link = less(node, *link) ? &(*link)->rb_left :
					   &(*link)->rb_right;
	}
	*link = node;
	while (node->parent && node->parent->weight < node->weight)
		lift(node, root);
}

void rb_erase(struct rb_node *node, struct rb_root *root)
{
	struct rb_node *l, *r;

	while (node->rb_left || node->rb_right) {
		l = node->rb_left;
		r = node->rb_right;
		lift(!r || (l && l->weight > r->weight) ? l : r, root);
	}
	*link_to(node, root) = NULL;
}

struct rb_node *rb_first(const struct rb_root *root)
{
	struct rb_node *n = root->rb_node;

	while (n && n->rb_left)
		n = n->rb_left;
	return n;
}

struct rb_node *rb_next(const struct rb_node *node)
{
	struct rb_node *n = node->rb_right;

	if (n) {
		while (n->rb_left)
			n = n->rb_left;
		return n;
	}
	while (node->parent && node == node->parent->rb_right)
		node = node->parent;
	return node->parent;
}
