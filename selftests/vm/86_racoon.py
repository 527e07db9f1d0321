#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: full
#
# racoon, the IKE daemon of ipsec-tools, which knows nothing of kipsec, makes its SAs
# over PF_KEY on every host here: main and aggressive mode, keys that both know and
# certificates, bundles, a gateway that makes policies as clients ask for them, address
# translation, peers that die. Wires carry ESP and IKE, and nothing else.
#
#	[a: racoon] 10.0.0.1, 10.1.0.1 ---- wire ---- 10.0.0.2, 10.2.0.1 [b: racoon]
#
#	10.3.0.1, 192.168.1.2 [c: racoon] ---- [n: NAT] 10.0.0.9 ---- 10.0.0.1, 10.2.0.1 [s: racoon]
#
#	[x: racoon] 10.0.0.1 --+-- 10.0.0.2 [y: racoon]
#	                       +-- 10.0.0.9, 10.2.0.1 [g: racoon]
import os
import re
import shutil
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import ipsec                                                    # noqa: E402
import pfkey                                                    # noqa: E402
from ipsec import Kipsec, Policy, transport, tunnel             # noqa: E402
from ktap import Skip, check, equal, run                        # noqa: E402
from netns import Lab, pair, wait_for                           # noqa: E402
from traffic import Ping, Udp                                   # noqa: E402
from wire import NAMES, UDP, Capture, fill                      # noqa: E402

A, B, ANET, BNET, PORT = "10.0.0.1", "10.0.0.2", "10.1.0.1", "10.2.0.1", 4000
CLIENT, INNER, NAT = "192.168.1.2", "10.3.0.1", "10.0.0.9"
LAN, ALL, G = "10.0.0.0/24", "0.0.0.0/0", "10.0.0.9"
SECRETS, CERTS = "/run/racoon.psk", "/run/racoon-certs"
WAIT = 60               # seconds that a negotiation may take where all is emulated
ESP_ALGS = ("aes 128", "hmac_sha256")


def both(a, b, there, here):
    """Policies of one who is at a, out and in."""
    return [Policy(a, b, "out", requests=there), Policy(b, a, "in", requests=here)]


class Racoon:
    """One daemon. remote: more statements for its peers; algs: of its SAs."""

    def __init__(self, ns, addr, mode="main", auth="pre_shared_key", remote="", algs=ESP_ALGS,
                 life=3600):
        base = "/run/" + ns.name
        self.ns, self.log, self.conf = ns, base + ".log", base + ".conf"
        self.process, self.seen = None, 0
        with open(SECRETS, "w") as f:
            os.chmod(SECRETS, 0o600)
            f.writelines("%s sesame\n" % addr for addr in (A, B, G, CLIENT))
        with open(self.conf, "w") as f:
            f.write("""
                path pre_shared_key "%s"; path certificate "%s"; path pidfile "%s.pid";
                timer { interval 2 sec; phase1 40 sec; phase2 40 sec; }
                listen { isakmp %s [500]; isakmp_natt %s [4500]; adminsock disabled; }
                remote anonymous {
                    exchange_mode %s; proposal_check obey; lifetime time 1 hour; %s
                    proposal {
                        encryption_algorithm aes 128; hash_algorithm sha1;
                        authentication_method %s; dh_group modp1024;
                    }
                }
                sainfo anonymous {
                    lifetime time %d sec; encryption_algorithm %s;
                    authentication_algorithm %s; compression_algorithm deflate;
                }
                """ % (SECRETS, CERTS, base, addr, addr, mode, remote, auth, life, *algs))
        with open(self.log, "w"):
            pass
        self.start()

    def start(self):
        self.seen = len(self.lines())
        with open(self.log, "a") as f:
            self.process = self.ns.popen("racoon", "-F", "-f", self.conf, stdout=f,
                                         stderr=subprocess.STDOUT)
        check(wait_for(lambda: self.says(r"\[500\] used as isakmp port"), 20, 0.1),
              "%s: racoon does not start: %s" % (self.ns.name, self.tail()))

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.terminate()
        self.process.wait(20)

    def lines(self):
        with open(self.log) as f:
            return f.read().splitlines()

    def says(self, text):
        """How often since it was started."""
        return len([line for line in self.lines()[self.seen:] if re.search(text, line)])

    def tail(self):
        return ["%s: %s" % (self.ns.name, line) for line in self.lines()[-25:]]


class Waiting:
    """Datagrams that wait for an SA; at the end of the block they arrive, each once.

    racoon adds the SA and the datagrams go before the peer has read racoon's last message;
    then they wait there once more, until the peer's SA is complete, and others overtake.
    """

    def __init__(self, net, src, own, dst, to, count):
        self.count = count
        self.sender, self.sink = Udp(net.lab[src], own), Udp(net.lab[dst], to, PORT)
        for n in range(count):
            self.sender.send(b"%06d" % n + fill(50), to, PORT)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            got = [self.sink.recv(WAIT)] + self.sink.all(self.count - 1, 2)
            equal(sorted(int(data[:6]) for data in got if data), list(range(self.count)),
                  "datagrams")
        self.sender.close()
        self.sink.close()


class Net:
    """Hosts with racoon and kipsec, and the wire between them."""

    def __init__(self, tap, lab, addrs, wire="w0"):
        self.lab, self.addrs, self.wire = lab, addrs, Capture(lab, wire)
        self.k = {n: Kipsec(lab[n]) for n in addrs}
        self.daemons = {}
        tap.on_failure[:] = [k.state for k in self.k.values()] + [self.logs]

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.end()
        self.wire.close()
        self.lab.close()

    def logs(self):
        return [line for d in self.daemons.values() for line in d.tail()]

    def end(self):
        for d in self.daemons.values():
            d.kill()
        self.daemons = {}
        for k in self.k.values():
            k.flush()

    def begin(self, policies, **conf):
        """Daemons without SAs; policies of each host. conf: for all, or a dict by host."""
        self.end()
        for name, addr in self.addrs.items():
            self.k[name].add(*policies.get(name, ()))
            own = {key: value[name] if isinstance(value, dict) else value
                   for key, value in conf.items()}
            self.daemons[name] = Racoon(self.lab[name], addr, **own)
        self.wire.flush()

    def dump(self, name, kind=pfkey.DUMP):
        with self.lab[name], pfkey.Key() as key:
            return key.dump(kind)

    def sas(self, name):
        """(source, destination, mode, SPI) of those that are in use, sorted."""
        return sorted((m.ext[pfkey.SRC].addr, m.ext[pfkey.DST].addr, m.ext[pfkey.SA2].mode,
                       m.ext[pfkey.SA].spi) for m in self.dump(name)
                      if m.ext[pfkey.SA].state == pfkey.MATURE)

    def stands(self, one, other, count=2):
        """Both have just these SAs, and no others."""
        def same():
            found = self.sas(one)
            return len(found) == count == len(self.dump(one)) == len(self.dump(other)) and \
                found == self.sas(other)
        check(wait_for(same, WAIT, 0.2), "SAs: %s: %s; %s: %s" %
              (one, self.sas(one), other, self.sas(other)))
        return self.sas(one)

    def held(self, src, own, dst, to, count=5):
        """The first packets wait for their SA, and arrive."""
        with Waiting(self, src, own, dst, to, count):
            pass

    def echo(self, src, own, to):
        ping = Ping(self.lab[src], own)
        check(wait_for(lambda: ping(to, 100, timeout=1) is not None, WAIT),
              "%s: no answer from %s" % (src, to))
        ping.close()

    def only(self, *wanted):
        """What is on the wire beside IKE."""
        def name(p):
            if p.proto != UDP:
                return NAMES.get(p.proto, p.proto)
            return "udp %d" % min(struct.unpack_from("!HH", p.payload))
        seen = {name(p) for p in self.wire.take() if not p.offset}
        equal(seen - {"udp 500"}, set(wanted), "protocols on the wire")

    def content(self, *but):
        """No daemon complained."""
        bad = [line for d in self.daemons.values() for line in d.lines()
               if re.search(r" (ERROR|WARNING): ", line) and not any(b in line for b in but)]
        equal(bad, [], "complaints")


HOSTS = {"a": both(A, B, [transport()], [transport()]),
         "b": both(B, A, [transport()], [transport()])}
NETS = {"a": both("10.1.0.0/24", "10.2.0.0/24", [tunnel(A, B)], [tunnel(B, A)]),
        "b": both("10.2.0.0/24", "10.1.0.0/24", [tunnel(B, A)], [tunnel(A, B)])}


def certificates():
    """A CA, and certificates of a and b by their addresses. Short keys are soon made."""
    shutil.rmtree(CERTS, ignore_errors=True)
    os.mkdir(CERTS)

    def openssl(*words):
        subprocess.run(("openssl", *words), cwd=CERTS, check=True, capture_output=True)
    openssl("req", "-x509", "-newkey", "rsa:1024", "-nodes", "-keyout", "ca.key", "-out", "ca.crt",
            "-subj", "/CN=test CA", "-days", "30")
    for name, addr in (("a", A), ("b", B)):
        openssl("req", "-x509", "-newkey", "rsa:1024", "-nodes", "-keyout", name + ".key",
                "-out", name + ".crt", "-subj", "/CN=" + name, "-days", "30", "-CA", "ca.crt",
                "-CAkey", "ca.key", "-addext", "subjectAltName=IP:" + addr)
        os.chmod(os.path.join(CERTS, name + ".key"), 0o600)
    digest = subprocess.run(("openssl", "x509", "-hash", "-noout", "-in", CERTS + "/ca.crt"),
                            check=True, capture_output=True, text=True).stdout.strip()
    os.symlink("ca.crt", "%s/%s.0" % (CERTS, digest))


def modes(tap, net):
    with tap.case("main mode, pre-shared key, transport: what waits for the SAs arrives"):
        net.begin(HOSTS)
        net.held("a", A, "b", B)
        net.stands("a", "b")
        net.echo("b", B, A)
        equal([d.says("begin Identity Protection mode") for d in net.daemons.values()], [1, 1],
              "exchanges")
        net.only("esp")
        net.content()
    with tap.case("aggressive mode, tunnel, 3DES and MD5; the other end begins"):
        net.begin(NETS, mode="aggressive", algs=("3des", "hmac_md5"))
        net.held("b", BNET, "a", ANET)
        net.stands("a", "b")
        net.echo("a", ANET, BNET)
        equal([d.says("begin Aggressive mode") for d in net.daemons.values()], [1, 1], "exchanges")
        net.only("esp")
        net.content()
    with tap.case("certificates of a CA, tunnel, Camellia and SHA-512"):
        if not shutil.which("openssl"):
            raise Skip("there is no openssl here")
        certificates()
        net.begin(NETS, auth="rsasig", algs=("camellia 256", "hmac_sha512"), remote={
            n: 'certificate_type x509 "%s.crt" "%s.key"; ca_type x509 "ca.crt";'
               'my_identifier address; verify_identifier on; peers_identifier address;' % (n, n)
            for n in "ab"})
        net.held("a", ANET, "b", BNET)
        net.stands("a", "b")
        net.echo("b", BNET, ANET)
        net.only("esp")
        net.content("certificate CRL")
    with tap.case("a bundle, IPComp and ESP: one negotiation, packets are compressed"):
        chain = [transport(proto="ipcomp"), transport()]
        net.begin({"a": both(A, B, chain, chain), "b": both(B, A, chain, chain)})
        net.held("a", A, "b", B)
        net.stands("a", "b", 4)
        net.wire.flush()
        ping = Ping(net.lab["b"], B)
        check(ping(A, 1000) is not None, "no answer")
        ping.close()
        check({p.len < 500 for p in net.wire.collect(2)} == {True}, "packets are not compressed")
        net.content()


def rekeyed(tap, net):
    with tap.case("lifetimes of 30 s under streams both ways: no datagram lost, late, or twice"):
        net.begin(HOSTS, life=30)
        net.held("a", A, "b", B)
        first = net.stands("a", "b")
        net.wire.flush()
        flows = [(Udp(net.lab[n], own), Udp(net.lab[m], to, PORT), to)
                 for n, own, m, to in (("a", A, "b", B), ("b", B, "a", A))]
        end, n = time.monotonic() + 36, 0
        while time.monotonic() < end:
            for sender, _, to in flows:
                sender.send(b"%06d" % n + fill(50), to, PORT)
            n += 1
            time.sleep(0.04)
        for sender, sink, to in flows:
            equal([int(d[:6]) for d in sink.all(n)], list(range(n)), "datagrams to " + to)
            sender.close()
            sink.close()
        net.only("esp")
        second = net.stands("a", "b")
        equal(set(first) & set(second), set(), "SAs that should have expired")
        net.content()


def restarted(tap, net):
    with tap.case("a daemon ends: what was for it goes; it comes again, and what waits arrives"):
        net.begin(HOSTS)
        net.held("a", A, "b", B)
        net.stands("a", "b")
        net.daemons["b"].stop()
        # racoon tells of the SA that it received by; what the peer does with its other is its own
        check(wait_for(lambda: not net.dump("b") and A not in [sa[0] for sa in net.sas("a")], 10),
              "left: %s, %s" % (net.sas("a"), net.sas("b")))
        net.daemons["b"].start()
        net.held("a", A, "b", B)
        net.stands("a", "b")
        net.content()
    with tap.case("a daemon is killed and comes again: SAs stay, and serve"):
        before = net.stands("a", "b")
        net.daemons["b"].kill()
        net.echo("a", A, B)
        net.daemons["b"].start()
        net.echo("b", B, A)
        equal(net.stands("a", "b"), before, "SAs")
    with tap.case("a host has lost all: it begins anew, and the peer forgets its old SAs"):
        net.daemons["b"].kill()
        net.k["b"].setkey("flush;")
        net.daemons["b"].start()
        net.held("b", B, "a", A)
        equal(set(net.stands("a", "b")) & set(before), set(), "old SAs")
        net.only("esp")
        net.content()


def dead(tap, net):
    with tap.case("dead peer detection: SAs go, nothing in clear; back, and what waits arrives"):
        net.begin(HOSTS, remote="dpd_delay 2; dpd_retry 1; dpd_maxfail 2;")
        net.held("a", A, "b", B)
        net.stands("a", "b")
        net.daemons["b"].kill()
        check(wait_for(lambda: not net.dump("a"), 20, 0.1), "SAs are left")
        equal(net.daemons["a"].says("seems to be dead"), 1, "deaths")
        with Waiting(net, "a", A, "b", B, 3):
            time.sleep(1)
            net.daemons["b"].start()
        # b still has those of before too, but uses them no more
        check(wait_for(lambda: set(net.sas("a")) <= set(net.sas("b")), WAIT, 0.2), "SAs")
        net.echo("b", B, A)
        net.only("esp")


def pairs(tap):
    with Net(tap, pair("a", "b"), {"a": A, "b": B}) as net:
        for part in (modes, rekeyed, restarted, dead):
            part(tap, net)


def masquerade(ns, what):
    ns.nft("""
        flush ruleset
        table ip nat {
            chain post {
                type nat hook postrouting priority 100;
                %s
            }
        }""" % what)


def road_lab():
    lab = Lab("c", "n", "s")
    lab.wire("c:%s/24" % CLIENT, "n:192.168.1.1/24:eth1")
    lab.wire("n:%s/24" % NAT, "s:%s/24" % A)
    lab["n"].sysctl("net.ipv4.ip_forward", 1)
    lab["c"].ip("addr add %s/32 dev lo" % INNER, "route add default via 192.168.1.1",
                "route add 10.2.0.0/24 via 192.168.1.1 src " + INNER)
    lab["s"].ip("link add net0 type dummy", "link set net0 up", "addr add %s/24 dev net0" % BNET,
                "route add default via " + NAT)
    return lab


def road_warrior(tap):
    client = both(INNER, "10.2.0.0/24", [tunnel(CLIENT, A)], [tunnel(A, CLIENT)])
    gateway = "passive on; generate_policy on; nat_traversal on;"
    life = 16

    with Net(tap, road_lab(), {"c": CLIENT, "s": A}, "w1") as net:
        def policies():
            """Of the gateway: direction, number, lifetime, who."""
            return sorted((m.ext[pfkey.POLICY].dir, m.ext[pfkey.POLICY].id, m.ext[pfkey.HARD].add,
                           m.ext[pfkey.SRC].addr) for m in net.dump("s", pfkey.SPDDUMP))

        def generated():
            return net.daemons["s"].says("try to generate the policy")

        if not shutil.which("nft"):
            raise Skip("there is no nft here")
        with tap.case("a client behind a NAT, the gateway has no policy: it makes them, for a time"):
            masquerade(net.lab["n"], "oifname eth0 masquerade;")
            net.begin({"c": client}, life=life, remote={"c": "nat_traversal on;", "s": gateway})
            net.held("c", INNER, "s", BNET)
            made = policies()
            equal([(d, life_, src) for d, _, life_, src in made],
                  [(pfkey.IN, life, INNER), (pfkey.OUT, life, "10.2.0.0"),
                   (pfkey.FWD, life, INNER)], "policies")
            equal([m.ext[pfkey.NATT_TYPE] for m in net.dump("s")], [2, 2], "encapsulation")
            net.only("udp 4500")
        with tap.case("new SAs come in time, and with them the policies' time begins anew"):
            ping, lost, count = Ping(net.lab["c"], INNER), 0, 0
            end = time.monotonic() + life + 3
            while time.monotonic() < end:
                lost += ping(BNET, 100) is None
                count += 1
                time.sleep(0.1)
            ping.close()
            equal(lost, 0, "echoes lost, of %d" % count)
            equal(policies(), made, "policies")
            equal((generated(), net.daemons["s"].says("Update the generated policy") > 0),
                  (1, True), "policies generated, and updated")
        with tap.case("the client dies: SAs and policies go in time; it comes again, as new"):
            net.daemons["c"].kill()
            net.k["c"].setkey("flush;")
            check(wait_for(lambda: not policies() and not net.dump("s"), life + 10, 0.2),
                  "left: %s, %s" % (policies(), net.dump("s")))
            net.daemons["c"].start()
            net.held("c", INNER, "s", BNET)
            equal(generated(), 2, "policies generated")
            equal(len(policies()), 3, "policies")
            net.content()
        with tap.case("without NAT plain ESP; the client says good-bye: policies go at once"):
            masquerade(net.lab["n"], "")
            net.begin({"c": client}, remote={"c": "nat_traversal on;", "s": gateway})
            net.held("c", INNER, "s", BNET)
            net.stands("c", "s")
            equal([p[2] for p in policies()], [3600] * 3, "lifetimes of policies")
            net.only("esp")
            net.daemons["c"].stop()
            check(wait_for(lambda: not policies() and A not in [sa[0] for sa in net.sas("s")], 10),
                  "left: %s, %s" % (policies(), net.sas("s")))
            net.content()


def lan(tap):
    own = {"x": A, "y": B, "g": G}
    policies = {n: both(own[n], LAN, [transport()], [transport()]) for n in own}
    for n in "xy":
        policies[n] += both(own[n], ALL, [tunnel(own[n], G)], [tunnel(G, own[n])])
        policies["g"] += both(ALL, own[n], [tunnel(G, own[n])], [tunnel(own[n], G)])
    #        who begins, with which address, to whom: address, mode
    flows = [("x", A, "y", B, 1), ("x", A, "g", G, 1), ("g", G, "y", B, 1),
             ("x", A, "g", BNET, 2), ("g", BNET, "y", B, 2)]
    lab = Lab(*own)
    lab.wire(*["%s:%s/24" % (n, own[n]) for n in own])
    lab["g"].ip("link add net0 type dummy", "link set net0 up", "addr add %s/24 dev net0" % BNET)
    for n in "xy":
        lab[n].ip("route add default via " + G)
    with Net(tap, lab, own) as net:
        for back in (False, True):
            with tap.case("a local network, policies overlap: each pair gets its mode" +
                          ", the other ends begin" * back):
                if back:
                    # Policies that come while racoon runs, in place of those it finds.
                    net.begin({})
                    for n in own:
                        net.k[n].add(*policies[n])
                else:
                    net.begin(policies)
                for src, addr, dst, to, _ in flows:
                    net.held(*((dst, to, src, addr) if back else (src, addr, dst, to)), 3)
                for n in own:
                    wanted = sorted((one, two, mode) for s, _, d, _, mode in flows if n in (s, d)
                                    for one, two in ((own[s], own[d]), (own[d], own[s])))
                    equal([sa[:3] for sa in net.sas(n)], wanted, "SAs of " + n)
                    equal(len(net.dump(n)), len(wanted), "SAs of any state of " + n)
                net.only("esp")
                net.content()


def racoon(tap):
    ipsec.loaded()
    if not shutil.which("racoon"):
        raise Skip("there is no racoon here: put racoon (ipsec-tools) into PATH")
    for part in (pairs, road_warrior, lan):
        part(tap)


if __name__ == "__main__":
    run(racoon)
