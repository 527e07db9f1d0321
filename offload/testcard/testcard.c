// SPDX-License-Identifier: GPL-2.0
/*
 * testcard.c - a card that misbehaves on command.
 *
 * A module of its own, for tests: it registers real algorithms with the crypto
 * API, flagged as those of a card are, and is told by debugfs how to misbehave.
 * /sys/kernel/debug/testcard/ has
 *
 *	delay at_once batch batch_wait shuffle fail fail_errno depth refuse
 *	refuse_errno corrupt badmsg stall	knobs: see struct card_knobs
 *	release		write 0: what is held is answered, as it comes out;
 *			an errno: with this error
 *	present		write 0: the card is taken out, 1: it is put in
 *	counters	see struct card_counters; and transforms in use
 *	reset		write 1: count requests, and so each n-th one, from 0
 *
 * It has a device, too, of the platform bus, that can be unbound.
 */
#include <linux/debugfs.h>
#include <linux/err.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/seq_file.h>

#include "card.h"

static int priority = 10000;
module_param(priority, int, 0444);
MODULE_PARM_DESC(priority, "of the algorithms; 1: nobody gets them but by name");

static bool hardware = true;
module_param(hardware, bool, 0444);
MODULE_PARM_DESC(hardware, "flagged as a card; 0: as software that answers later");

struct card_knobs card_knobs = {
	.batch_wait	= 20,
	.fail_errno	= EIO,
	.refuse_errno	= EBUSY,
};

static struct dentry *dir;

static int knob_get(void *data, u64 *val)
{
	*val = READ_ONCE(*(u32 *)data);
	return 0;
}

static int knob_set(void *data, u64 val)
{
	if (val > INT_MAX)
		return -EINVAL;
	WRITE_ONCE(*(u32 *)data, val);
	card_kick();
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(knob_fops, knob_get, knob_set, "%llu\n");

static int errno_set(void *data, u64 val)
{
	return val && val <= MAX_ERRNO ? knob_set(data, val) : -EINVAL;
}
DEFINE_DEBUGFS_ATTRIBUTE(errno_fops, knob_get, errno_set, "%llu\n");

static int release_set(void *data, u64 val)
{
	if (val > MAX_ERRNO)
		return -EINVAL;
	card_release(-(int)val);
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(release_fops, NULL, release_set, "%llu\n");

static int present_get(void *data, u64 *val)
{
	*val = card_present();
	return 0;
}

static int present_set(void *data, u64 val)
{
	return card_set_present(val);
}
DEFINE_DEBUGFS_ATTRIBUTE(present_fops, present_get, present_set, "%llu\n");

static int reset_set(void *data, u64 val)
{
	card_count(true);
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(reset_fops, NULL, reset_set, "%llu\n");

static int counters_show(struct seq_file *m, void *v)
{
	struct card_counters c = card_count(false);

	seq_printf(m, "requests %llu\n", c.requests);
	seq_printf(m, "bytes %llu\n", c.bytes);
	seq_printf(m, "refused %llu\n", c.refused);
	seq_printf(m, "answers %llu\n", c.answers);
	seq_printf(m, "errors %llu\n", c.errors);
	seq_printf(m, "corrupted %llu\n", c.corrupted);
	seq_printf(m, "in_flight %llu\n", c.in_flight);
	seq_printf(m, "transforms %u\n", card_transforms());
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(counters);

#define KNOB(name, kind)	{ #name, &card_knobs.name, &kind ## _fops }

static const struct {
	const char			*name;
	u32				*knob;
	const struct file_operations	*fops;
} files[] = {
	KNOB(delay, knob),
	KNOB(at_once, knob),
	KNOB(batch, knob),
	KNOB(batch_wait, knob),
	KNOB(shuffle, knob),
	KNOB(fail, knob),
	KNOB(fail_errno, errno),
	KNOB(depth, knob),
	KNOB(refuse, knob),
	KNOB(refuse_errno, errno),
	KNOB(corrupt, knob),
	KNOB(badmsg, knob),
	KNOB(stall, knob),
	{ "release", NULL, &release_fops },
	{ "present", NULL, &present_fops },
	{ "reset", NULL, &reset_fops },
	{ "counters", NULL, &counters_fops },
};

static struct platform_driver driver = { .driver.name = "testcard" };
static struct platform_device *device;

static int device_start(void)
{
	int err = platform_driver_register(&driver);

	if (err)
		return err;
	device = platform_device_register_simple("testcard", PLATFORM_DEVID_NONE,
						 NULL, 0);
	err = PTR_ERR_OR_ZERO(device);
	if (err)
		platform_driver_unregister(&driver);
	return err;
}

static void device_stop(void)
{
	platform_device_unregister(device);
	platform_driver_unregister(&driver);
}

static int __init card_start(void)
{
	unsigned int i;
	int err;

	err = device_start();
	if (err)
		return err;
	err = card_queue_start();
	if (err)
		goto no_queue;
	err = card_algs_start(priority, hardware);
	if (err)
		goto no_algs;
	dir = debugfs_create_dir("testcard", NULL);
	for (i = 0; i < ARRAY_SIZE(files); i++)
		debugfs_create_file(files[i].name, 0600, dir, files[i].knob,
				    files[i].fops);
	return 0;

no_algs:
	card_queue_stop();
no_queue:
	device_stop();
	return err;
}

static void __exit card_stop(void)
{
	debugfs_remove_recursive(dir);
	card_algs_stop();
	card_queue_stop();
	device_stop();
}

module_init(card_start);
module_exit(card_stop);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("a crypto card that misbehaves on command, for tests");
