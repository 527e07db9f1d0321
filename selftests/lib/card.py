# SPDX-License-Identifier: GPL-2.0
"""The test card (offload/testcard): AES-GCM that answers late, or with errors."""
import os
import subprocess

from ktap import Failed, Skip
from netns import wait_for

KO = os.path.join(os.environ.get("KIPSEC_MODDIR", ""), "testcard.ko")
PARAMETERS = "/sys/module/testcard/parameters/"


class Card:
    """Loaded for a block; SAs with AES-GCM that are made in it go through the card."""

    def __enter__(self):
        if not os.path.exists(KO):
            raise Skip("testcard.ko is not built")
        p = subprocess.run(["insmod", KO], stderr=subprocess.PIPE, text=True)
        if p.returncode:
            raise Failed("testcard: " + p.stderr)
        return self

    def __exit__(self, *exc):
        self.does()
        # An SA that was deleted lets go of its driver a little later.
        if not wait_for(lambda: subprocess.run(["rmmod", "testcard"],
                                               stderr=subprocess.DEVNULL).returncode == 0, 10.0):
            raise Failed("testcard is still in use")

    def does(self, late=0, delay=0, fail=0):
        for name, value in (("late", late), ("delay", delay), ("fail", fail)):
            with open(PARAMETERS + name, "w") as f:
                f.write(str(value))
