# SPDX-License-Identifier: GPL-2.0
"""Files for setkey, said to xfrm: as much of the grammar as docs/examples has.

What a file asks of kipsec can so be asked of the kernel's own stack, with the
same keys, and the two be put at the ends of one wire.
"""
import re
from dataclasses import asdict, dataclass

from ipsec import AEADS, AUTHS, ENCS, SA, Alg, Xfrm


@dataclass(frozen=True)
class Keyed(Alg):
    """An algorithm with the key of a file."""
    hex: str = ""

    @property
    def key(self):
        return self.hex


def commands(path):
    """The commands of a file, as lists of words."""
    with open(path) as f:
        text = re.sub(r"#.*", "", f.read())
    return [c.split() for c in text.split(";") if c.strip()]


def _alg(table, name, key=""):
    key = key[2:]
    for a in table:
        if a.name == name and a.bits == 4 * len(key):
            return Keyed(**asdict(a), hex=key)
    raise KeyError("%s with %d bits" % (name, 4 * len(key)))


def _end(text):
    """Address or network, and port or nothing."""
    return re.fullmatch(r"([^[]*)(?:\[(\d+)\])?", text).groups()


def associations(path):
    """What the file adds: SA, and for ESP in UDP its ports."""
    found = []
    for verb, *words in commands(path):
        if verb != "add":
            continue
        (src, sport), (dst, dport), proto = _end(words[0]), _end(words[1]), words[2]
        option, rest = {}, words[4:]
        while rest:
            name = rest.pop(0)
            option[name] = [rest.pop(0)]
            while rest and not rest[0].startswith("-"):
                option[name].append(rest.pop(0))
        algs = tuple(_alg(table, *option[o]) if o in option else None
                     for o, table in (("-E", ENCS + AEADS), ("-A", AUTHS)))
        sa = SA(src, dst, int(words[3], 0), algs, option["-m"][0], window=int(option["-r"][0]),
                proto=proto.split("-")[0])
        found.append((sa, (sport, dport) if proto == "esp-udp" else None))
    return found


def policies(path):
    """Lines for ip(8). The first that matches counts, so each has its own priority."""
    lines = []
    for verb, *words in commands(path):
        if verb != "spdadd":
            continue
        (src, sport), (dst, dport), upper = _end(words[0]), _end(words[1]), words[2]
        line = "xfrm policy add src %s dst %s" % (src, dst)
        if upper != "any":
            line += " proto " + upper
        for name, port in (("sport", sport), ("dport", dport)):
            line += " %s %s" % (name, port) if port else ""
        direction, action = words[words.index("-P") + 1:][:2]
        requests = words[words.index(action) + 1:]
        templates = ""
        for r in requests:
            proto, mode, ends, level = r.split("/")
            templates += " tmpl" + (" src %s dst %s" % tuple(ends.split("-")) if ends else "")
            templates += " proto %s mode %s level %s" % (
                proto, mode, "use" if level == "use" else "required")
        for d in ("in", "fwd") if direction == "in" else (direction,):
            lines.append(line + " dir %s priority %d" % (d, 100 + len(lines)) +
                         (" action block" if action == "discard" else "") + templates)
    return lines


def load(ns, path):
    """A file, to the xfrm of a namespace."""
    lines = ["xfrm state flush", "xfrm policy flush"]
    for sa, ports in associations(path):
        lines.append(Xfrm.sa_line(sa) +
                     (" encap espinudp %s %s 0.0.0.0" % ports if ports else ""))
    ns.ip(*lines, *policies(path))
