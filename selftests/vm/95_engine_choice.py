#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: full
#
# Which driver of the crypto API serves an SA: by priority, by a driver's name
# (PF_KEY, sysctl, parameter of the module), and that one SA's wish is no other
# one's fate. xfrm is the peer of each. The last test of a run: what the crypto API
# has made for a name (pcrypt, say) stays, and serves xfrm from then on.
#
#	[k: kipsec] 10.0.0.1 ---- wire ---- 10.0.0.2 [x: xfrm]
import errno
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import ipsec                                                    # noqa: E402
import pfkey as p                                               # noqa: E402
from ipsec import SA, Kipsec, Moves, Policy, Xfrm, alg, auth, transport     # noqa: E402
from ktap import Skip, check, equal, run                        # noqa: E402
from netns import pair                                          # noqa: E402
from traffic import Ping                                        # noqa: E402

K, X = "10.0.0.1", "10.0.0.2"
OUT, IN = 0x4901, 0x4902
CBC, CBC256, GCM = ipsec.AES_SHA1, (alg("aes-cbc", 128), auth("hmac-sha256")), ipsec.GCM
PARAMETER = "/sys/module/kipsec/parameters/engine"
PINGS = 3
SIZE = 56


def registered():
    """(name, driver, priority) of all that is in the crypto API."""
    with open("/proc/crypto") as f:
        for block in f.read().split("\n\n"):
            rows = dict(map(str.strip, line.split(":", 1)) for line in block.splitlines() if line)
            if rows:
                yield rows["name"], rows["driver"], int(rows["priority"])


def slowest(name):
    """Of the drivers of an algorithm."""
    found = sorted((priority, driver) for n, driver, priority in registered() if n == name)
    if not found:
        raise Skip("no %s here" % name)
    return found[0][1]


class Bench:
    def __init__(self, lab):
        self.lab, self.k, self.x = lab, Kipsec(lab["k"]), Xfrm(lab["x"])
        for end, own, peer in ((self.k, K, X), (self.x, X, K)):
            end.add(Policy(own, peer, "out", requests=[transport()]),
                    Policy(peer, own, "in", requests=[transport()]))

    @staticmethod
    def sas(algs, extra="", **more):
        return [SA(K, X, OUT, algs, extra=extra, **more), SA(X, K, IN, algs, extra=extra, **more)]

    def load(self, algs, extra="", **more):
        """What setkey says."""
        return self.k.replace_sas(*self.sas(algs, extra, **more))

    def engines(self):
        """{SPI: (driver, requests, bytes, in flight, errors, fallbacks)}"""
        rows = [line.split() for line in self.lab["k"].read("/proc/net/kipsec_engines").splitlines()]
        return {int(row[3], 16): (row[4], *map(int, row[5:])) for row in rows}

    def driver(self, algs, extra="", **more):
        equal(self.load(algs, extra, **more), "", "what setkey says")
        drivers = {row[0] for row in self.engines().values()}
        equal(len(drivers), 1, "drivers of both directions: %s" % drivers)
        return drivers.pop()

    def exchange(self, algs, extra="", **more):
        """Echoes with xfrm; the driver that served them."""
        driver = self.driver(algs, extra, **more)
        equal(self.x.replace_sas(*self.sas(algs, **more)), "", "what ip says")
        ping = Ping(self.lab["k"], K)
        with Moves(self.k, OutProtected=PINGS, InProtected=PINGS):
            for _ in range(PINGS):
                check(ping(X, SIZE) is not None, "no answer")
        ping.close()
        row = (driver, PINGS, PINGS * (SIZE + 8), 0, 0, 0)
        equal(self.engines(), {OUT: row, IN: row}, "what the engines have done")
        return driver

    def sysctl(self, name, value):
        return self.lab["k"].sysctl("net/kipsec/engine/" + name, value + "\n")


def halves(driver):
    """authenc(a(b),c(d)) in two."""
    inner, depth = driver[driver.index("(") + 1:-1], 0
    for n, c in enumerate(inner):
        depth += (c == "(") - (c == ")")
        if c == "," and not depth:
            return inner[:n], inner[n + 1:]
    raise ValueError(driver)


def names(best):
    """(what, algorithms, name that is asked for, driver that serves)"""
    hash_, cipher = halves(best[CBC])
    esn_hash, esn_cipher = halves(best["esn"])
    aes, sha1 = "cbc(%s)" % slowest("aes"), "hmac(%s)" % slowest("sha1")
    whole = "authenc(%s,%s)" % (sha1, aes)
    return [
        ("a cipher's driver", CBC, aes, "authenc(%s,%s)" % (hash_, aes), {}),
        ("the best cipher's driver", CBC, cipher, best[CBC], {}),
        ("a hash's driver", CBC, sha1, "authenc(%s,%s)" % (sha1, cipher), {}),
        ("both", CBC, whole, whole, {}),
        ("a cipher's driver, 64 bits", CBC, aes, "authencesn(%s,%s)" % (esn_hash, aes),
         {"esn": True}),
        ("an AEAD's driver", GCM, "rfc4106(gcm_base(ctr(%s),%s))" % (
            slowest("aes"), slowest("ghash")), None, {}),
        ("an AEAD on many processors", GCM, "pcrypt(%s)" % best[GCM], None, {}),
        ("authenc() on many processors", CBC, "pcrypt(%s)" % best[CBC], None, {}),
    ]


def by_name(tap, b, best):
    for what, algs, name, served, more in names(best):
        with tap.case("by name: " + what):
            served = served or name
            equal(b.exchange(algs, "-driver " + name, **more), served, "driver")
        with tap.case("and by priority it is what it was: " + what):
            equal(b.driver(algs, **more), best["esn" if more else algs], "driver")
    with tap.case("by name: the hash of AH"):
        sha1 = "hmac(%s)" % slowest("sha1")
        driver = b.driver((None, auth("hmac-sha1")), "-driver " + sha1, proto="ah")
        equal(halves(driver)[0], sha1, "hash of " + driver)


def refused(tap, b, best):
    aes, sha1 = "cbc(%s)" % slowest("aes"), "hmac(%s)" % slowest("sha1")
    b.load(GCM)
    for what, algs, name in (
            ("of no driver", CBC, "nosuch"), ("of no driver, an AEAD", GCM, "nosuch"),
            ("of an algorithm", CBC, "cbc(aes)"), ("of an AEAD", GCM, "rfc4106(gcm(aes))"),
            ("of another cipher's driver", GCM, halves(best[CBC])[1]),
            ("of another hash's driver", CBC256, sha1),
            ("half of an algorithm", CBC, "authenc(hmac(sha1),%s)" % aes),
            ("half of an algorithm, the other", CBC, "authenc(%s,cbc(aes))" % sha1),
            ("the other way round", CBC, "authenc(%s,%s)" % (aes, sha1)),
            ("of a wrapped algorithm", GCM, "pcrypt(rfc4106(gcm(aes)))"),
            ("of a wrapper with nothing in it", GCM, "pcrypt("),
            ("of wrappers with nothing in them", CBC, "cryptd(pcrypt(,)"),
            ("of authenc with nothing in it", CBC, "authenc("),
            ("of a block cipher", CBC, slowest("aes"))):
        with tap.case("a name %s: %s" % (what, name)):
            said = b.k.setkey(b.k.sa_line(SA(K, X, 0x4910, algs, extra="-driver " + name)), False)
            check("no such driver, or it does not serve these algorithms" in said,
                  "setkey says: %s" % said)
            equal(b.engines().keys(), {OUT, IN}, "SAs that are there")
    for algs in (CBC, GCM):
        with tap.case("after all that, by priority: " + algs[0].name):
            equal(b.exchange(algs), best[algs], "driver")
    with b.lab["k"], p.Key() as key:
        for what, name, error in (("127 characters", "x" * 127, errno.ENOENT),
                                  ("128 characters", "x" * 128, errno.EINVAL),
                                  ("a blank", "cbc aes", errno.EINVAL),
                                  ("a slash", "../aes", errno.EINVAL),
                                  ("an empty one", "", 0)):
            with tap.case("a name of %s" % what):
                answer = key.ask(p.ADD, p.ESP, p.sa(0x4920, enc=p.GCM16), *p.ends(K, X),
                                 p.key(p.KEY_ENC, bytes(20)), p.kipsec_engine(name))
                equal(answer.errno, error, "errno")
        with tap.case("a name that does not end"):
            wild = p.ext(p.KIPSEC_ENGINE, bytes(36) + b"12345678")
            equal(key.ask(p.ADD, p.ESP, p.sa(0x4921, enc=p.GCM16), *p.ends(K, X),
                          p.key(p.KEY_ENC, bytes(20)), wild).errno, errno.EINVAL, "errno")


def write_parameter(value):
    with open(PARAMETER, "w") as f:
        f.write(value + "\n")


def refuses(function, *args):
    try:
        function(*args)
    except (OSError, RuntimeError) as e:
        check("nvalid argument" in str(e), "it says: %s" % e)
        return
    check(False, "%s was accepted" % (args,))


def knobs(tap, b, best):
    hash_, cipher = halves(best[CBC])
    aes, sha1 = "cbc(%s)" % slowest("aes"), "hmac(%s)" % slowest("sha1")
    with tap.case("sysctl: a cipher's driver"):
        b.sysctl("aes-cbc", aes)
        equal(b.lab["k"].read("/proc/sys/net/kipsec/engine/aes-cbc"), aes + "\n", "sysctl")
        equal(b.lab["x"].read("/proc/sys/net/kipsec/engine/aes-cbc"), "\n", "elsewhere")
        equal(b.exchange(CBC), "authenc(%s,%s)" % (hash_, aes), "driver")
        equal(b.driver(GCM), best[GCM], "of another algorithm")
    with tap.case("sysctl: and a hash's driver"):
        b.sysctl("hmac-sha1", sha1)
        with Moves(b.k):
            equal(b.driver(CBC), "authenc(%s,%s)" % (sha1, aes), "driver")
    with tap.case("the SA's own wish comes first"):
        equal(b.driver(CBC, "-driver " + cipher), best[CBC], "driver")
    with tap.case("sysctl: what no driver has for a name"):
        for value in ("x" * 128, "x" * 300, "a b", "a/b", "a;b"):
            refuses(b.sysctl, "aes-cbc", value)
        equal(b.lab["k"].read("/proc/sys/net/kipsec/engine/aes-cbc"), aes + "\n", "sysctl")
    with tap.case("sysctl: a driver that is not there is counted, the best serves"):
        b.sysctl("aes-cbc", "nosuch")
        b.sysctl("hmac-sha1", "")
        with Moves(b.k, EngineMissing=2):
            equal(b.driver(CBC), best[CBC], "driver")
    with tap.case("the parameter: a list; the sysctl comes first"):
        write_parameter("aes-cbc:%s,hmac-sha1:%s" % (cipher, sha1))
        with open(PARAMETER) as f:
            equal(f.read(), "aes-cbc:%s,hmac-sha1:%s\n" % (cipher, sha1), "parameter")
        b.sysctl("aes-cbc", aes)
        equal(b.exchange(CBC), "authenc(%s,%s)" % (sha1, aes), "driver")
        b.sysctl("aes-cbc", "")
        equal(b.driver(CBC), "authenc(%s,%s)" % (sha1, cipher), "driver")
    with tap.case("the parameter: faults"):
        for value in ("aes", "nosuch:x", "null:x", "aes-cbc:", "aes-cbc:x y", "aes-cbc:" + "x" * 128):
            refuses(write_parameter, value)
        equal(b.driver(CBC), "authenc(%s,%s)" % (sha1, cipher), "driver")
    with tap.case("and nothing said: by priority"):
        write_parameter("")
        equal(b.exchange(CBC), best[CBC], "driver")


def shown(tap, b, best):
    b.exchange(GCM)
    with b.lab["k"], p.Key() as key:
        with tap.case("DUMP and GET: only for those who ask"):
            check(all(p.KIPSEC_ENGINE not in m.ext for m in key.dump()), "unasked for")
            asked = key.dump(p.DUMP, p.UNSPEC, p.kipsec_engine())
            equal([(m.ext[p.KIPSEC_ENGINE].driver, m.ext[p.KIPSEC_ENGINE].requests)
                   for m in asked], [(best[GCM], PINGS)] * 2, "engines")
            get = [p.GET, p.ESP, p.sa(OUT), *p.ends(K, X)]
            check(p.KIPSEC_ENGINE not in key.ask(*get).ext, "unasked for")
            equal(key.ask(*get, p.kipsec_engine()).ext[p.KIPSEC_ENGINE].octets,
                  PINGS * (SIZE + 8), "bytes")
    with tap.case("setkey -D -v shows it, setkey -D does not"):
        wanted = ["\tdriver=" + best[GCM], "\trequests=%d bytes=%d inflight=0 errors=0 fallbacks=0" % (
            PINGS, PINGS * (SIZE + 8))] * 2
        lines = b.k.setkey(None, args=("-D", "-v")).splitlines()
        equal([line for line in lines if line.startswith(("\tdriver", "\trequests"))], wanted, "lines")
        check("driver=" not in b.k.setkey(None, args=("-D",)), "unasked for")
    with tap.case("IPComp has no driver"):
        b.k.setkey("flush; add %s %s ipcomp 0x491 -C deflate;" % (K, X))
        equal(b.engines(), {}, "engines")
        check("driver=" not in b.k.setkey(None, args=("-D", "-v")).replace("driver= }", ""), "a driver")


def choice(tap):
    ipsec.loaded()
    with pair() as lab:
        b = Bench(lab)
        tap.on_failure[:] = [b.k.state, b.x.state]
        best = {}
        for algs in (CBC, GCM):
            with tap.case("by priority: " + algs[0].name):
                best[algs] = b.exchange(algs)
        best["esn"] = b.driver(CBC, esn=True)
        by_name(tap, b, best)
        refused(tap, b, best)
        knobs(tap, b, best)
        shown(tap, b, best)


if __name__ == "__main__":
    run(choice)
