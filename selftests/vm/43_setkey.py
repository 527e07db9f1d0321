#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: full
#
# setkey against a kernel; what it does without one is tested in tools/setkey/tests.
# The kernel's errors with their places, each command about SAs and policies, what
# -D, -DP, -l, -v and -x show, names with several addresses, who may.
import os
import re
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from ipsec import SETKEY                                        # noqa: E402
from ktap import check, equal, run                              # noqa: E402
from netns import wait_for                                      # noqa: E402

HOSTS = "10.0.0.1 10.0.0.2"
KEY = "00112233445566778899aabbccddeeff"


def setkey(*args, text="", before=(), after=None):
    """Exit status, what it printed, what it complained about."""
    p = subprocess.run([*before, SETKEY, *args], input=text, capture_output=True, text=True,
                       timeout=30, check=False, preexec_fn=after)
    return p.returncode, p.stdout, p.stderr


def good(text, *args):
    """Commands that all succeed; what they print."""
    status, out, err = setkey(*args, "-e", text)
    equal((status, err), (0, ""), "exit status and complaints of %s" % text)
    return out


def shown(*args):
    status, out, err = setkey(*args)
    equal((status, err), (0, ""), "exit status and complaints")
    return out


def spis():
    return sorted(re.findall(r"spi=(\d+)\(", shown("-D")))


def fresh():
    good("flush; spdflush;")


def failures(tap):
    with tap.case("what the kernel refuses: where, what, why; the rest is done"):
        fresh()
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as f:
            f.write("add %s esp 300 -E null;\n"
                    "  add %s esp 300 -E null;\n"
                    "spdadd %s any -P out none; spdadd %s any -P out none;\n"
                    "delete %s esp 301; get %s ah 300;\n"
                    "spddelete %s any -P in;\n"
                    "add %s esp 302 -E null;\n" % (7 * (HOSTS,) + (HOSTS,)))
            f.flush()
            status, out, err = setkey("-k", "-f", f.name)
        equal((status, out), (1, ""), "exit status and output")
        equal(err.splitlines(), [f.name + line for line in (
            ":2:3: add: File exists: the destination has an SA with this protocol and SPI",
            ":3:43: spdadd: File exists: there is a policy with this selector, "
            "spdupdate replaces it",
            ":4:1: delete: No such process: there is no such SA",
            ":4:35: get: No such process: there is no such SA",
            ":5:1: spddelete: No entry")], "complaints")
        equal(spis(), ["300", "302"], "SPIs")
    with tap.case("an algorithm that the kernel does not have"):
        status, _, err = setkey("-e", "add %s ah 303 -A keyed-md5 0x%s;" % (HOSTS, KEY))
        equal((status, err), (1, "<argument>:1:33: the kernel does not have the algorithm "
                                 "keyed-md5\nsetkey: <argument>: stopped here, what follows "
                                 "has not been done\n"))
    with tap.case("who may: root, but anybody with -n"):
        def nobody():
            os.setgid(65534)
            os.setuid(65534)
        status, _, err = setkey("-D", after=nobody)
        equal((status, err), (1, "setkey: cannot open a PF_KEY socket: Operation not permitted\n"))
        equal(setkey("-n", "-e", "flush;", after=nobody), (0, "", ""))
        check(spis(), "the SAs are gone")


def associations(tap):
    with tap.case("add, get, getspi, update, delete, deleteall, flush by protocol"):
        fresh()
        good("add %s esp 300 -m tunnel -u 7 -r 64 -lh 600 -ls 500 -bh 9000 -bs 8000"
             " -E aes-cbc 0x%s;"
             "add %s ah 300 -A null; add %s esp 301 -E null;"
             "add 10.0.0.2 10.0.0.1 esp 302 -E null; getspi %s esp 400;"
             % (HOSTS, KEY, HOSTS, HOSTS, HOSTS))
        got = good("get %s esp 300;" % HOSTS)
        for part in ("10.0.0.1 10.0.0.2 \n\tesp mode=tunnel spi=300(0x0000012c) "
                     "reqid=7(0x00000007)\n", "\tE: aes-cbc  00112233 44556677",
                     "replay=64", "state=mature", "hard: 600(s)\tsoft: 500(s)",
                     "hard: 9000(bytes)\tsoft: 8000(bytes)"):
            check(part in got, "not in the answer to get: %r\n%s" % (part, got))
        check("state=larval" in good("get %s esp 400;" % HOSTS), "getspi")
        good("update %s esp 400 -lh 77 -E null;" % HOSTS)
        check("hard: 77(s)" in good("get %s esp 400;" % HOSTS), "update")
        good("delete %s ah 300; deleteall %s esp;" % (HOSTS, HOSTS))
        equal(spis(), ["302"], "SPIs")
        good("add %s ah 5 -A null; flush ah;" % HOSTS)
        equal(spis(), ["302"], "SPIs")
        equal(good("flush; dump; spdflush; spddump;"), "No SAD entries.\nNo SPD entries.\n")
    with tap.case("ESP in UDP, IPComp, extended numbers, ports: as -D and -Dp show them"):
        fresh()
        good("add 10.0.0.1[4501] 10.0.0.2 esp-udp 300 -E null;"
             "add %s ipcomp 0x300 -C deflate -R; add %s esp 301 -r 1024 -esn -E null"
             " -A hmac-md5 0x%s;" % (HOSTS, HOSTS, KEY))
        got = shown("-D")
        for part in ("10.0.0.1[4501] 10.0.0.2[4500] \n\tesp-udp mode=any spi=300",
                     "ipcomp mode=any spi=768", "\tC: deflate", "replay=1024", "\n\tesn\n"):
            check(part in got, "not shown: %r\n%s" % (part, got))
        check("10.0.0.1[0][4501] 10.0.0.2[0][4500] " in shown("-Dp"), "ports")
        check("state=dead" not in shown("-Da"), "dead SAs")
    with tap.case("-l: a line for each SA, again and again"):
        p = subprocess.Popen([SETKEY, "-Dl"], stdout=subprocess.PIPE, text=True)
        lines = [p.stdout.readline() for _ in range(7)]
        p.send_signal(signal.SIGINT)
        p.wait()
        p.stdout.close()
        equal(lines[0], "time p   s spi      ltime   src -> dst\n")
        equal([re.sub(r"^\d{4} | *\d+/", "", line) for line in lines[1:4]],
              [re.sub(r"^\d{4} | *\d+/", "", line) for line in lines[4:7]], "second round")
        check("esp M 0000012c" in lines[1], lines[1])


def policies(tap):
    with tap.case("spdadd, spdupdate, spddelete; priorities and selectors as -DP shows them"):
        fresh()
        good("spdadd 10.0.0.0/24[53] 10.1.0.0/16[any] udp -P out prio high + 10 ipsec"
             " esp/tunnel/10.0.0.1-10.0.0.2/unique:7 ah/transport//use;"
             "spdadd ::/0 ::/0 icmp6 135,0 -P out prio low none;"
             "spdadd %s gre 65537 -P out prio def - 3 discard;" % HOSTS)
        got = shown("-DP")
        for part in ("10.0.0.0/24[53] 10.1.0.0/16[any] udp\n\tout prio high + 10 ipsec\n"
                     "\tesp/tunnel/10.0.0.1-10.0.0.2/unique:7\n\tah/transport//use\n",
                     "::/0 ::/0 ipv6-icmp 135,0\n\tout prio low none\n",
                     "10.0.0.1 10.0.0.2 gre 65537\n\tout prio def - 3 discard\n"):
            check(part in got, "not shown: %r\n%s" % (part, got))
        good("spdupdate ::/0 ::/0 icmp6 135,0 -P out discard;"
             "spddelete %s gre 65537 -P out;" % HOSTS)
        got = shown("-DP")
        check("135,0\n\tout prio def discard\n" in got and "gre" not in got, got)
        equal(shown("-FP") + shown("-DP"), "No SPD entries.\n", "after -FP")
    with tap.case("a policy in has a copy for forwarded packets, unless -k"):
        fresh()
        add = "spdadd %s any -P in ipsec esp/transport//unique:7;" % HOSTS
        good(add, "-k")
        equal(re.findall(r"\t(in|fwd) |//(\S+)\n", shown("-DP")), [("in", ""), ("", "unique:7")])
        good("spddelete %s any -P in;" % HOSTS, "-k")
        good(add)
        equal(re.findall(r"\t(in|fwd) |//(\S+)\n", shown("-DP")),
              [("in", ""), ("", "unique:7"), ("fwd", ""), ("", "require")])
        good("spddelete %s any -P in;" % HOSTS)
        equal(shown("-DP"), "No SPD entries.\n")


def names(tap):
    with tempfile.TemporaryDirectory() as d:
        with open(d + "/hosts", "w", encoding="ascii") as f:
            f.write("10.0.0.1 one\n10.0.0.2 many\n10.0.0.3 many\nfd00::1 one\nfd00::2 many\n")
        own_hosts = ("unshare", "-m", "sh", "-c", "mount --bind %s/hosts /etc/hosts && exec \"$@\""
                     % d, "-")
        with tap.case("a name with several addresses: each pair of a family"):
            fresh()
            equal(setkey("-e", "add one many esp 300 -E null;", before=own_hosts), (0, "", ""))
            equal(sorted(re.findall(r"^(\S+ \S+) $", shown("-D"), re.M)),
                  ["10.0.0.1 10.0.0.2", "10.0.0.1 10.0.0.3", "fd00::1 fd00::2"])
            equal(setkey("-e", "deleteall -6 one many esp;", before=own_hosts), (0, "", ""))
            check("fd00" not in shown("-D"), "left over")
        with tap.case("in a policy it is an error"):
            status, _, err = setkey("-e", "spdadd -4 one many any -P out none;", before=own_hosts)
            check(status == 1 and err.startswith("<argument>:1:15: spdadd: multiple address"), err)
            equal(setkey("-e", "spdadd -4 one one any -P out none;", before=own_hosts),
                  (0, "", ""))


class Monitor:
    """setkey -x, from its own PROMISC on."""

    def __init__(self, *args):
        self.file = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen([SETKEY, *args], stdout=self.file)

    def text(self):
        self.file.seek(0)
        return self.file.read()

    def __enter__(self):
        wait_for(lambda: "type=11" in self.text())
        return self

    def sees(self, part):
        check(wait_for(lambda: part in self.text()), "not seen: %s\n%s" % (part, self.text()))

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.file.close()


def watching(tap):
    with tap.case("-x: everybody's messages with the time of day, and no key"):
        fresh()
        with Monitor("-x") as m:
            good("add %s esp 300 -E aes-cbc 0x%s; flush;" % (HOSTS, KEY))
            m.sees("type=9")
            text = m.text()
            check(re.search(r"^\d\d:\d\d:\d\d\.\d{6} \nsadb_msg", text, re.M), text)
            check("spi=300" in text and "00112233" not in text, text)
            check("00000000: " not in text, "hexadecimal")
    for args in (("-xh",), ("-Hx",), ("-xx", "-H")):
        with tap.case(" ".join(args) + ": in hexadecimal as well"):
            with Monitor(*args) as m:
                good("flush;")
                m.sees("type=9")
                m.sees("00000000: 02 09 00 00 02 00 00 00 ")
                stamp = r"^\d{10,}\.\d{6} $" if "-xx" in args else r"^\d\d:\d\d:"
                check(re.search(stamp, m.text(), re.M), m.text())
    with tap.case("-v: what is sent, and the answer"):
        text = good("flush;", "-v")
        equal(re.findall(r"type=(\d+) errno=(\d+)", text), [("9", "0")] * 2)


run(failures, associations, policies, names, watching)
