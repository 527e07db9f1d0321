# SPDX-License-Identifier: GPL-2.0
"""Allocations that fail, on kernels with fault injection."""
import os

from ktap import Skip


def failslab(**knobs):
    """Set knobs of failslab, with _ for -; Skip where there are none."""
    for name, value in knobs.items():
        path = "/sys/kernel/debug/failslab/" + name.replace("_", "-")
        if not os.path.exists(path):
            raise Skip("this kernel has no fault injection")
        with open(path, "w") as f:
            f.write(str(value))


class Nth:
    """A block in which the n-th allocation of this thread fails; was there one?"""

    def __init__(self, n):
        self.n = n

    def __enter__(self):
        # Before it counts: to open a file takes allocations too.
        self.fd = os.open("/proc/thread-self/fail-nth", os.O_RDWR)
        os.write(self.fd, b"%d" % self.n)
        return self

    def __exit__(self, *exc):
        self.failed = os.pread(self.fd, 16, 0).strip() == b"0"
        os.write(self.fd, b"0")
        os.close(self.fd)
        return False
