// SPDX-License-Identifier: GPL-2.0
/*
 * unplug.c - devices with ciphers that are taken out of the machine (floor 3).
 *
 * A driver that loses its device unregisters its algorithms, but transforms of
 * them that are in use stay, point to memory that is free, and bring the kernel
 * down with the next request; what was under way is never answered. The crypto
 * API tells nobody beforehand. The bus does: it calls us while the driver still
 * has the device, whether somebody pulled it, unbound it, or shuts down.
 *
 * A virtio device is a child of the PCI device that is pulled, so the drivers of
 * children count as well.
 */
#include <linux/device.h>
#include <linux/pci.h>
#include <linux/platform_device.h>

#include "card.h"
#include "unplug.h"

static int driver_departs(struct device *dev, void *pulled)
{
	if (dev->driver && dev->driver->owner)
		kipsec_card_depart(pulled, dev->driver->owner);
	return 0;
}

/* The device is locked, and stays bound until the first call returns. */
static int unbinding(struct notifier_block *nb, unsigned long event, void *data)
{
	struct device *dev = data;

	if (event == BUS_NOTIFY_UNBIND_DRIVER) {
		driver_departs(dev, dev);
		device_for_each_child(dev, dev, driver_departs);
	} else if (event == BUS_NOTIFY_UNBOUND_DRIVER) {
		kipsec_card_departed(dev);
	}
	return NOTIFY_DONE;
}

/* A block stands in one list only, hence another for PCI. */
static struct notifier_block on_platform = { .notifier_call = unbinding };

static int pci_watch(bool on)
{
#if IS_ENABLED(CONFIG_PCI)
	static struct notifier_block on_pci = { .notifier_call = unbinding };

	return on ? bus_register_notifier(&pci_bus_type, &on_pci) :
		    bus_unregister_notifier(&pci_bus_type, &on_pci);
#else
	return 0;
#endif
}

int kipsec_unplug_start(void)
{
	int err = pci_watch(true);

	if (err)
		return err;
	err = bus_register_notifier(&platform_bus_type, &on_platform);
	if (err)
		pci_watch(false);
	return err;
}

void kipsec_unplug_stop(void)
{
	bus_unregister_notifier(&platform_bus_type, &on_platform);
	pci_watch(false);
	kipsec_card_departed(NULL);	/* whose end we shall not see */
}
