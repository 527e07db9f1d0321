// SPDX-License-Identifier: GPL-2.0
/*
 * pfkey_sock.c - the PF_KEY family: sockets, and requests in (floor 5).
 *
 * Locks. A request runs under kipsec_net.cfg from its first byte to its answer;
 * so does the part of a receive that goes on with a dump. The list of sockets
 * has a spinlock of its own, because events may come from the data path. The
 * order is cfg, then the list's lock, then that of a receive queue.
 *
 * Life. Only a socket's own file frees it; whoever sends to it either is that
 * file or holds the list's lock, which the release takes first.
 *
 * Keys. The copy of a request is wiped when it is freed; for those in answers
 * see pfkey_send.c.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/socket.h>
#include <linux/uio.h>

#include "acquire.h"
#include "pfkey.h"

/*
 * Who may create namespaces of users is root in one of his own, and would get
 * at every message handler of this file. On many systems that is everybody.
 * Network namespaces that root itself makes belong to the initial user
 * namespace and are served in any case.
 */
static bool userns;
module_param(userns, bool, 0644);
MODULE_PARM_DESC(userns, "serve PF_KEY in network namespaces that belong to a user namespace (default: no)");

static struct kipsec_pfkey_sock *to_ks(struct sock *sk)
{
	return container_of(sk, struct kipsec_pfkey_sock, sk);
}

/* --- requests in --------------------------------------------------------- */

/*
 * The request comes back as its answer, so it is refused if it carries more
 * than a header. A socket counts as promiscuous at once: it sees the answer
 * twice.
 */
static int promisc(struct kipsec_pfkey_req *rq)
{
	const struct sadb_msg *hdr = rq->msg.hdr;
	struct kipsec_pfkey *kp = rq->kn->pfkey;
	struct kipsec_pfkey_out out;
	bool on = hdr->sadb_msg_satype;

	if (hdr->sadb_msg_satype > 1 ||
	    hdr->sadb_msg_len != sizeof(*hdr) / sizeof(u64))
		return -EINVAL;
	spin_lock_bh(&kp->lock);
	if (on != rq->from->promisc) {
		WRITE_ONCE(rq->from->promisc, on);
		WRITE_ONCE(kp->promisc, kp->promisc + (on ? 1 : -1));
	}
	spin_unlock_bh(&kp->lock);
	kipsec_pfkey_begin_reply(rq, &out, hdr->sadb_msg_type,
				 hdr->sadb_msg_satype);
	kipsec_pfkey_reply(rq, &out, KIPSEC_TO_ALL);
	return 0;
}

#define HAS(ext)	BIT(SADB_##ext)
#define ENDS		(HAS(EXT_ADDRESS_SRC) | HAS(EXT_ADDRESS_DST))

/*
 * By message type: who handles it, and the extensions it cannot do without.
 * Types that only the kernel sends are not here.
 */
static const struct {
	kipsec_pfkey_fn	*handle;
	u32		need;
} handlers[SADB_MAX + 1] = {
	[SADB_GETSPI]		= { kipsec_pfkey_getspi, ENDS },
	[SADB_UPDATE]		= { kipsec_pfkey_update, HAS(EXT_SA) | ENDS },
	[SADB_ADD]		= { kipsec_pfkey_add, HAS(EXT_SA) | ENDS },
	[SADB_DELETE]		= { kipsec_pfkey_delete, ENDS },
	[SADB_GET]		= { kipsec_pfkey_get, HAS(EXT_SA) | ENDS },
	[SADB_ACQUIRE]		= { kipsec_pfkey_acquire, 0 },
	[SADB_REGISTER]		= { kipsec_pfkey_sadb_register, 0 },
	[SADB_FLUSH]		= { kipsec_pfkey_flush, 0 },
	[SADB_DUMP]		= { kipsec_pfkey_dump, 0 },
	[SADB_X_PROMISC]	= { promisc, 0 },
	[SADB_X_SPDUPDATE]	= { kipsec_pfkey_spdadd,
				    ENDS | HAS(X_EXT_POLICY) },
	[SADB_X_SPDADD]		= { kipsec_pfkey_spdadd,
				    ENDS | HAS(X_EXT_POLICY) },
	[SADB_X_SPDSETIDX]	= { kipsec_pfkey_spdadd,
				    ENDS | HAS(X_EXT_POLICY) },
	[SADB_X_SPDDELETE]	= { kipsec_pfkey_spddelete,
				    ENDS | HAS(X_EXT_POLICY) },
	[SADB_X_SPDGET]		= { kipsec_pfkey_spdget, HAS(X_EXT_POLICY) },
	[SADB_X_SPDDELETE2]	= { kipsec_pfkey_spdget, HAS(X_EXT_POLICY) },
	[SADB_X_SPDDUMP]	= { kipsec_pfkey_spddump, 0 },
	[SADB_X_SPDFLUSH]	= { kipsec_pfkey_spdflush, 0 },
	[SADB_X_MIGRATE]	= { kipsec_pfkey_migrate,
				    ENDS | HAS(X_EXT_POLICY) },
};

static bool has_needed(const struct kipsec_pfkey_msg *m, u32 need)
{
	unsigned long missing = need;
	unsigned int ext;

	for_each_set_bit(ext, &missing, SADB_EXT_MAX + 1) {
		if (!m->ext[ext])
			return false;
	}
	return (need & ENDS) != ENDS || m->src.family == m->dst.family;
}

static int process(struct kipsec_pfkey_req *rq, const void *buf, size_t len)
{
	u8 type;
	int err;

	err = kipsec_pfkey_parse(&rq->msg, buf, len);
	if (err)
		return err;
	type = rq->msg.hdr->sadb_msg_type;
	if (!handlers[type].handle)
		return -EOPNOTSUPP;
	if (!has_needed(&rq->msg, handlers[type].need))
		return -EINVAL;
	return handlers[type].handle(rq);
}

/* What fits into the one byte of a header. */
static u8 wire_errno(int err)
{
	if (err == -ERESTARTSYS || err == -ERESTARTNOHAND ||
	    err == -ERESTARTNOINTR)
		err = -EINTR;
	else if (err < -255)
		err = -EINVAL;
	return -err;
}

/* The requester, and nobody else, gets his own header back. */
static int echo_error(struct kipsec_pfkey_req *rq, const struct sadb_msg *hdr,
		      int err)
{
	struct kipsec_pfkey_out out;

	kipsec_pfkey_begin(rq->kn, &out, hdr->sadb_msg_type,
			   hdr->sadb_msg_satype, hdr->sadb_msg_seq,
			   hdr->sadb_msg_pid);
	out.hdr->sadb_msg_errno = wire_errno(err);
	return kipsec_pfkey_send(rq->kn, &out, KIPSEC_TO_ONE, rq->from);
}

static int handle_request(struct sock *sk, const void *buf, size_t len)
{
	const struct sadb_msg *hdr = buf;
	struct kipsec_pfkey_req rq = {
		.kn	= kipsec_net(sock_net(sk)),
		.from	= to_ks(sk),
	};
	int err;

	err = kipsec_pfkey_check_base(buf, len);
	if (err)
		return err;
	if (hdr->sadb_msg_type == SADB_REGISTER)
		kipsec_pfkey_find_algorithms();
	mutex_lock(&rq.kn->cfg);
	kipsec_pfkey_show(rq.kn, buf, len);
	err = process(&rq, buf, len);
	if (err)
		err = echo_error(&rq, hdr, err);
	mutex_unlock(&rq.kn->cfg);
	return err;
}

static int kipsec_pfkey_sendmsg(struct socket *sock, struct msghdr *msg,
				size_t len)
{
	struct sock *sk = sock->sk;
	void *buf;
	int err;

	if (msg->msg_flags & MSG_OOB)
		return -EOPNOTSUPP;
	if (len > READ_ONCE(sk->sk_sndbuf) - 32 ||
	    len < sizeof(struct sadb_msg) || len > U16_MAX * sizeof(u64))
		return -EMSGSIZE;
	buf = kvmalloc(len, GFP_KERNEL_ACCOUNT);
	if (!buf)
		return -ENOBUFS;
	err = memcpy_from_msg(buf, msg, len);
	if (!err)
		err = handle_request(sk, buf, len);
	kvfree_sensitive(buf, len);
	return err ?: len;
}

/* A reader that has made room gets more of his dump, before he can miss it. */
static void continue_dump(struct sock *sk)
{
	struct kipsec_net *kn = kipsec_net(sock_net(sk));
	int err;

	if (!kipsec_pfkey_dump_wanted(to_ks(sk)))
		return;
	mutex_lock(&kn->cfg);
	err = kipsec_pfkey_dump_some(kn, to_ks(sk));
	mutex_unlock(&kn->cfg);
	if (err) {
		/* better an error than a reader who waits for the rest */
		sk->sk_err = -err;
		sk_error_report(sk);
	}
}

static int kipsec_pfkey_recvmsg(struct socket *sock, struct msghdr *msg,
				size_t len, int flags)
{
	struct sock *sk = sock->sk;
	struct sk_buff *skb;
	size_t copied;
	int err;

	if (flags & ~(MSG_PEEK | MSG_DONTWAIT | MSG_TRUNC | MSG_CMSG_COMPAT))
		return -EINVAL;
	skb = skb_recv_datagram(sk, flags, &err);
	if (!skb)
		return err;
	copied = skb->len;
	if (copied > len) {
		msg->msg_flags |= MSG_TRUNC;
		copied = len;
	}
	err = skb_copy_datagram_msg(skb, 0, msg, copied);
	if (!err) {
		sock_recv_cmsgs(msg, sk, skb);
		err = flags & MSG_TRUNC ? skb->len : copied;
	}
	skb_free_datagram(sk, skb);
	continue_dump(sk);
	return err;
}

/* --- sockets ------------------------------------------------------------- */

static struct proto kipsec_pfkey_proto_ops = {
	.name		= "KEY",
	.owner		= THIS_MODULE,
	.obj_size	= sizeof(struct kipsec_pfkey_sock),
};

static int kipsec_pfkey_release(struct socket *sock)
{
	struct sock *sk = sock->sk;
	struct kipsec_pfkey *kp;

	if (!sk)
		return 0;
	kp = kipsec_net(sock_net(sk))->pfkey;
	spin_lock_bh(&kp->lock);
	sk_del_node_init(sk);
	if (to_ks(sk)->promisc)
		WRITE_ONCE(kp->promisc, kp->promisc - 1);
	spin_unlock_bh(&kp->lock);
	if (to_ks(sk)->registered)
		kipsec_acquire_listener(kipsec_net(sock_net(sk)), -1);
	/* out of the list, and its file is gone: nobody else knows it */
	kipsec_pfkey_dump_end(to_ks(sk));
	sock_orphan(sk);
	sock->sk = NULL;
	skb_queue_purge(&sk->sk_receive_queue);
	sock_put(sk);
	return 0;
}

static const struct proto_ops kipsec_pfkey_ops = {
	.family		= PF_KEY,
	.owner		= THIS_MODULE,
	.release	= kipsec_pfkey_release,
	.bind		= sock_no_bind,
	.connect	= sock_no_connect,
	.socketpair	= sock_no_socketpair,
	.accept		= sock_no_accept,
	.getname	= sock_no_getname,
	.poll		= datagram_poll,
	.ioctl		= sock_no_ioctl,
	.listen		= sock_no_listen,
	.shutdown	= sock_no_shutdown,
	.sendmsg	= kipsec_pfkey_sendmsg,
	.recvmsg	= kipsec_pfkey_recvmsg,
	.mmap		= sock_no_mmap,
};

/*
 * The right to speak PF_KEY is asked for here and never later: daemons open the
 * socket as root and hand it to a child without any rights.
 */
static int may_create(const struct net *net)
{
	if (!ns_capable(net->user_ns, CAP_NET_ADMIN))
		return -EPERM;
	if (net->user_ns != &init_user_ns && !READ_ONCE(userns))
		return -EPERM;
	return 0;
}

static int kipsec_pfkey_create(struct net *net, struct socket *sock,
			       int protocol, int kern)
{
	struct kipsec_pfkey *kp = kipsec_net(net)->pfkey;
	struct sock *sk;
	int err;

	err = may_create(net);
	if (err)
		return err;
	if (sock->type != SOCK_RAW)
		return -ESOCKTNOSUPPORT;
	if (protocol != PF_KEY_V2)
		return -EPROTONOSUPPORT;
	sk = sk_alloc(net, PF_KEY, GFP_KERNEL, &kipsec_pfkey_proto_ops, kern);
	if (!sk)
		return -ENOMEM;
	sock->ops = &kipsec_pfkey_ops;
	sock_init_data(sock, sk);
	sk->sk_family = PF_KEY;
	spin_lock_bh(&kp->lock);
	sk_add_node(sk, &kp->socks);
	spin_unlock_bh(&kp->lock);
	return 0;
}

static const struct net_proto_family kipsec_pfkey_family = {
	.family	= PF_KEY,
	.create	= kipsec_pfkey_create,
	.owner	= THIS_MODULE,
};

/* --- /proc/net/pfkey ----------------------------------------------------- */

static void show_socket(struct seq_file *seq, struct sock *sk)
{
	seq_printf(seq, "%p %-6d %-6u %-6u %-6u %-6lu\n", sk,
		   refcount_read(&sk->sk_refcnt), sk_rmem_alloc_get(sk),
		   sk_wmem_alloc_get(sk),
		   from_kuid_munged(seq_user_ns(seq), READ_ONCE(sk->sk_uid)),
		   (unsigned long)sock_i_ino(sk));
}

static int proc_show(struct seq_file *seq, void *v)
{
	struct kipsec_pfkey *kp = kipsec_net(seq_file_single_net(seq))->pfkey;
	struct sock *sk;

	seq_puts(seq, "sk       RefCnt Rmem   Wmem   User   Inode\n");
	spin_lock_bh(&kp->lock);
	sk_for_each(sk, &kp->socks)
		show_socket(seq, sk);
	spin_unlock_bh(&kp->lock);
	return 0;
}

/* The file is for people's eyes: without memory, do without it. */
static int __net_init proc_up(struct net *net)
{
	proc_create_net_single("pfkey", 0, net->proc_net, proc_show, NULL);
	return 0;
}

/* remove_proc_entry() would complain if it is not there. */
static void __net_exit proc_down(struct net *net)
{
	remove_proc_subtree("pfkey", net->proc_net);
}

/*
 * Apart from the rest, since af_key has a file of that name: it comes after the
 * family is ours. From then on there may be sockets, so nothing may fail any
 * more; and this cannot, its init does not.
 */
static struct pernet_operations proc_net_ops = {
	.init	= proc_up,
	.exit	= proc_down,
};

/* --- beginning and end --------------------------------------------------- */

int kipsec_pfkey_init(struct kipsec_net *kn)
{
	struct kipsec_pfkey *kp = kzalloc(sizeof(*kp), GFP_KERNEL);

	if (!kp)
		return -ENOMEM;
	spin_lock_init(&kp->lock);
	INIT_HLIST_HEAD(&kp->socks);
	mutex_lock(&kn->cfg);
	kn->pfkey = kp;
	mutex_unlock(&kn->cfg);
	return 0;
}

/* Each socket holds its namespace and the module, so there is none left. */
void kipsec_pfkey_exit(struct kipsec_net *kn)
{
	struct kipsec_pfkey *kp = kn->pfkey;

	WARN_ON(!hlist_empty(&kp->socks));
	/* deadlines may still be due; their events find nobody to tell */
	mutex_lock(&kn->cfg);
	kn->pfkey = NULL;
	mutex_unlock(&kn->cfg);
	kfree_sensitive(kp);
}

int kipsec_pfkey_register(void)
{
	int err;

	kipsec_pfkey_events_start();
	err = proto_register(&kipsec_pfkey_proto_ops, 0);
	if (err)
		return err;
	if (sock_register(&kipsec_pfkey_family)) {
		pr_err("af_key holds PF_KEY: unload it (rmmod af_key) and blacklist it: see README\n");
		proto_unregister(&kipsec_pfkey_proto_ops);
		/* modprobe would take EEXIST to mean that we are loaded */
		return -EBUSY;
	}
	WARN_ON(register_pernet_subsys(&proc_net_ops));
	return 0;
}

void kipsec_pfkey_unregister(void)
{
	unregister_pernet_subsys(&proc_net_ops);
	sock_unregister(PF_KEY);
	proto_unregister(&kipsec_pfkey_proto_ops);
}
