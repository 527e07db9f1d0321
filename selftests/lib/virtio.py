# SPDX-License-Identifier: GPL-2.0
"""The virtio-crypto cards of a virtual machine, and QEMU's monitor to unplug them.

scripts/vm gives each machine two cards, vc0 and vc1, whose driver nobody loads, and
a port named "monitor" where QEMU speaks QMP: a JSON object a line. A card offers
cbc(aes) as driver virtio_crypto_aes_cbc, with a priority at which it is used only
by name.
"""
import glob
import json
import os
import select
import subprocess
import time

from card import drivers
from ktap import Failed, Skip
from netns import unloads, wait_for

DRIVER = "virtio_crypto_aes_cbc"


class Monitor:
    """QEMU's monitor."""

    def __init__(self):
        self.fd = os.open(self._port(), os.O_RDWR | os.O_CLOEXEC)
        self.text, self.number, self.events = b"", 0, []
        # Once for each machine; after that it is an unknown command.
        self._ask("qmp_capabilities", {})

    @staticmethod
    def _port():
        for path in glob.glob("/sys/class/virtio-ports/*"):
            with open(path + "/name") as f:
                if f.read().strip() == "monitor":
                    return "/dev/" + os.path.basename(path)
        raise Skip("no port to QEMU's monitor in this machine")

    def _read(self, timeout):
        """The next object that it says, or None."""
        end = time.monotonic() + timeout
        while b"\n" not in self.text:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.fd], [], [], left)[0]:
                return None
            self.text += os.read(self.fd, 1 << 16)
        line, self.text = self.text.split(b"\n", 1)
        return json.loads(line)

    def _ask(self, command, arguments):
        self.number += 1
        ident = "%d-%d" % (os.getpid(), self.number)
        text = json.dumps({"execute": command, "arguments": arguments, "id": ident})
        os.write(self.fd, text.encode() + b"\n")
        while True:
            said = self._read(20)
            if said is None:
                raise Failed("no answer of QEMU's monitor to " + command)
            if said.get("id") == ident:
                return said
            if "event" in said:
                self.events.append(said)

    def __call__(self, command, **arguments):
        """A command of QMP; _ in the names of its arguments stand for -."""
        said = self._ask(command, {k.replace("_", "-"): v for k, v in arguments.items()})
        if "error" in said:
            raise Failed("QEMU, %s: %s" % (command, said["error"]["desc"]))
        return said["return"]

    def await_event(self, name, timeout=20, **data):
        """Take the event of this name and these data, which may have come already."""
        end = time.monotonic() + timeout
        while True:
            for event in self.events:
                if event["event"] == name and data.items() <= event.get("data", {}).items():
                    self.events.remove(event)
                    return event
            said = self._read(max(end - time.monotonic(), 0))
            if said is None:
                raise Failed("QEMU never said %s %s" % (name, data))
            if "event" in said:
                self.events.append(said)

    def close(self):
        os.close(self.fd)


class Cards:
    """Both cards, their driver loaded, for a block; at its end all is as it was."""

    def __enter__(self):
        self.monitor = Monitor()
        self.plugged = {0, 1}
        p = subprocess.run(["modprobe", "virtio_crypto"], stderr=subprocess.PIPE, text=True)
        if p.returncode:
            raise Skip("virtio_crypto: " + p.stderr.strip())
        if not wait_for(self.there):
            raise Failed("no %s in /proc/crypto" % DRIVER)
        return self

    def __exit__(self, *exc):
        for n in {0, 1} - self.plugged:
            self.plug(n)
        self.monitor.close()
        # An SA that was deleted lets go of its driver a little later.
        if not unloads("virtio_crypto"):
            raise Failed("virtio_crypto is still in use")

    @staticmethod
    def there():
        """Does any card offer its cipher?"""
        return DRIVER in drivers("cbc(aes)")

    @staticmethod
    def count():
        """Cards that the driver runs."""
        return len(glob.glob("/sys/bus/virtio/drivers/virtio_crypto/virtio*"))

    def unplug(self, n):
        """Take card n out; answers when QEMU says that it is gone."""
        self.monitor("device_del", id="vc%d" % n)
        self.monitor.await_event("DEVICE_DELETED", device="vc%d" % n)
        self.plugged.remove(n)

    def plug(self, n):
        """Put it in again; answers when the driver runs it."""
        before = self.count()
        self.monitor("device_add", driver="virtio-crypto-pci", id="vc%d" % n,
                     cryptodev="crypto%d" % n)
        self.plugged.add(n)
        if not wait_for(lambda: self.count() > before and self.there()):
            raise Failed("card %d does not come back" % n)
