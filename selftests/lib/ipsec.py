# SPDX-License-Identifier: GPL-2.0
"""The two IPsec stacks behind one interface, and the algorithms they share.

What a test wants is said once, as SA and Policy; class Kipsec says it to
setkey, class Xfrm to ip(8). Sizes on the wire are computed here from the RFCs,
not from either implementation.
"""
import os
import re
import time
from dataclasses import dataclass, field
from typing import NamedTuple

from ktap import Failed, Skip, equal
from netns import wait_for

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SETKEY = os.environ.get("SETKEY", os.path.join(TOP, "tools/setkey/setkey"))
STAT = "/proc/net/kipsec_stat"

# Counters that depend on how a packet lies in memory, who is faster, and who looks on.
UNCERTAIN = {"OutCopied", "InCopied", "Spread", "InEarly", "InShort"}


@dataclass(frozen=True)
class Alg:
    """bits: key with salt; iv, block, icv in bytes; name in the kernel"""
    name: str
    bits: int
    kernel: str
    kind: str           # enc, auth or aead
    iv: int = 0
    block: int = 1
    icv: int = 0

    @property
    def key(self):
        # No two bytes alike (3DES wants three different keys, and odd parity
        # is not asked for), and no two algorithms with the same key.
        n = self.bits // 8
        seed = sum(map(ord, self.name)) + self.bits
        return bytes((seed + 7 * i) % 251 for i in range(n)).hex()


def _enc(name, bits, kernel, iv, block):
    return Alg(name, bits, kernel, "enc", iv, block)


def _aead(name, bits, kernel, icv):
    return Alg(name, bits, kernel, "aead", 8, 1, icv)


def _auth(name, bits, kernel, icv):
    return Alg(name, bits, kernel, "auth", icv=icv)


# RFC 2403, 2404, 4868 (half of the hash), 2857, 3566
AUTHS = [
    _auth("null", 0, "digest_null", 0),
    _auth("hmac-md5", 128, "hmac(md5)", 12),
    _auth("hmac-sha1", 160, "hmac(sha1)", 12),
    _auth("hmac-sha256", 256, "hmac(sha256)", 16),
    _auth("hmac-sha384", 384, "hmac(sha384)", 24),
    _auth("hmac-sha512", 512, "hmac(sha512)", 32),
    _auth("hmac-ripemd160", 160, "hmac(rmd160)", 12),
    _auth("aes-xcbc-mac", 128, "xcbc(aes)", 12),
    _auth("hmac-sm3", 256, "hmac(sm3)", 32),
]

# RFC 2410, 2405, 2451, 3602, 3686, 4312 and the drafts of the rest
ENCS = [
    _enc("null", 0, "ecb(cipher_null)", 0, 1),
    _enc("des-cbc", 64, "cbc(des)", 8, 8),
    _enc("3des-cbc", 192, "cbc(des3_ede)", 8, 8),
    _enc("cast128-cbc", 40, "cbc(cast5)", 8, 8),
    _enc("cast128-cbc", 128, "cbc(cast5)", 8, 8),
    _enc("blowfish-cbc", 40, "cbc(blowfish)", 8, 8),
    _enc("blowfish-cbc", 448, "cbc(blowfish)", 8, 8),
    _enc("aes-cbc", 128, "cbc(aes)", 16, 16),
    _enc("aes-cbc", 192, "cbc(aes)", 16, 16),
    _enc("aes-cbc", 256, "cbc(aes)", 16, 16),
    _enc("aes-ctr", 160, "rfc3686(ctr(aes))", 8, 1),
    _enc("aes-ctr", 224, "rfc3686(ctr(aes))", 8, 1),
    _enc("aes-ctr", 288, "rfc3686(ctr(aes))", 8, 1),
    _enc("camellia-cbc", 128, "cbc(camellia)", 16, 16),
    _enc("camellia-cbc", 192, "cbc(camellia)", 16, 16),
    _enc("camellia-cbc", 256, "cbc(camellia)", 16, 16),
    _enc("serpent-cbc", 128, "cbc(serpent)", 16, 16),
    _enc("serpent-cbc", 256, "cbc(serpent)", 16, 16),
    _enc("twofish-cbc", 128, "cbc(twofish)", 16, 16),
    _enc("twofish-cbc", 256, "cbc(twofish)", 16, 16),
    _enc("sm4-cbc", 128, "cbc(sm4)", 16, 16),
]

# RFC 4106, 4309, 4543, 7634
AEADS = [_aead("aes-gcm-%d" % icv, bits, "rfc4106(gcm(aes))", icv)
         for icv in (8, 12, 16) for bits in (160, 288)] + \
        [_aead("aes-gcm-16", 224, "rfc4106(gcm(aes))", 16)] + \
        [_aead("aes-ccm-%d" % icv, bits, "rfc4309(ccm(aes))", icv)
         for icv in (8, 12, 16) for bits in (152, 280)] + \
        [_aead("aes-gmac", bits, "rfc4543(gcm(aes))", 16) for bits in (160, 288)] + \
        [_aead("chacha20-poly1305", 288, "rfc7539esp(chacha20,poly1305)", 16)]


def alg(name, bits=None, table=None):
    for a in table or ENCS + AEADS:
        if a.name == name and bits in (None, a.bits):
            return a
    raise KeyError(name)


def auth(name):
    return alg(name, table=AUTHS)


def combinations():
    """(cipher, hash): each hash with two ciphers, each cipher with one hash, each AEAD."""
    seen = []
    for hash_ in AUTHS:
        for enc in ("null", "aes-cbc"):
            seen.append((alg(enc), hash_))
    seen += [(enc, auth("hmac-sha1")) for enc in ENCS]
    seen += [(aead, None) for aead in AEADS]
    seen = list(dict.fromkeys(seen))
    if os.environ.get("KIPSEC_SUITE") == "full":
        return seen
    # Elsewhere one length of key for each, and one cipher for each hash.
    names, short = set(), []
    for enc, hash_ in seen:
        if hash_ and enc.name == "null" and hash_.name != "hmac-sha1":
            continue
        name = (enc.name, hash_ and hash_.name)
        if name not in names:
            names.add(name)
            short.append((enc, hash_))
    return short


def lacking(algs):
    """What this kernel's crypto API has not, as shown after somebody asked for it."""
    with open("/proc/crypto") as f:
        known = f.read()
    return [a.kernel for a in algs if a and "name         : %s\n" % a.kernel not in known]


NULL_SHA256 = (alg("null"), auth("hmac-sha256"))
AES_SHA1 = (alg("aes-cbc", 128), auth("hmac-sha1"))
GCM = (alg("aes-gcm-16", 160), None)


@dataclass
class SA:
    src: str
    dst: str
    spi: int
    algs: tuple = AES_SHA1          # (cipher, hash); hash None with an AEAD, cipher with AH
    mode: str = "transport"
    reqid: int = 0
    window: int = 64
    extra: str = ""                 # more words for setkey
    esn: bool = False
    last: int = 0                   # sequence numbers up to here count as used
    proto: str = "esp"              # or ah
    flags: tuple = ()               # words of ip xfrm; setkey has none for them

    @property
    def ident(self):
        return "%s %s %s %#x" % (self.src, self.dst, self.proto, self.spi)

    def wire_len(self, payload, tunnel=None):
        """Length of the IP packet that carries payload bytes.

        RFC 4303 section 2.4, RFC 4302 section 2.2.
        """
        enc, hash_ = self.algs
        ip, even = (40, 8) if ":" in self.dst else (20, 4)
        if self.proto == "ah":
            return ip + -(-(12 + hash_.icv) // even) * even + payload
        align = max(enc.block, 4)
        text = -(-(payload + 2) // align) * align
        icv = enc.icv if enc.kind == "aead" else hash_.icv if hash_ else 0
        return ip + 8 + enc.iv + text + icv


class Request(NamedTuple):
    mode: str
    level: str
    src: str = ""                   # of a tunnel
    dst: str = ""
    proto: str = "esp"


@dataclass
class Policy:
    src: str
    dst: str
    dir: str
    action: str = "ipsec"
    requests: list = field(default_factory=list)    # of Request, innermost first
    proto: str = "any"
    sport: str = ""
    dport: str = ""
    prio: str = ""
    detail: str = ""                                # ICMP type and code


def transport(level="require", proto="esp"):
    return Request("transport", level, proto=proto)


def tunnel(src, dst, level="require", proto="esp"):
    return Request("tunnel", level, src, dst, proto)


def both_modes(own, peer, ownnet, peernet, proto="esp"):
    """Policies of one end: transport between hosts, a tunnel between networks."""
    return [Policy(own, peer, "out", requests=[transport(proto=proto)]),
            Policy(peer, own, "in", requests=[transport(proto=proto)]),
            Policy(ownnet, peernet, "out", requests=[tunnel(own, peer, proto=proto)]),
            Policy(peernet, ownnet, "in", requests=[tunnel(peer, own, proto=proto)])]


class Kipsec:
    """kipsec in a namespace, driven by setkey."""

    def __init__(self, ns):
        self.ns = ns
        if not os.access(SETKEY, os.X_OK):
            raise Skip("setkey is not built: make -C tools")

    def setkey(self, text, check=True, args=("-c",)):
        p = self.ns.run(SETKEY, *args, stdin=text, check=check)
        return p

    @staticmethod
    def sa_line(sa, verb="add"):
        enc, hash_ = sa.algs
        line = "%s %s -m %s" % (verb, sa.ident, sa.mode)
        if sa.reqid:
            line += " -u %d" % sa.reqid
        if sa.window:
            line += " -r %d" % sa.window
        if sa.esn:
            line += " -esn"
        if sa.last:
            line += " -seq %d" % sa.last
        line += " " + sa.extra
        if enc:
            line += " -E %s" % enc.name + (" 0x" + enc.key if enc.key else "")
        if hash_:
            line += " -A %s" % hash_.name + (" 0x" + hash_.key if hash_.key else "")
        return line + ";\n"

    @staticmethod
    def policy_line(p, verb="spdadd"):
        def end(addr, port):
            return addr + ("[%s]" % port if port else "")
        text = "%s %s %s %s %s -P %s" % (verb, end(p.src, p.sport), end(p.dst, p.dport),
                                         p.proto, p.detail, p.dir)
        if p.prio:
            text += " prio %s" % p.prio
        text += " " + p.action
        for r in p.requests:
            ends = "%s-%s" % (r.src, r.dst) if r.mode == "tunnel" else ""
            text += " %s/%s/%s/%s" % (r.proto, r.mode, ends, r.level)
        return text + ";\n"

    def add(self, *things):
        self.setkey("".join(self.sa_line(t) if isinstance(t, SA) else self.policy_line(t)
                            for t in things))

    def replace_sas(self, *sas):
        """Flush and add in one go; gives setkey's complaint, or nothing."""
        return self.setkey("flush;\n" + "".join(map(self.sa_line, sas)), check=False).strip()

    def flush(self):
        self.setkey("flush; spdflush;")

    def counters(self):
        try:
            text = self.ns.read(STAT)
        except FileNotFoundError:
            raise Skip("kipsec is not loaded") from None
        return {k: int(v) for k, v in (line.split() for line in text.splitlines())}

    def state(self):
        lines = []
        for args in (("-D",), ("-DP",)):
            lines += self.setkey(None, check=False, args=args).splitlines()
        moved = {k: v for k, v in self.counters().items() if v}
        return ["%s: %s" % (self.ns.name, moved)] + ["  " + line for line in lines[:60]]


class Xfrm:
    """The kernel's own stack in a namespace, driven by ip xfrm."""

    def __init__(self, ns):
        self.ns = ns

    @staticmethod
    def sa_line(sa):
        enc, hash_ = sa.algs

        def key(a):
            return "0x" + a.key if a.key else '""'
        line = "xfrm state add src %s dst %s proto %s spi %#x mode %s" % (
            sa.src, sa.dst, sa.proto, sa.spi, sa.mode)
        if sa.reqid:
            line += " reqid %d" % sa.reqid
        if sa.window:
            line += " replay-window %d" % sa.window
        flags = ["esn"] * sa.esn + list(sa.flags)
        if sa.mode == "tunnel":
            flags.append("af-unspec")   # whatever family is inside
        if sa.proto == "ah" and ":" not in sa.dst:
            flags.append("align4")      # as RFC 4302 has it
        if flags:
            line += " flag " + " ".join(flags)
        if sa.esn:
            low, high = sa.last & 0xffffffff, sa.last >> 32
            line += " replay-seq %d replay-seq-hi %d replay-oseq %d replay-oseq-hi %d" % (
                low, high, low, high)
        if enc and enc.kind == "aead":
            return line + " aead %s %s %d" % (enc.kernel, key(enc), enc.icv * 8)
        if enc:
            line += " enc %s %s" % (enc.kernel, key(enc))
        if hash_ and hash_.icv:
            line += " auth-trunc %s %s %d" % (hash_.kernel, key(hash_), hash_.icv * 8)
        elif not enc:
            line += " auth %s %s" % (hash_.kernel, key(hash_))
        return line

    @staticmethod
    def policy_line(p):
        proto = {"any": "", "icmp": " proto icmp", "tcp": " proto tcp", "udp": " proto udp",
                 "icmp6": " proto ipv6-icmp"}
        upper = proto.get(p.proto, " proto " + p.proto)
        for which, port in (("sport", p.sport), ("dport", p.dport)):
            upper += " %s %s" % (which, port) if port else ""
        line = "xfrm policy add src %s dst %s%s dir %s" % (p.src, p.dst, upper, p.dir)
        for r in p.requests:
            line += " tmpl"
            if r.mode == "tunnel":
                line += " src %s dst %s" % (r.src, r.dst)
            line += " proto %s mode %s level %s" % (
                r.proto, r.mode, "use" if r.level == "use" else "required")
            if r.level.startswith("unique:"):
                line += " reqid " + r.level.split(":")[1]
        return line

    def add(self, *things):
        self.ns.ip(*[self.sa_line(t) if isinstance(t, SA) else self.policy_line(t)
                     for t in things])

    def replace_sas(self, *sas):
        try:
            self.ns.ip("xfrm state flush", *map(self.sa_line, sas))
        except RuntimeError as e:
            return re.sub(r"\s+", " ", str(e).split("\n", 1)[1])
        return ""

    def flush(self):
        self.ns.ip("xfrm state flush", "xfrm policy flush")

    def counters(self):
        text = self.ns.read("/proc/net/xfrm_stat")
        return {k: int(v) for k, v in (line.split() for line in text.splitlines())}

    def state(self):
        moved = {k: v for k, v in self.counters().items() if v}
        return ["%s: %s" % (self.ns.name, moved)]


class Moves:
    """A block after which a stack's counters have moved by exactly so much.

        with Moves(kipsec, OutProtected=3, InProtected=3):
            ...
    """

    def __init__(self, stack, ignore=(), **wanted):
        self.stack, self.wanted = stack, {k: v for k, v in wanted.items() if v}
        self.ignore = UNCERTAIN.union(ignore).difference(wanted)

    def moved(self):
        now = self.stack.counters()
        return {k: now[k] - self.before.get(k, 0) for k in now
                if now[k] != self.before.get(k, 0) and k not in self.ignore}

    def __enter__(self):
        self.before = self.stack.counters()
        for k in self.wanted:
            if k not in self.before:
                raise Failed("no counter named %s" % k)
        return self

    def __exit__(self, kind, value, trace):
        if kind is None:
            wait_for(lambda: self.moved() == self.wanted)
            equal(self.moved(), self.wanted, self.stack.ns.name)
        return False


def settle(stack, seconds=0.3):
    """Wait until nothing of what came before is under way any more."""
    last = None
    for _ in range(20):
        now = stack.counters()
        if now == last:
            return
        last = now
        time.sleep(seconds)


def xfrm_expands_tcp():
    """Skip a case in which xfrm expands IPComp with TCP data that kipsec sent.

    Since 6.15 xfrm adds to the packet's size what expansion added, as if the
    compressed bytes had gone; but those of a linear packet stay. TCP then warns
    (skb_try_coalesce), without kipsec just the same: xfrm to xfrm, "sg off".
    """
    if tuple(map(int, re.findall(r"\d+", os.uname().release)[:2])) >= (6, 15):
        raise Skip("xfrm of 6.15 and later warns when it expands linear TCP segments")


def loaded():
    """Skip the whole test without the module."""
    if not os.path.exists(STAT):
        raise Skip("kipsec is not loaded")
