#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
#
# What kipsec sends, opened by programs that share nothing with the kernel:
# scapy (python3-cryptography) and tshark (libgcrypt).
#
#	10.1.0.1/24 [k: kipsec] 10.0.0.1 ---- wire ---- 10.0.0.2 [x]
#
# For each cipher 36 datagrams, so that every length of padding is met. Asserted
# are SPI, sequence numbers 1, 2, 3 ..., IVs that never repeat, the inner bytes,
# the next header, the padding 1, 2, 3 ... (tshark) and the ICV (both).
import os
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import ipsec                                                    # noqa: E402
from ipsec import SA, Kipsec, Policy, transport, tunnel         # noqa: E402
from ktap import Skip, check, equal, run                        # noqa: E402
from netns import pair                                          # noqa: E402
from traffic import Udp                                         # noqa: E402
from wire import Capture, fill                                  # noqa: E402

K, X, KNET, XNET = "10.0.0.1", "10.0.0.2", "10.1.0.1", "10.2.0.1"
PORT = 40404            # no dissector of tshark's has it
SIZES = list(range(0, 33)) + [500, 1000, 1371]

# name, bits -> what scapy and tshark call it
CIPHERS = [
    ("null", 0, "NULL", "NULL"),
    ("des-cbc", 64, "DES", "DES-CBC [RFC2405]"),
    ("3des-cbc", 192, "3DES", "TripleDES-CBC [RFC2451]"),
    ("cast128-cbc", 128, "CAST", "CAST5-CBC [RFC2144]"),
    ("blowfish-cbc", 128, "Blowfish", "BLOWFISH-CBC [RFC2451]"),
    ("aes-cbc", 128, "AES-CBC", "AES-CBC [RFC3602]"),
    ("aes-cbc", 256, "AES-CBC", "AES-CBC [RFC3602]"),
    ("aes-ctr", 160, "AES-CTR", "AES-CTR [RFC3686]"),
    ("twofish-cbc", 256, None, "TWOFISH-CBC"),
    ("aes-gcm-16", 160, "AES-GCM", "AES-GCM with 16 octet ICV [RFC4106]"),
    ("aes-gcm-16", 288, "AES-GCM", "AES-GCM with 16 octet ICV [RFC4106]"),
    ("aes-ccm-16", 152, "AES-CCM", None),
    ("chacha20-poly1305", 288, "CHACHA20-POLY1305", None),
]
HASHES = {"hmac-sha1": ("HMAC-SHA1-96", "HMAC-SHA-1-96 [RFC2404]"),
          "hmac-md5": ("HMAC-MD5-96", "HMAC-MD5-96 [RFC2403]"),
          "hmac-sha256": ("SHA2-256-128", "HMAC-SHA-256-128 [RFC4868]"),
          "hmac-sha384": ("SHA2-384-192", "HMAC-SHA-384-192 [RFC4868]"),
          "hmac-sha512": ("SHA2-512-256", "HMAC-SHA-512-256 [RFC4868]")}


class Sample:
    """One SA and the packets that it made."""

    def __init__(self, spi, mode, cipher, hash_):
        name, bits, self.scapy, self.tshark = cipher
        enc = next((a for a in ipsec.ENCS + ipsec.AEADS if (a.name, a.bits) == (name, bits)), None)
        if not enc:                     # a length that the matrix does not have
            like = ipsec.alg(name)
            enc = ipsec.Alg(name, bits, like.kernel, like.kind, like.iv, like.block, like.icv)
        self.hash = hash_ if enc.kind != "aead" else None
        self.sa = SA(K, X, spi, (enc, ipsec.auth(self.hash) if self.hash else None), mode)
        self.name = "%s %s-%d%s" % (mode, name, bits, " " + self.hash if self.hash else "")
        self.packets = []

    def send(self, k, wire):
        k.setkey("flush;\n" + Kipsec.sa_line(self.sa))
        wire.flush()
        u = Udp(k.ns, KNET if self.sa.mode == "tunnel" else K, PORT)
        for size in SIZES:
            u.send(fill(size), XNET if self.sa.mode == "tunnel" else X, PORT)
        u.close()
        self.packets = wire.collect(len(SIZES))

    def check_wire(self):
        head = 28 if self.sa.mode == "tunnel" else 8
        equal([str(p) for p in self.packets],
              ["%s>%s esp %#x #%d len %d" % (K, X, self.sa.spi, n, self.sa.wire_len(head + size))
               for n, size in enumerate(SIZES, 1)], "packets on the wire")
        n = self.sa.algs[0].iv
        ivs = [p.payload[8:8 + n] for p in self.packets]
        check(not n or len(set(ivs)) == len(ivs), "an IV came twice")

    def check_udp(self, data, size):
        equal(data[:6], struct.pack("!HHH", PORT, PORT, 8 + size), "UDP header")
        equal(data[8:], fill(size), "UDP payload of %d bytes" % size)

    def open_scapy(self):
        from scapy.layers.inet import IP
        from scapy.layers.ipsec import ESP, SecurityAssociation
        enc, hash_ = self.sa.algs
        sa = SecurityAssociation(
            ESP, self.sa.spi, crypt_algo=self.scapy, crypt_key=bytes.fromhex(enc.key),
            auth_algo=HASHES[self.hash][0] if hash_ else "NULL",
            auth_key=bytes.fromhex(hash_.key) if hash_ else None,
            tunnel_header=IP(src=K, dst=X) if self.sa.mode == "tunnel" else None)
        for p, size in zip(self.packets, SIZES):
            inner = bytes(sa.decrypt(IP(p.raw)))
            if self.sa.mode == "tunnel":
                equal(inner[9:10] + inner[12:20], bytes((17, 10, 1, 0, 1, 10, 2, 0, 1)), "header")
            self.check_udp(inner[20:], size)

    def check_made_ivs(self):
        """Sequence numbers, mixed with what only this SA knows, encrypted with its key."""
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
        key = algorithms.AES(bytes.fromhex(self.sa.algs[0].key))
        open_block = Cipher(key, modes.ECB()).decryptor().update
        blocks = [int.from_bytes(open_block(p.payload[8:24]), "big") for p in self.packets]
        salt = blocks[0] ^ 1 << 64
        equal([b ^ salt for b in blocks], [n << 64 for n in range(1, len(blocks) + 1)],
              "numbers in the IVs")
        check(salt >> 64 and salt & (1 << 64) - 1, "no salt")

    def uat(self):
        enc, hash_ = self.sa.algs
        fields = ["IPv4", K, X, "%#x" % self.sa.spi, self.tshark, "0x" + enc.key if enc.key else "",
                  HASHES[self.hash][1] if hash_ else "NULL", "0x" + hash_.key if hash_ else "",
                  "32-bit", "0x0"]
        return ["-o", "uat:esp_sa:" + ",".join('"%s"' % f for f in fields)]


def write_pcap(path, packets):
    with open(path, "wb") as f:
        f.write(struct.pack("<IHHIIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 101))    # raw IP
        for n, p in enumerate(packets):
            f.write(struct.pack("<IIII", n, 0, len(p.raw), len(p.raw)) + p.raw)


def open_tshark(samples):
    """{spi: [(seq, icv good, padding, next header, udp payload)]} of all at once."""
    path = os.path.join(os.environ.get("TMPDIR", "/tmp"), "esp.pcap")
    write_pcap(path, [p for s in samples for p in s.packets])
    command = ["tshark", "-n", "-r", path, "-o", "esp.enable_encryption_decode:TRUE",
               "-o", "esp.enable_authentication_check:TRUE", "-T", "fields", "-E", "separator=;",
               "-E", "occurrence=l"]
    for field in ("esp.spi", "esp.sequence", "esp.icv_good", "esp.pad", "esp.protocol",
                  "udp.payload"):
        command += ["-e", field]
    for s in samples:
        command += s.uat()
    p = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    check(p.returncode == 0, "tshark: " + p.stderr[-300:])
    rows = {}
    for line in p.stdout.splitlines():
        spi, *rest = line.split(";")
        rows.setdefault(int(spi, 0), []).append(rest)
    return rows


def check_tshark(sample, rows):
    enc = sample.sa.algs[0]
    align, head = max(enc.block, 4), 28 if sample.sa.mode == "tunnel" else 8
    next_header = 4 if sample.sa.mode == "tunnel" else 17
    wanted = []
    for n, size in enumerate(SIZES, 1):
        pad = -(head + size + 2) % align
        wanted.append([str(n), bytes(range(1, pad + 1)).hex(), "0x%02x" % next_header,
                       fill(size).hex()])
    equal([[r[0]] + r[2:] for r in rows], wanted, "seq, padding, next header, payload")
    equal({r[1] for r in rows}, {"1"}, "ICV good")


def decrypt(tap):
    ipsec.loaded()
    samples = []
    with pair() as lab:
        k, wire = Kipsec(lab["k"]), Capture(lab)
        k.add(Policy(K, X, "out", requests=[transport()]),
              Policy("10.1.0.0/24", "10.2.0.0/24", "out", requests=[tunnel(K, X)]))
        combos = [(c, "hmac-sha1") for c in CIPHERS] + \
                 [(CIPHERS[5], h) for h in HASHES if h != "hmac-sha1"]
        for n, (cipher, hash_) in enumerate(combos):
            for mode in ("transport", "tunnel") if n % 4 == 1 else ("transport",):
                s = Sample(0xa000 + 2 * n + (mode == "tunnel"), mode, cipher, hash_)
                with tap.case("wire: " + s.name):
                    s.send(k, wire)
                    s.check_wire()
                    samples.append(s)
    for s in samples:
        with tap.case("scapy: " + s.name):
            if not s.scapy:
                raise Skip("scapy has no " + s.sa.algs[0].name)
            s.open_scapy()
    for s in samples:
        if s.name.split()[1].startswith("aes-cbc"):
            with tap.case("IVs: " + s.name):
                s.check_made_ivs()
    rows = open_tshark([s for s in samples if s.tshark])
    for s in samples:
        with tap.case("tshark: " + s.name):
            if not s.tshark:
                raise Skip("tshark has no " + s.sa.algs[0].name)
            check_tshark(s, rows.get(s.sa.spi, []))


if __name__ == "__main__":
    run(decrypt)
