/* SPDX-License-Identifier: GPL-2.0 */
/*
 * shim_rcu.h - RCU on a reader-writer lock: slow, but strict.
 *
 * Readers hold the lock shared; synchronize_rcu() takes it once, exclusively.
 * Frees wait in a queue for the next synchronize_rcu() or rcu_barrier().
 */
#ifndef _SHIM_RCU_H
#define _SHIM_RCU_H

struct rcu_head {
	void	*private[2];
};

void rcu_read_lock(void);
void rcu_read_unlock(void);
bool rcu_read_lock_held(void);
void synchronize_rcu(void);
void shim_rcu_free(void *p);

#define rcu_barrier()	synchronize_rcu()

#ifdef SHIM_UNCHECKED
#define rcu_dereference(p)	READ_ONCE(p)
#else
#define rcu_dereference(p) \
	(assert(rcu_read_lock_held()), __atomic_load_n(&(p), __ATOMIC_ACQUIRE))
#endif
#define rcu_dereference_protected(p, c)	(assert(c), (p))
#define rcu_access_pointer(p)		READ_ONCE(p)
#define rcu_assign_pointer(p, v)	__atomic_store_n(&(p), (v), __ATOMIC_RELEASE)
#define RCU_INIT_POINTER(p, v)		WRITE_ONCE(p, v)
#define RCU_LOCKDEP_WARN(c, s)		((void)(s), WARN_ON(c))

/* As in the kernel, the head is written to while readers may still look. */
#define kfree_rcu(p, head) do {						\
	__typeof__(p) _p = (p);						\
									\
	memset(&_p->head, 0xa5, sizeof(_p->head));			\
	shim_rcu_free(_p);						\
} while (0)
#define kvfree_rcu(p, head)	kfree_rcu(p, head)

#endif /* _SHIM_RCU_H */
