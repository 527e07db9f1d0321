#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: full
#
# Two clients behind one NAT, which both send from port 4500 and which the gateway
# can tell apart by ports alone: ESP in UDP (RFC 3948), tunnels and transport, the
# key managers' messages and keepalives beside it, and a NAT that changes its mind.
#
#	[c1: kipsec] 192.168.1.2 --+-- 192.168.1.1 [n: NAT] 10.0.0.9 -- w1 -- 10.0.0.1 [s: kipsec]
#	[c2: xfrm]   192.168.1.3 --+  w0                                      10.2.0.1 on net0
import errno
import os
import socket
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import ipsec                                                    # noqa: E402
import pfkey                                                    # noqa: E402
from ipsec import SA, Kipsec, Moves, Policy, Xfrm, transport, tunnel    # noqa: E402
from ktap import Skip, check, equal, run                        # noqa: E402
from netns import Lab                                           # noqa: E402
from traffic import Ping, Udp, tcp_copy                         # noqa: E402
from wire import UDP, Capture, fill                             # noqa: E402

C, N, S, NET = ["192.168.1.2", "192.168.1.3"], "10.0.0.9", "10.0.0.1", "10.2.0.1"
IKE = 4500
HOSTS = ["c1", "c2"]
IKE_MESSAGE = bytes(4) + b"IKE of client %d"    # the non-ESP marker in front


def nat_lab():
    lab = Lab("c1", "c2", "n", "s")
    lab.wire("c1:%s/24" % C[0], "c2:%s/24" % C[1], "n:192.168.1.1/24:eth1")
    lab.wire("n:%s/24" % N, "s:%s/24" % S)
    lab["n"].sysctl("net.ipv4.ip_forward", 1)
    for host in HOSTS:
        lab[host].ip("route add default via 192.168.1.1")
    lab["s"].ip("link add net0 type dummy", "link set net0 up", "addr add %s/24 dev net0" % NET,
                # a gateway needs a way to whom it answers, if only to its tunnel
                "route add 192.168.1.0/24 via %s src %s" % (N, NET))
    return lab


def mapping(lab, fixed=None):
    """Masquerade; fixed: (client's address, port that its port 4500 becomes)."""
    rule = "ip saddr %s udp sport 4500 snat to %s:%d;" % (fixed[0], N, fixed[1]) if fixed else ""
    try:
        lab["n"].run("nft", "-f", "-", stdin="""
            flush ruleset
            table ip nat {
                chain post {
                    type nat hook postrouting priority 100;
                    %s
                    oifname eth0 masquerade;
                }
            }
            """ % rule)
        lab["n"].run("conntrack", "-F")
    except FileNotFoundError as e:
        raise Skip("there is no %s here" % e.filename) from None


def manager(ns, addr):
    """A key manager's socket: ESP in UDP goes to IPsec, the rest comes here."""
    sock = ns.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((addr, IKE))
    sock.setsockopt(socket.IPPROTO_UDP, 100, 2)     # UDP_ENCAP_ESPINUDP
    sock.settimeout(1.0)
    return sock


def none(sock):
    sock.settimeout(0.2)
    try:
        raise AssertionError("a key manager got %s" % (sock.recvfrom(1000),))
    except TimeoutError:
        sock.settimeout(1.0)


class Bench:
    def __init__(self, lab):
        self.lab, self.s = lab, Kipsec(lab["s"])
        self.clients = [Kipsec(lab["c1"]), Xfrm(lab["c2"])]
        self.wire = Capture(lab, "w1")
        self.managers = [manager(lab[h], c) for h, c in zip(HOSTS, C)]
        self.server = manager(lab["s"], S)
        self.ports = [0, 0]

    def hear(self):
        """Each client's manager writes first, and so s learns their ports."""
        for n, sock in enumerate(self.managers):
            sock.sendto(IKE_MESSAGE % n, (S, IKE))
            data, place = self.server.recvfrom(1000)
            equal((data, place[0]), (IKE_MESSAGE % n, N), "message to s's manager")
            self.ports[n] = place[1]

    def lines(self, n, verb="add"):
        """What s says of client n."""
        result = ""
        for sa, ends in zip(self.sas[n], ((N, self.ports[n], S, IKE), (S, IKE, N, self.ports[n]))):
            result += Kipsec.sa_line(sa, verb).replace(
                sa.ident, "%s[%d] %s[%d] esp-udp %#x" % (*ends, sa.spi))
        return result

    def configure(self, mode, algs=ipsec.GCM):
        mapping(self.lab)
        self.hear()
        self.s.flush()
        self.sas = []
        for n, stack in enumerate(self.clients):
            stack.flush()
            spi, kw = 0x1821 + 16 * n, {"algs": algs, "mode": mode, "window": 1024}
            there, back = SA(C[n], S, spi, **kw), SA(S, C[n], spi + 1, **kw)
            if n == 0:
                stack.setkey("".join(Kipsec.sa_line(sa).replace(" esp ", " esp-udp ", 1)
                                     for sa in (there, back)))
            else:
                self.lab["c2"].ip(*[Xfrm.sa_line(sa) + " encap espinudp 4500 4500 0.0.0.0"
                                    for sa in (there, back)])
            self.sas.append([SA(N, S, spi, reqid=n + 1, **kw),
                             SA(S, N, spi + 1, reqid=n + 1, **kw)])
            self.s.setkey(self.lines(n))
            (self.tunnels if mode == "tunnel" else self.transports)(n, stack)
        self.wire.flush()

    def tunnels(self, n, stack):
        net, level = NET + "/32", "unique:%d" % (n + 1)
        stack.add(Policy(C[n], net, "out", requests=[tunnel(C[n], S)]),
                  Policy(net, C[n], "in", requests=[tunnel(S, C[n])]))
        self.s.add(Policy(net, C[n], "out", requests=[tunnel(S, N, level)]),
                   Policy(C[n], net, "in", requests=[tunnel(N, S, level)]))

    def transports(self, n, stack):
        """Behind the NAT all have one address; s tells clients by their ports."""
        level = "unique:%d" % (n + 1)
        for proto in ("udp", "tcp"):
            stack.add(Policy(C[n], S, "out", proto=proto, dport="7000", requests=[transport()]),
                      Policy(S, C[n], "in", proto=proto, sport="7000", requests=[transport()]))
            self.s.add(Policy(S, N, "out", proto=proto, sport="7000", dport="%d" % (1001 + n),
                              requests=[transport(level)]),
                       Policy(N, S, "in", proto=proto, sport="%d" % (1001 + n), dport="7000",
                              requests=[transport(level)]))

    def expect(self, wanted):
        """wanted: (client, to s or back, sequence number, payload of ESP)."""
        got, lines = [], []
        for p in self.wire.collect(len(wanted)):
            head = struct.unpack_from("!HHHHII", p.payload)
            got.append((p.src, p.proto, p.len) + head)
        for n, way, seq, size in wanted:
            sa, ports = self.sas[n][way], (self.ports[n], IKE)
            lines.append((sa.src, UDP, sa.wire_len(size) + 8, *(ports[::-1] if way else ports),
                          sa.wire_len(size) - 20 + 8, 0, sa.spi, seq))
        equal(got, lines, "packets on the wire")


def managers(tap, b):
    with tap.case("the NAT gives two ports, and s's manager hears from both"):
        mapping(b.lab)
        b.hear()
        check(b.ports[0] != b.ports[1], "both have port %d" % b.ports[0])
        for n, sock in enumerate(b.managers):
            b.server.sendto(IKE_MESSAGE % n, (N, b.ports[n]))
            equal(sock.recv(100), IKE_MESSAGE % n, "answer to client %d" % n)


def tunnels(tap, b):
    for algs in (ipsec.GCM, ipsec.AES_SHA1):
        with tap.case("tunnels, echoes of both in turn: " + algs[0].name):
            b.configure("tunnel", algs)
            pings, wanted = [Ping(b.lab[h]) for h in HOSTS], []
            with Moves(b.s, OutProtected=6, InProtected=6), Moves(b.clients[1]), \
                    Moves(b.clients[0], OutProtected=3, InProtected=3):
                for seq, size in enumerate((1, 100, 1300), 1):
                    for n, ping in enumerate(pings):
                        check(ping(NET, size) is not None, "client %d: no answer of %d bytes" %
                              (n, size))
                        wanted += [(n, way, seq, 28 + size) for way in (0, 1)]
            b.expect(wanted)
            for ping in pings:
                ping.close()
    with tap.case("tunnels, s begins: each client gets its own"):
        b.configure("tunnel")
        ping = Ping(b.lab["s"], NET)
        for n in (1, 0):
            check(ping(C[n], 64) is not None, "client %d: no answer" % n)
        b.expect([(n, way, 1, 28 + 64) for n in (1, 0) for way in (1, 0)])
        ping.close()
    with tap.case("tunnels: both clients' TCP at the same time"):
        both(b, lambda n: tcp_copy(b.lab[HOSTS[n]], b.lab["s"], NET, 1 << 18, port=5000 + n))
        fitting(b)
    with tap.case("tunnels: a client that sends with the other's address is refused"):
        b.configure("tunnel")
        b.lab["c1"].ip("addr add %s/32 dev lo" % C[1])
        b.clients[0].add(Policy(C[1], NET, "out", requests=[tunnel(C[0], S)]))
        u = Udp(b.lab["c1"], C[1])
        with Moves(b.s, InPolicy=1):
            u.send(fill(40), NET, 9)
        u.close()
        b.lab["c1"].ip("addr del %s/32 dev lo" % C[1])


def both(b, work):
    """work(client) of both at once; one in a child, for sockets are made by main threads."""
    b.wire.flush()
    pid = os.fork()
    if not pid:
        status = 1
        try:
            work(1)
            status = 0
        except Exception as e:
            print("# client 1: %s" % e, flush=True)
        finally:
            os._exit(status)
    try:
        work(0)
    finally:
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    equal(status, 0, "client 1's status")


def fitting(b):
    """Only ESP in UDP of both, no fragments, in frames of 1500."""
    packets = b.wire.take()
    equal({p.proto for p in packets}, {UDP}, "protocols on the wire")
    equal([str(p) for p in packets if p.fragment], [], "fragments")
    ports = {struct.unpack_from("!HH", p.payload) for p in packets}
    equal(ports, {x for port in b.ports for x in ((port, IKE), (IKE, port))}, "ports")
    longest = max(p.len for p in packets)
    check(1400 < longest <= 1500, "longest packet has %d bytes" % longest)


def transports(tap, b):
    with tap.case("transport: datagrams of both, checksums made for the clients' own addresses"):
        b.configure("transport")
        server, wanted = Udp(b.lab["s"], S, 7000), []
        clients = [Udp(b.lab[h], C[n], 1001 + n) for n, h in enumerate(HOSTS)]
        with Moves(b.s, OutProtected=6, InProtected=6), Moves(b.clients[1]), \
                Moves(b.clients[0], OutProtected=3, InProtected=3):
            for seq, size in enumerate((1, 101, 1300), 1):
                for n, client in enumerate(clients):
                    client.send(fill(size), S, 7000)
                    data, place = server.sock.recvfrom(2000)
                    equal((data, place), (fill(size), (N, 1001 + n)), "datagram of client %d" % n)
                    server.sock.sendto(data, place)
                    equal(client.recv(), fill(size), "answer to client %d" % n)
                    wanted += [(n, way, seq, 8 + size) for way in (0, 1)]
        b.expect(wanted)
        for u in clients:
            u.close()
    with tap.case("transport: TCP of both at the same time"):
        server_tcp = echo_server(b.lab["s"])
        both(b, lambda n: talk(b, n))
        fitting(b)
        server_tcp.close()
    with tap.case("transport: a client that uses the other's port is refused"):
        u = Udp(b.lab["c1"], C[0], 1002)
        with Moves(b.s, InPolicy=1):
            u.send(fill(40), S, 7000)
        u.close()
        check(server.recv(0.2) is None, "it arrived")
        server.close()


def echo_server(ns):
    """Returns to each connection what it brings, until the socket is closed."""
    sock = ns.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.bind((S, 7000))
    sock.listen(4)

    def echo(conn):
        for data in iter(lambda: conn.recv(1 << 16), b""):
            conn.sendall(data)
        conn.close()

    def serve():
        for _ in HOSTS:
            threading.Thread(target=echo, args=(sock.accept()[0],), daemon=True).start()
    threading.Thread(target=serve, daemon=True).start()
    return sock


def talk(b, n):
    """A stream from client n, with the source port of its policies."""
    client = b.lab[HOSTS[n]].socket(socket.AF_INET, socket.SOCK_STREAM)
    client.settimeout(60)
    client.bind((C[n], 1001 + n))
    client.connect((S, 7000))
    wanted, got = fill(1 << 17), b""
    for at in range(0, len(wanted), 1 << 14):
        client.sendall(wanted[at:at + (1 << 14)])
        while len(got) < at + (1 << 14):
            more = client.recv(1 << 16)
            check(more, "closed after %d bytes" % len(got))
            got += more
    check(got == wanted, "what came back is not what was sent")
    client.close()


def path_mtu(tap, b):
    """The link to the clients takes 1300 bytes only; the NAT says so to s."""
    b.lab["n"].ip("link set eth1 mtu 1300")
    for n, name in enumerate(("kipsec", "xfrm")):
        with tap.case("path MTU of ESP in UDP is learned, and told exactly: client with " + name):
            b.configure("tunnel", ipsec.AES_SHA1)
            out = b.sas[n][1]
            size = max(i for i in range(1300) if out.wire_len(i) + 8 <= 1300)
            b.lab["s"].sysctl("net.ipv4.route.flush", 0)
            u, client = Udp(b.lab["s"], NET, df=2), Udp(b.lab[HOSTS[n]], C[n], 4000)
            u.sock.connect((C[n], 4000))
            with Moves(b.s, OutProtected=1):
                u.sock.send(fill(1400 - 28))
            equal([p.src for p in b.wire.collect(2)], [S, N], "sources: ESP, and the NAT's answer")
            with Moves(b.s, OutTooBig=1, OutProtected=1):
                for length in (1400, size):
                    try:
                        u.sock.send(fill(length - 28))
                    except OSError as e:
                        equal((e.errno, length), (errno.EMSGSIZE, 1400), "errno and length")
            equal(u.sock.getsockopt(0, 14), size, "IP_MTU")
            equal(client.recv(), fill(size - 28), "datagram")
            equal([p.len for p in b.wire.collect(1)], [out.wire_len(size) + 8], "length")
            check(out.wire_len(size + 1) + 8 > 1300, "one more byte would fit")
            u.close()
            client.close()
        with tap.case("TCP to a client behind that link: " + name):
            b.configure("tunnel")
            tcp_copy(b.lab["s"], b.lab[HOSTS[n]], C[n], 1 << 18, src=NET)
            equal([str(p) for p in b.wire.take() if p.fragment], [], "fragments")
    b.lab["n"].ip("link set eth1 mtu 1500")


def keepalives(tap, b):
    with tap.case("keepalives and managers' messages between ESP of both: nothing is disturbed"):
        b.configure("tunnel")
        pings = [Ping(b.lab[h]) for h in HOSTS]
        with Moves(b.s, OutProtected=6, InProtected=6), Moves(b.clients[1]), \
                Moves(b.clients[0], OutProtected=3, InProtected=3):
            for _ in range(3):
                for n, ping in enumerate(pings):
                    b.managers[n].sendto(b"\xff", (S, IKE))
                    b.server.sendto(b"\xff", (N, b.ports[n]))
                    check(ping(NET, 200) is not None, "client %d: no answer" % n)
        for sock in (b.server, *b.managers):
            none(sock)
        sizes = [p.len for p in b.wire.collect(24)]
        equal(sorted(sizes)[:12], [29] * 12, "lengths of keepalives")
        equal(len(sizes), 24, "packets")
        b.hear()
        for ping in pings:
            ping.close()


def rebound(tap, b):
    """The NAT forgets client 1 and gives it another port."""
    b.configure("tunnel")
    with b.lab["s"]:
        key = pfkey.Key()
    key.ok(pfkey.REGISTER, pfkey.ESP)
    pings = [Ping(b.lab[h]) for h in HOSTS]
    old, new = b.ports[0], 61555
    with tap.case("the NAT maps client 1 anew: s's manager is told once, answers go astray"):
        for ping in pings:
            check(ping(NET, 50) is not None, "no answer before")
        key.quiet()
        mapping(b.lab, (C[0], new))
        b.wire.flush()
        with Moves(b.s, OutProtected=1, InProtected=1):
            check(pings[0](NET, 50, timeout=0.5) is None, "an answer came to the new port")
        m = key.recv(3)
        equal((m.type, m.satype, m.ext[pfkey.SA].spi), (pfkey.NEW_MAPPING, 3, b.sas[0][0].spi),
              "type, satype and SPI")
        equal(m.order, [pfkey.SA, pfkey.SRC, pfkey.NATT_SPORT, pfkey.DST, pfkey.NATT_DPORT],
              "extensions: programs misread the port if there is an SA2")
        equal((m.ext[pfkey.SRC].addr, m.ext[pfkey.NATT_SPORT], m.ext[pfkey.DST].addr,
               m.ext[pfkey.NATT_DPORT]), (N, old, N, new), "old and new place")
        key.quiet()
    with tap.case("setkey update: traffic goes on through the same SAs"):
        b.wire.flush()
        b.ports[0] = new
        b.s.setkey(b.lines(0, "update"))
        with Moves(b.s, OutProtected=2, InProtected=2):
            check(pings[0](NET, 60) is not None, "client 1: no answer")
            time.sleep(1.1)
            check(pings[0](NET, 60) is not None, "client 1: no answer")
        b.expect([(0, way, seq, 28 + 60) for seq in (3, 4) for way in (0, 1)])
        equal([m.type for m in key.drain() if m.type == pfkey.NEW_MAPPING], [],
              "messages about a place that is known")
    with tap.case("client 2: the NAT forgot it too, and that is told by itself"):
        b.wire.flush()
        pings[1](NET, 60, timeout=1.0)
        port = struct.unpack_from("!H", b.wire.collect(1)[0].payload)[0]
        told = [m for m in key.drain() if m.type == pfkey.NEW_MAPPING]
        equal([(m.ext[pfkey.SA].spi, m.ext[pfkey.NATT_DPORT]) for m in told],
              [(b.sas[1][0].spi, port)] if port != b.ports[1] else [], "SPI and new port")
        b.ports[1] = port
        b.s.setkey(b.lines(1, "update"))
        check(pings[1](NET, 60) is not None, "client 2: no answer")
    for ping in pings:
        ping.close()
    key.close()


def two_clients(tap):
    ipsec.loaded()
    with nat_lab() as lab:
        b = Bench(lab)
        tap.on_failure[:] = [b.s.state, b.clients[0].state, b.clients[1].state]
        for part in (managers, tunnels, transports, path_mtu, keepalives, rebound):
            part(tap, b)


if __name__ == "__main__":
    run(two_clients)
