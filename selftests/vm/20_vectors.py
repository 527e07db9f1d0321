#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: core
#
# Packets published in RFCs, put on the wire as they are printed there, must come
# out as the plaintext that is printed there.
#
#	[k: kipsec] 10.0.0.1 ---- wire ---- 10.0.0.2 [x: sends frames]
#	    also the addresses of the RFCs
#
# RFC 3602 section 4 (AES-CBC, no ICV), RFC 7634 appendix A (ChaCha20-Poly1305),
# draft-mcgrew-gcm-test-01 (AES-GCM; its next header is 1 throughout, so what is
# inside counts as ICMP, and its packets travel in transport mode).
import os
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import ipsec                                                    # noqa: E402
from ipsec import Kipsec, Moves                                 # noqa: E402
from ktap import Skip, check, equal, run                        # noqa: E402
from netns import pair, wait_for                                # noqa: E402
from wire import ESP, ETH_P_ALL, PACKET_OUTGOING, Injector, Packet, ip4    # noqa: E402

PAIR = ("10.0.0.2", "10.0.0.1")

# name, addresses, setkey's words behind the SPI, ESP packet, (next header, plaintext)
RFC3602 = [
    ("RFC 3602 case 5", ("192.168.123.3", "192.168.123.100"),
     "-m transport -E aes-cbc 0x90d382b410eeba7ad938c46cec1a82bf",
     "0000432100000001e96e8c08ab465763fd098d45dd3ff893f663c25d325c18c6"
     "a9453e194e120849a4870b66cc6b9965330013b4898dc856a4699e523a55db08"
     "0b59ec3a8e4b7e52775b07d1db34ed9c538ab50c551b874aa269add047ad2d59"
     "13ac19b7cfbad4a6",
     (1, "08000ebda70a00008e9c083db95b070008090a0b0c0d0e0f1011121314151617"
         "18191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031323334353637")),
    ("RFC 3602 case 6", ("192.168.123.3", "192.168.123.100"),
     "-m transport -E aes-cbc 0x90d382b410eeba7ad938c46cec1a82bf",
     "000043210000000869d08df7d203329db093fc4924e5bd80f51995881ec4e0c4"
     "488987ce742e8109689bb379d2d750c0d915dca346a89f75",
     (1, "0800b5e8a80a0500a69c083d0b660e00777777777777777777777777")),
    ("RFC 3602 case 7", ("192.168.123.3", "192.168.123.200"),
     "-m tunnel -E aes-cbc 0x0123456789abcdef0123456789abcdef",
     "0000876500000002f4e765244f6407adf13dc1380f673f37773b5241a4c44922"
     "5e4f3ce5ed611b0c237ca96cf74a93013c1b0ea1a0cf70f8e4ecaec78ac53aad"
     "7a0f022b859243c647752e94a859352b8a4d4d2decd136e5c177f132ad3fbfb2"
     "201ac9904c74ee0a109e0ca1e4dfe9d5a100b842f1c22f0d",
     (4, "45000054090400004001f988c0a87b03c0a87bc808009f76a90a0100b49c083d"
         "02a2040008090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20212223"
         "2425262728292a2b2c2d2e2f3031323334353637")),
    ("RFC 3602 case 8", ("192.168.123.3", "192.168.123.200"),
     "-m tunnel -E aes-cbc 0x0123456789abcdef0123456789abcdef",
     "000087650000000585d47224b5f3dd5d2101d4ea8dffab2215b92683819596a8"
     "047232cc00f7048fe45318e11f8a0f62ede3c3fc61203bb50f980a08c9843fd3"
     "a1b06d5c07ff9639b7eb7dfb3512e5de435e7207ed971ef3d2726d9b5ef6affc"
     "6d17a0decbb13892",
     (4, "45000044090c00004001f990c0a87b03c0a87bc80800d63caa0a0200c69c083d"
         "a3de0300ffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
         "ffffffff")),
]

RFC7634 = [
    ("RFC 7634 appendix A", ("203.0.113.153", "203.0.113.5"),
     "-m tunnel -E chacha20-poly1305 "
     "0x808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3",
     "0102030400000005101112131415161724039428b97f417e3c13753a4f05087b"
     "67c352e6a7fab1b982d466ef407ae5c614ee8099d52844eb61aa95dfab4c02f7"
     "2aa71e7c4c4f64c9befe2facc638e8f3cbec163fac469b502773f6fb94e664da"
     "9165b82829f641e076aaa8266b7fb0f7b11b369907e1ad43",
     (4, "45000054a6f200004001e778c6336405c000020508005b7a3a080000553bec10"
         "0007362708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20212223"
         "2425262728292a2b2c2d2e2f3031323334353637")),
]

# Number 12 is empty: good as ESP, but then an ICMP packet without a header, of
# which no policy can be asked. The ICV counts.
#
# number, key, salt, IV, SPI, sequence number, ciphertext, ICV, plaintext with
# trailer. Left out are numbers 4 (SPI 0 is reserved) and those whose extended
# sequence number is far from the beginning, as no window can be set to there.
GCM = [
    (2, "feffe9928665731c6d6a8f9467308308", "cafebabe", "facedbaddecaf888", "0000a5f8", "0000000a",
     "deb22cd9b07c72c16e3a65beeb8df304a5a5897d33ae530f1ba76d5d114d2a5c"
     "3de81827c10e9a4f51330d0eec416642cfbb85a5b47e48a4ec3b9ba95d918bd1",
     "83b70d3aa8bc6ee4c309e9d85a41ad4a",
     "4500003e698f000080114dccc0a80102c0a801010a980035002a2343b2d00100"
     "0001000000000000037369700963796265726369747902646b00000100010001"),
    (3, "abbccddef00112233445566778899aababbccddef00112233445566778899aab", "11223344",
     "0102030405060708", "4a2cbfe3", "00000002",
     "ff425c9b724599df7a3bcd510194e00d6a78107f1b0b1cbf06efae9d65a5d763"
     "748a637985771d347f0545659f14e99def842d8e",
     "b335f4eecfdbf831824b4c4915956c96",
     "4500003069a6400080062690c0a801029389155e0a9e008b2dc57ee000000000"
     "7002400020bf0000020405b40101040201020201"),
    (7, "feffe9928665731c6d6a8f9467308308feffe9928665731c", "cafebabe", "facedbaddecaf888",
     "0000a5f8", "0000000a",
     "a5b1f8066029aea40e598b8122de02420938b3ab33f828e687b8858b5bfbdbd0"
     "315b27452144cc77",
     "95457b9652037f5318027b5b4cd7a636",
     "45000028a4ad4000400678800a01038f0a010612802306b8cb712602dd6bb03e"
     "501016d075680001"),
    (12, "7d773d00c144c525ac619d18c84a3f47", "d9664267", "43457e9182443bc6", "335467ae", "ffffffff",
     "437f866b", "cb3f699fe9b0822bac961c4504bef270", "01020201"),
]

# Extended sequence number 1: the same, but the upper half is authenticated too.
GCM_ESN = [
    (8, "abbccddef00112233445566778899aab", "decaf888", "cafedebaceface74", "00000100", "00000001",
     "18a6fd42f72cbf4ab2a2ea901f73d814e3e7f243d95412e1c349c1d2fbec168f"
     "9190feebaf2cb01984e65863965d7472b79da345e0e780191f0d2f0e0f496c22"
     "6f2127b27db35724e7845d68",
     "651f57e65f354f75ff17015769623436",
     "4500004933ba00007f119106c3fb1d10c2b1d326c02831ce0035dd7b800302d5"
     "00004e20001e8c18d75b81dc91baa0476b91b924b280389d92c963bac046ec95"
     "9b6266c04722b14923010101"),
    (13, "abbccddef00112233445566778899aab", "decaf888", "cafedebaceface74", "00000100", "00000001",
     "29c9fc69a197d038ccdd14e2ddfcaa0543332164",
     "412503524303ed3c6c5f283843af8c3e",
     "746f016265016f72016e6f7401746f0162650001"),
]


def gcm(cases, words):
    for number, key, salt, iv, spi, seq, text, icv, plain in cases:
        pad, next_header = bytes.fromhex(plain)[-2:]
        yield ("GCM draft case %d" % number, PAIR,
               "-m transport %s -E aes-gcm-16 0x%s%s" % (words, key, salt),
               spi + seq + iv + text + icv, (next_header, plain[:-2 * (pad + 2)]))


class Tap:
    """What the stack of a namespace receives on a device, ESP left out."""

    def __init__(self, ns, dev="eth0"):
        self.dev = dev
        self.sock = ns.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
        self.sock.setblocking(False)

    def take(self):
        while True:
            try:
                data, (dev, proto, kind, _, _) = self.sock.recvfrom(70000)
            except BlockingIOError:
                return None
            if dev == self.dev and proto == 0x0800 and kind != PACKET_OUTGOING and data[9] != ESP:
                return data


def one(k, tap, injector, case):
    _, (src, dst), words, esp, (next_header, plain) = case
    esp, plain = bytes.fromhex(esp), bytes.fromhex(plain)
    complaint = k.setkey("flush; add %s %s esp 0x%s %s;" % (src, dst, esp[:4].hex(), words),
                         check=False).strip()
    if "-esn" in words and complaint:
        raise Skip("no extended sequence numbers: %s" % complaint)
    check(not complaint, complaint)
    while tap.take():
        pass
    with Moves(k, **{"InProtected" if plain else "InInnerHeader": 1}):
        injector.send(ip4(src, dst, ESP, esp, ident=0x8f2))
    if not plain:
        return
    got = wait_for(tap.take)
    check(got, "nothing came out")
    if next_header == 4:
        equal(got.hex(), plain.hex(), "inner packet")
        return
    packet = Packet(got)
    equal((packet.src, packet.dst, packet.proto, packet.id, packet.len),
          (src, dst, next_header, 0x8f2, 20 + len(plain)), "header")
    equal(packet.payload.hex(), plain.hex(), "payload")


def vectors(tap):
    ipsec.loaded()
    with pair() as lab:
        k = Kipsec(lab["k"])
        lab["k"].ip(*["addr add %s dev eth0" % a for a in
                      ("192.168.123.100/24", "192.168.123.200/24", "203.0.113.5/24")])
        lab["k"].sysctl("net.ipv4.icmp_echo_ignore_all", 1)
        sniffer, injector = Tap(lab["k"]), Injector(lab["x"], lab["k"])
        cases = RFC3602 + RFC7634 + list(gcm(GCM, "-r 64")) + list(gcm(GCM_ESN, "-r 64 -esn"))
        for case in cases:
            with tap.case(case[0]):
                one(k, sniffer, injector, case)


if __name__ == "__main__":
    run(vectors)
