// SPDX-License-Identifier: GPL-2.0
/*
 * card.c - a driver that stands for hardware, and may misbehave (floor 3).
 *
 * The card never sees the packet. It works on a copy, in a request of its own,
 * and what it made is copied back when it says that all went well. Until then
 * the packet is as it was, so that software can do it instead: when the card is
 * full (and enough packets wait for it already), when it answers with an error,
 * or when it does not answer at all. Two copies cost less than a tenth of what
 * it takes to reach any card.
 *
 * An answer "bad ICV" is checked in software before the packet is dropped: the
 * card may have spoilt it. A card that errs too often in a row, or keeps a
 * request too long, is out of service for this SA; the next SA tries it again.
 *
 * A card may also be taken out of the machine. Drivers leave their transforms
 * behind then, pointing nowhere, so we give them back before (unplug.c), and take
 * no new ones until the driver has let go of the device.
 *
 * What a silent card still holds is abandoned: request, copy and transform stay
 * until it answers. Nobody waits for that, not even rmmod: before our code goes,
 * a function of the kernel's takes the place of ours as what the card will call,
 * and the memory is left to it for good.
 *
 * Locks: card->lock for one card; abandoned_lock, inside it, for the list of
 * abandoned requests of all. Neither is held when a lane's is taken. cards_lock
 * is for the lists of cards and of devices that go, and the beginning and end of
 * transforms, in process context.
 */
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "card.h"

#define CARD_WAIT	64		/* packets of an SA that wait for a full card */
#define CARD_ERRORS	8		/* in a row: out of service */
#define CARD_PERIOD	max(HZ / 100, 1)	/* between looks at what is under way */

static unsigned int card_timeout = 2000;
module_param(card_timeout, uint, 0644);
MODULE_PARM_DESC(card_timeout,
		 "milliseconds that a crypto card may take for a packet");

static struct workqueue_struct *free_wq;
static LIST_HEAD(cards);
static LIST_HEAD(departures);
static DEFINE_MUTEX(cards_lock);
static LIST_HEAD(abandoned);		/* requests without a packet */
static DEFINE_SPINLOCK(abandoned_lock);

/**
 * struct kipsec_card - a card's part in one SA
 * @refs: the lane's, and one for each request
 * @lock: of what follows
 * @lane: of the SA; when no request has a packet any more, NULL, under cards_lock
 * @all: link of cards, until it is freed
 * @owner: module of the driver
 * @tfm: keyed; NULL when it had to be given back
 * @name: of the driver, which may go before us
 * @flying: requests in its hands, oldest first
 * @row: errors since the last good answer
 * @stats: counters
 * @watch: looks for requests that take too long, and for room
 * @free_work: frees it in process context
 */
struct kipsec_card {
	refcount_t		refs;
	spinlock_t		lock;	/* of requests and counters */
	struct kipsec_lane	*lane;
	struct list_head	all;
	const struct module	*owner;
	struct crypto_aead	*tfm;
	char			name[CRYPTO_MAX_ALG_NAME];
	struct list_head	flying;
	unsigned int		row;
	struct kipsec_engine_stats stats;
	struct timer_list	watch;
	struct work_struct	free_work;
};

/**
 * struct departure - a driver that is about to lose a device
 * @link: in departures
 * @dev: the device, or its parent; a name only
 * @owner: module of the driver
 */
struct departure {
	struct list_head	link;
	const void		*dev;
	const struct module	*owner;
};

/**
 * struct card_request - one packet's copy in the card's hands
 * @wait: what the kernel's own callback expects here, see kipsec_card_stop()
 * @card: with a reference
 * @job: the packet, or NULL: abandoned
 * @link: in @card->flying, then in the list of abandoned ones
 * @since: jiffies of its submission
 * @assoc: bytes of associated data, which are not written
 * @text: bytes that the card writes behind them
 * @sg: the copy
 * @iv: of the cipher
 * @req: its private part follows, then the copy
 */
struct card_request {
	struct crypto_wait	wait;
	struct kipsec_card	*card;
	struct kipsec_job	*job;
	struct list_head	link;
	unsigned long		since;
	unsigned int		assoc;
	unsigned int		text;
	struct scatterlist	sg;
	u8			iv[KIPSEC_MAX_IV] __aligned(16);
	struct aead_request	req;
};

/* --- life ------------------------------------------------------------------ */

static void card_free_work(struct work_struct *work)
{
	struct kipsec_card *card = container_of(work, struct kipsec_card,
						free_work);

	mutex_lock(&cards_lock);
	list_del(&card->all);
	crypto_free_aead(card->tfm);
	mutex_unlock(&cards_lock);
	kfree(card);
}

static void card_put(struct kipsec_card *card)
{
	if (refcount_dec_and_test(&card->refs))
		queue_work(free_wq, &card->free_work);
}

static void request_free(struct card_request *cr)
{
	card_put(cr->card);
	kfree(cr);
}

/* A copy of what the job's request says, and a request for the card. */
static struct card_request *request_alloc(struct kipsec_card *card,
					  struct kipsec_job *job)
{
	unsigned int len = job->req.cryptlen, assoc = job->req.assoclen;
	unsigned int icv = crypto_aead_authsize(card->tfm), at, total;
	struct card_request *cr;
	u8 *copy;

	at = ALIGN(sizeof(*cr) + crypto_aead_reqsize(card->tfm),
		   max(16, dma_get_cache_alignment()));
	total = assoc + len + (job->enc ? icv : 0);
	cr = kmalloc(at + total, GFP_ATOMIC | __GFP_NOWARN);
	if (!cr)
		return NULL;
	copy = (u8 *)cr + at;
	crypto_init_wait(&cr->wait);
	sg_copy_to_buffer(job->sg, sg_nents(job->sg), copy, assoc + len);
	refcount_inc(&card->refs);
	cr->card = card;
	cr->job = job;
	cr->since = jiffies;
	cr->assoc = assoc;
	cr->text = job->enc ? len + icv : len - icv;
	memcpy(cr->iv, job->iv, sizeof(cr->iv));
	sg_init_one(&cr->sg, copy, total);
	aead_request_set_tfm(&cr->req, card->tfm);
	aead_request_set_crypt(&cr->req, &cr->sg, &cr->sg, len, cr->iv);
	aead_request_set_ad(&cr->req, assoc);
	return cr;
}

/* What the card made goes into the packet. */
static void request_copy_back(struct card_request *cr, struct kipsec_job *job)
{
	sg_pcopy_from_buffer(job->sg, sg_nents(job->sg),
			     sg_virt(&cr->sg) + cr->assoc, cr->text, cr->assoc);
}

/* --- answers --------------------------------------------------------------- */

/* Return: what the cipher says; the job may be gone. */
static int card_software(struct kipsec_card *card, struct kipsec_job *job)
{
	spin_lock(&card->lock);
	card->stats.fallbacks++;
	spin_unlock(&card->lock);
	return kipsec_lane_run(job);
}

static void card_error(struct kipsec_card *card)
{
	lockdep_assert_held(&card->lock);
	card->stats.errors++;
	if (++card->row >= CARD_ERRORS)
		WRITE_ONCE(card->stats.out, true);
}

static bool card_full(int err)
{
	return err == -EBUSY || err == -ENOSPC;
}

/* The request is back. Its packet, or NULL if that has been given up. */
static struct kipsec_job *card_land(struct kipsec_card *card,
				    struct card_request *cr, int err)
{
	struct kipsec_job *job;

	spin_lock(&card->lock);
	job = cr->job;
	if (!job) {
		spin_lock(&abandoned_lock);
		list_del(&cr->link);
		spin_unlock(&abandoned_lock);
		spin_unlock(&card->lock);
		return NULL;
	}
	list_del(&cr->link);
	card->stats.in_flight--;
	if (!card_full(err)) {
		card->stats.requests++;
		card->stats.bytes += cr->req.cryptlen;
	}
	if (!err)
		card->row = 0;
	else if (!card_full(err) && err != -EBADMSG)
		card_error(card);
	spin_unlock(&card->lock);
	return job;
}

/* BH off, RCU read side. */
static void card_answer(struct card_request *cr, struct kipsec_job *job,
			int err)
{
	struct kipsec_card *card = cr->card;

	if (likely(!err)) {
		request_copy_back(cr, job);
		kipsec_lane_done(job, 0);
	} else if (!card_software(card, job) && err == -EBADMSG) {
		/* Nothing was wrong with the packet. */
		spin_lock(&card->lock);
		card_error(card);
		spin_unlock(&card->lock);
	}
}

static void card_kick(struct kipsec_card *card);

static void card_done(kipsec_crypto_arg arg, int err)
{
	struct card_request *cr = kipsec_crypto_data(arg);
	struct kipsec_card *card = cr->card;
	struct kipsec_job *job;

	local_bh_disable();
	rcu_read_lock();
	job = card_land(card, cr, err);
	if (likely(job)) {
		card_answer(cr, job, err);
		card_kick(card);
	}
	request_free(cr);
	rcu_read_unlock();
	local_bh_enable();
}

/* --- submission ------------------------------------------------------------ */

static void card_watch_soon(struct kipsec_card *card)
{
	if (!timer_pending(&card->watch))
		mod_timer(&card->watch, jiffies + CARD_PERIOD);
}

/*
 * Return: -EINPROGRESS, the card has it or had it; -EBUSY, it is full; another
 * errno, it cannot have it. The job is the caller's except for -EINPROGRESS.
 */
static int card_try(struct kipsec_card *card, struct kipsec_job *job)
{
	struct card_request *cr = request_alloc(card, job);
	int err;

	if (!cr)
		return -ENOMEM;
	aead_request_set_callback(&cr->req, 0, card_done, cr);
	spin_lock(&card->lock);
	list_add_tail(&cr->link, &card->flying);
	card->stats.in_flight++;
	card_watch_soon(card);
	spin_unlock(&card->lock);
	err = job->enc ? crypto_aead_encrypt(&cr->req) :
			 crypto_aead_decrypt(&cr->req);
	if (likely(err == -EINPROGRESS))
		return err;
	job = card_land(card, cr, err);
	if (job && !card_full(err))
		card_answer(cr, job, err);
	request_free(cr);
	return job && card_full(err) ? -EBUSY : -EINPROGRESS;
}

/* Put a job off until there is room, unless too many have been. */
static bool card_wait(struct kipsec_job *job)
{
	struct kipsec_lane *lane = job->lane;
	bool room;

	spin_lock(&lane->lock);
	room = lane->waiting < CARD_WAIT;
	if (room)
		kipsec_lane_wait(job);
	spin_unlock(&lane->lock);
	return room;
}

static struct kipsec_job *card_next(struct kipsec_lane *lane)
{
	struct kipsec_job *job;

	spin_lock(&lane->lock);
	job = kipsec_lane_next(lane);
	spin_unlock(&lane->lock);
	return job;
}

/*
 * There may be room again: for those that wait. In which turn the card gets
 * them does not matter.
 */
static void card_kick(struct kipsec_card *card)
{
	struct kipsec_lane *lane = card->lane;
	struct kipsec_job *job;
	int err;

	while (READ_ONCE(lane->waiting) && (job = card_next(lane))) {
		err = READ_ONCE(card->stats.out) ? -ENODEV : card_try(card, job);
		if (err == -EBUSY && READ_ONCE(card->stats.in_flight) &&
		    card_wait(job))
			return;
		/* Full, but not with packets of ours: for how long? */
		if (err != -EINPROGRESS)
			card_software(card, job);
	}
}

void kipsec_card_submit(struct kipsec_job *job)
{
	struct kipsec_lane *lane = job->lane;
	struct kipsec_card *card = lane->card;
	int err;

	if (READ_ONCE(card->stats.out))
		err = -ENODEV;
	else if (READ_ONCE(lane->waiting))
		err = -EBUSY;
	else
		err = card_try(card, job);
	if (err == -EINPROGRESS)
		return;
	if (err != -EBUSY || !card_wait(job)) {
		card_software(card, job);
		return;
	}
	spin_lock(&card->lock);
	card_watch_soon(card);
	spin_unlock(&card->lock);
}

/* --- cards that do not answer ---------------------------------------------- */

static bool request_late(const struct card_request *cr)
{
	return time_after(jiffies, cr->since +
			  msecs_to_jiffies(READ_ONCE(card_timeout)));
}

/*
 * Give up the packet that the card has had longest, if that is too long, or
 * @all. The request stays with the card.
 */
static struct kipsec_job *card_abandon(struct kipsec_card *card, bool all)
{
	struct kipsec_job *job = NULL;
	struct card_request *cr;

	spin_lock(&card->lock);
	cr = list_first_entry_or_null(&card->flying, struct card_request, link);
	if (cr && (all || request_late(cr))) {
		WRITE_ONCE(card->stats.out, true);
		job = cr->job;
		cr->job = NULL;
		card->stats.in_flight--;
		card->stats.errors++;
		spin_lock(&abandoned_lock);
		list_move_tail(&cr->link, &abandoned);
		spin_unlock(&abandoned_lock);
	}
	spin_unlock(&card->lock);
	return job;
}

static void card_watch(struct timer_list *timer)
{
	struct kipsec_card *card = container_of(timer, struct kipsec_card,
						watch);
	struct kipsec_job *job;
	bool all = false;

	rcu_read_lock();
	while ((job = card_abandon(card, all))) {
		card_software(card, job);
		all = true;
	}
	card_kick(card);
	spin_lock(&card->lock);
	if (!list_empty(&card->flying) || READ_ONCE(card->lane->waiting))
		card_watch_soon(card);
	spin_unlock(&card->lock);
	rcu_read_unlock();
}

/* --- cards that go ---------------------------------------------------------- */

/* No request of it is left, if that can be had until @end. */
static bool card_idle(struct kipsec_card *card, unsigned long end)
{
	/* Each has a reference, abandoned ones too, and so has the lane. */
	while (refcount_read(&card->refs) > (card->lane ? 1 : 0)) {
		if (time_after(jiffies, end))
			return false;
		usleep_range(1000, 2000);
	}
	return true;
}

/* All transforms of @owner's are given back. */
static void cards_depart(const struct module *owner)
{
	struct kipsec_card *card;
	unsigned long end;
	bool any = false;

	lockdep_assert_held(&cards_lock);
	list_for_each_entry(card, &cards, all)
		if (card->owner == owner) {
			spin_lock_bh(&card->lock);
			WRITE_ONCE(card->stats.out, true);
			spin_unlock_bh(&card->lock);
			any = true;
		}
	if (!any)
		return;
	synchronize_rcu();	/* those who are at giving it a packet */
	end = jiffies + HZ + msecs_to_jiffies(READ_ONCE(card_timeout));
	list_for_each_entry(card, &cards, all) {
		if (card->owner != owner)
			continue;
		/* What is lost in the card may be in use there for ever. */
		if (card_idle(card, end))
			crypto_free_aead(card->tfm);
		card->tfm = NULL;
	}
}

void kipsec_card_depart(const void *dev, const struct module *owner)
{
	struct departure *d = kmalloc(sizeof(*d), GFP_KERNEL);

	mutex_lock(&cards_lock);
	if (d) {
		d->dev = dev;
		d->owner = owner;
		list_add(&d->link, &departures);
	}
	cards_depart(owner);
	mutex_unlock(&cards_lock);
}

void kipsec_card_departed(const void *dev)
{
	struct departure *d, *tmp;

	mutex_lock(&cards_lock);
	list_for_each_entry_safe(d, tmp, &departures, link)
		if (!dev || d->dev == dev) {
			list_del(&d->link);
			kfree(d);
		}
	mutex_unlock(&cards_lock);
}

static bool card_departs(const struct module *owner)
{
	struct departure *d;

	lockdep_assert_held(&cards_lock);
	list_for_each_entry(d, &departures, link)
		if (d->owner == owner)
			return true;
	return false;
}

/* --- beginning and end ----------------------------------------------------- */

int kipsec_card_add(struct kipsec_lane *lane, struct crypto_aead *tfm,
		    struct module *owner, const struct kipsec_key *enc,
		    const struct kipsec_key *auth)
{
	struct kipsec_card *card = kzalloc(sizeof(*card), GFP_KERNEL);
	int err = -ENODEV;

	if (!card)
		return -ENOMEM;
	refcount_set(&card->refs, 1);
	spin_lock_init(&card->lock);
	INIT_LIST_HEAD(&card->flying);
	INIT_WORK(&card->free_work, card_free_work);
	timer_setup(&card->watch, card_watch, 0);
	card->lane = lane;
	card->tfm = tfm;
	strscpy(card->name, crypto_tfm_alg_driver_name(crypto_aead_tfm(tfm)),
		sizeof(card->name));
	card->stats.driver = card->name;
	card->owner = owner;
	mutex_lock(&cards_lock);
	/* Only the key brings it to the device. */
	if (!card_departs(owner))
		err = kipsec_engine_key(tfm, enc, auth);
	if (!err) {
		lane->card = card;
		list_add_tail(&card->all, &cards);
	}
	mutex_unlock(&cards_lock);
	if (err)
		kfree(card);
	return err;
}

void kipsec_card_remove(struct kipsec_lane *lane)
{
	struct kipsec_card *card = lane->card;

	timer_delete_sync(&card->watch);
	mutex_lock(&cards_lock);
	card->lane = NULL;
	card_put(card);
	mutex_unlock(&cards_lock);
}

void kipsec_card_stats(struct kipsec_card *card,
		       struct kipsec_engine_stats *stats)
{
	spin_lock_bh(&card->lock);
	*stats = card->stats;
	spin_unlock_bh(&card->lock);
}

int kipsec_card_start(void)
{
	free_wq = alloc_workqueue("kipsec_card", WQ_UNBOUND, 0);
	return free_wq ? 0 : -ENOMEM;
}

void kipsec_card_stop(void)
{
	struct card_request *cr;

	/*
	 * What is abandoned now may never be answered. What the card will call
	 * must not be ours then. Both functions get the same argument, so that
	 * there is but one pointer to change.
	 */
	spin_lock_bh(&abandoned_lock);
	list_for_each_entry(cr, &abandoned, link)
		WRITE_ONCE(cr->req.base.complete, crypto_req_done);
	spin_unlock_bh(&abandoned_lock);
	synchronize_rcu();	/* those that had begun to call ours */
	destroy_workqueue(free_wq);
}
