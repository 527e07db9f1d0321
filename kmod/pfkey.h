/* SPDX-License-Identifier: GPL-2.0 */
/*
 * pfkey.h - PF_KEY sockets and what the message handlers share (floor 5).
 *
 * A request is parsed (pfkey_parse.c), handled under kipsec_net.cfg by a
 * function of the table in pfkey_sock.c, and answered before the send returns:
 * programs poll for the answer with time-outs of a millisecond. Handlers build
 * their answers in one scratch buffer per namespace, which @cfg guards too.
 */
#ifndef _KIPSEC_PFKEY_H
#define _KIPSEC_PFKEY_H

#include <linux/skbuff.h>
#include <net/sock.h>

#include "kipsec.h"
#include "pfkey_build.h"
#include "pfkey_parse.h"
#include "spd.h"

struct kipsec_policy;
struct kipsec_moved;
struct kipsec_sa;

/** enum kipsec_pfkey_to - who gets a message, besides its requester */
enum kipsec_pfkey_to {
	KIPSEC_TO_ONE,		/* nobody else */
	KIPSEC_TO_ALL,		/* every socket of the namespace */
	KIPSEC_TO_REGISTERED,	/* sockets that sent a REGISTER, of any type */
};

/**
 * struct kipsec_pfkey - PF_KEY in a namespace
 * @lock: of @socks; events from the data path take it too
 * @socks: all sockets
 * @promisc: how many of them are promiscuous
 * @scratch: where messages are built; under kipsec_net.cfg
 */
struct kipsec_pfkey {
	spinlock_t		lock; /* of @socks */
	struct hlist_head	socks;
	unsigned int		promisc;
	u8			scratch[KIPSEC_PFKEY_MAX] __aligned(8);
};

/**
 * struct kipsec_pfkey_dump - a dump under way on a socket; kipsec_net.cfg
 * @next: builds the message of the next entry: NULL behind the last, or an
 *	error pointer; NULL itself if there is no dump
 * @held: the message that is sent as soon as it is known whether one follows
 * @count: messages handed out
 * @pid: of the request
 * @serial: SA dump: the SA seen last
 * @at: policy dump: where it stands
 * @proto: SA dump: only this protocol, 0 for all
 * @engines: SA dump: with what serves each of them
 * @filtered: @filter is in force
 * @filter: SA dump: only these addresses
 */
struct kipsec_pfkey_dump {
	struct sk_buff			*(*next)(struct kipsec_net *kn,
						 struct kipsec_pfkey_dump *d);
	struct sk_buff			*held;
	u32				count;
	u32				pid;
	unsigned long			serial;
	struct kipsec_spd_cursor	at;
	u8				proto;
	bool				engines;
	bool				filtered;
	struct sadb_x_filter		filter;
};

/**
 * struct kipsec_pfkey_sock - a PF_KEY socket
 * @sk: first, as the socket layer wants it
 * @registered: bit n: REGISTER was sent for satype n
 * @promisc: it gets a copy of everything
 * @dump: the dump it asked for
 */
struct kipsec_pfkey_sock {
	struct sock			sk;
	u32				registered;
	bool				promisc;
	struct kipsec_pfkey_dump	dump;
};

/**
 * struct kipsec_pfkey_req - a request being handled
 * @kn: its namespace, @cfg held
 * @from: the socket that sent it
 * @msg: what it says
 */
struct kipsec_pfkey_req {
	struct kipsec_net		*kn;
	struct kipsec_pfkey_sock	*from;
	struct kipsec_pfkey_msg		msg;
};

/* pfkey_send.c */

/** kipsec_pfkey_begin() - begin a message in the scratch buffer; @cfg held */
void kipsec_pfkey_begin(struct kipsec_net *kn, struct kipsec_pfkey_out *out,
			u8 type, u8 satype, u32 seq, u32 pid);

/**
 * kipsec_pfkey_skb() - turn a message in the scratch buffer into a packet
 * @out: the message
 * @secret: it holds keys, so the scratch buffer is wiped
 *
 * Return: the packet, to be freed with kipsec_pfkey_wipe() if @secret, or NULL.
 */
struct sk_buff *kipsec_pfkey_skb(struct kipsec_pfkey_out *out, bool secret);

/** kipsec_pfkey_wipe() - free an unsent packet that holds keys; NULL is fine */
void kipsec_pfkey_wipe(struct sk_buff *skb);

/**
 * kipsec_pfkey_send() - finish a message without keys and send it
 * @kn: namespace, @cfg held
 * @out: the message
 * @to: who gets it
 * @one: this socket gets it in any case, and once; or NULL
 *
 * Return: 0, or -ENOBUFS if there was no memory for it. Then it is lost, and
 * counted, as for a socket that is full; what it tells of has happened.
 */
int kipsec_pfkey_send(struct kipsec_net *kn, struct kipsec_pfkey_out *out,
		      enum kipsec_pfkey_to to, struct kipsec_pfkey_sock *one);

/**
 * kipsec_pfkey_send_secret() - send a packet that holds keys to one socket
 * @ks: the socket, which gets it even if its buffer is full
 * @skb: the packet, consumed; wiped when it has been read
 *
 * Promiscuous sockets get a copy without the keys.
 */
void kipsec_pfkey_send_secret(struct kipsec_pfkey_sock *ks,
			      struct sk_buff *skb);

/**
 * kipsec_pfkey_show() - let promiscuous sockets see a message, its keys hidden
 * @kn: namespace, @cfg held
 * @data: the message, well formed or not
 * @len: its length, at least that of a header
 */
void kipsec_pfkey_show(struct kipsec_net *kn, const void *data, size_t len);

/** kipsec_pfkey_begin_reply() - as begin, with seq and pid of the request */
static inline void kipsec_pfkey_begin_reply(const struct kipsec_pfkey_req *rq,
					    struct kipsec_pfkey_out *out,
					    u8 type, u8 satype)
{
	kipsec_pfkey_begin(rq->kn, out, type, satype,
			   rq->msg.hdr->sadb_msg_seq,
			   rq->msg.hdr->sadb_msg_pid);
}

/** kipsec_pfkey_reply() - send the answer to a request */
static inline void kipsec_pfkey_reply(const struct kipsec_pfkey_req *rq,
				      struct kipsec_pfkey_out *out,
				      enum kipsec_pfkey_to to)
{
	kipsec_pfkey_send(rq->kn, out, to, rq->from);
}

/* pfkey_sock.c */

/** kipsec_pfkey_register() - take the family; -EBUSY if af_key has it */
int kipsec_pfkey_register(void);
void kipsec_pfkey_unregister(void);
int kipsec_pfkey_init(struct kipsec_net *kn);
void kipsec_pfkey_exit(struct kipsec_net *kn);

/* pfkey_msg.c: data base entries as messages */

/**
 * kipsec_pfkey_put_sa_msg() - all extensions of an SA message
 * @out: the message, begun
 * @sa: the SA
 * @keys: with its keys
 */
void kipsec_pfkey_put_sa_msg(struct kipsec_pfkey_out *out, struct kipsec_sa *sa,
			     bool keys);

/** kipsec_pfkey_put_sa_engine() - what serves an SA, for those who asked */
void kipsec_pfkey_put_sa_engine(struct kipsec_pfkey_out *out,
				struct kipsec_sa *sa);

/** kipsec_pfkey_put_moved() - all extensions of a NAT_T_NEW_MAPPING */
void kipsec_pfkey_put_moved(struct kipsec_pfkey_out *out, struct kipsec_sa *sa,
			    const struct kipsec_moved *to);

/** kipsec_pfkey_put_expire() - all extensions of an EXPIRE */
void kipsec_pfkey_put_expire(struct kipsec_pfkey_out *out, struct kipsec_sa *sa,
			     bool hard);

/** kipsec_pfkey_put_policy_msg() - all extensions of a policy message */
void kipsec_pfkey_put_policy_msg(struct kipsec_pfkey_out *out,
				 const struct kipsec_policy *pol);

/**
 * kipsec_pfkey_get_lifetime() - limits that a request states
 * @rq: the request
 * @lt: what is not mentioned stays as it is
 */
void kipsec_pfkey_get_lifetime(const struct kipsec_pfkey_req *rq,
			       struct kipsec_lifetime *lt);

/** kipsec_pfkey_put_spdexpire() - all extensions of an SPDEXPIRE */
void kipsec_pfkey_put_spdexpire(struct kipsec_pfkey_out *out,
				const struct kipsec_policy *pol);

/* pfkey_sa.c */

/**
 * kipsec_pfkey_get_mode() - mode and reqid of a request about an SA
 * @rq: the request
 * @mode: 0, setkey's default, is kept: such an SA serves policies of either mode
 * @reqid: 0 unless it is given
 *
 * Return: 0 or -EINVAL.
 */
int kipsec_pfkey_get_mode(const struct kipsec_pfkey_req *rq, u8 *mode,
			  u32 *reqid);

/** kipsec_pfkey_reply_sa() - an SA without keys, as message of the request's type */
void kipsec_pfkey_reply_sa(const struct kipsec_pfkey_req *rq,
			   struct kipsec_sa *sa, enum kipsec_pfkey_to to);

/* pfkey_sp.c */

/** kipsec_pfkey_get_selector() - what a request says a policy is for */
void kipsec_pfkey_get_selector(const struct kipsec_pfkey_req *rq,
			       struct kipsec_selector *sel);

/* pfkey_dump.c */

/** kipsec_pfkey_dump_wanted() - may a paused dump go on? */
bool kipsec_pfkey_dump_wanted(const struct kipsec_pfkey_sock *ks);

/**
 * kipsec_pfkey_dump_some() - fill the reader's buffer; @cfg held
 * @kn: the namespace
 * @ks: the reader
 *
 * Return: 0, or -ENOMEM, with which the dump is over.
 */
int kipsec_pfkey_dump_some(struct kipsec_net *kn, struct kipsec_pfkey_sock *ks);

/** kipsec_pfkey_dump_end() - forget the dump; @cfg held, or the last user */
void kipsec_pfkey_dump_end(struct kipsec_pfkey_sock *ks);

/* pfkey_event.c */

/**
 * kipsec_pfkey_find_algorithms() - see what the kernel has, before a REGISTER
 *
 * Without any lock: it waits for modprobe, which may take its time.
 */
void kipsec_pfkey_find_algorithms(void);

/** kipsec_pfkey_events_start() - ask the data bases for their events */
void kipsec_pfkey_events_start(void);

/*
 * The handlers: called under @cfg with the extensions present that the table
 * in pfkey_sock.c demands. 0, or an errno for the requester.
 */
typedef int kipsec_pfkey_fn(struct kipsec_pfkey_req *rq);

kipsec_pfkey_fn kipsec_pfkey_getspi;
kipsec_pfkey_fn kipsec_pfkey_update;
kipsec_pfkey_fn kipsec_pfkey_add;
kipsec_pfkey_fn kipsec_pfkey_delete;
kipsec_pfkey_fn kipsec_pfkey_get;
kipsec_pfkey_fn kipsec_pfkey_acquire;
kipsec_pfkey_fn kipsec_pfkey_sadb_register;
kipsec_pfkey_fn kipsec_pfkey_flush;
kipsec_pfkey_fn kipsec_pfkey_dump;
kipsec_pfkey_fn kipsec_pfkey_spdadd;
kipsec_pfkey_fn kipsec_pfkey_spddelete;
kipsec_pfkey_fn kipsec_pfkey_spdget;
kipsec_pfkey_fn kipsec_pfkey_spddump;
kipsec_pfkey_fn kipsec_pfkey_spdflush;
kipsec_pfkey_fn kipsec_pfkey_migrate;

#endif /* _KIPSEC_PFKEY_H */
