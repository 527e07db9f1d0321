# SPDX-License-Identifier: GPL-2.0
"""What one run of the bench left in its folder."""

import bisect
import os


class Region:
    """One measured region: a label and its exact counts."""

    def __init__(self, number, label, unit, want, got, kernel, user, processors):
        self.number = number
        self.label = label
        self.unit = unit
        self.want = want
        self.bad = got != want
        self.kernel = kernel
        self.user = user
        self.processors = processors

    def total(self):
        """Instructions per unit."""
        return (self.kernel + self.user) / self.want


def load(folder):
    """Regions by label. The guest's lines and the plugin's are in one order."""
    with open(os.path.join(folder, 'regions')) as f:
        lines = [line.split() for line in f]
    with open(os.path.join(folder, 'counts')) as f:
        counts = [[int(x) for x in line.split()] for line in f]
    if len(lines) != len(counts):
        raise SystemExit(f'{folder}: {len(lines)} labels, {len(counts)} regions')
    regions = {}
    for (label, unit, want, got), (number, kernel, user, *processors) in zip(lines, counts):
        regions[label] = Region(number, label, unit, int(want), int(got), kernel, user,
                                processors)
    return regions


def load_release(folder):
    """The kernel's."""
    with open(os.path.join(folder, 'release')) as f:
        return f.read().strip()


def load_memory(folder):
    """Bytes per item by label."""
    memory = {}
    with open(os.path.join(folder, 'memory')) as f:
        for line in f:
            label, items, before, after = line.split()
            memory[label] = (int(after) - int(before)) / int(items)
    return memory


class Symbols:
    """Functions of the guest's kernel and modules."""

    def __init__(self, folder):
        names = {}
        with open(os.path.join(folder, 'kallsyms')) as f:
            for line in f:
                field = line.split()
                if field[1] in 'tTwW':
                    module = ' ' + field[3] if len(field) > 3 else ''
                    names[int(field[0], 16)] = field[2] + module
        self.names = names
        self.addresses = sorted(names)

    def find(self, address):
        """Name of the function at an address, and whether it begins there."""
        if not address >> 63:
            return '[user]', False
        i = bisect.bisect_right(self.addresses, address) - 1
        start = self.addresses[i]
        return self.names[start], start == address


def _counts(folder, region, symbols):
    insns, calls = {}, {}
    with open(os.path.join(folder, f'blocks.{region.number}')) as f:
        for line in f:
            address, length, runs = line.split()
            name, begins = symbols.find(int(address, 16))
            count = int(length) * int(runs) / region.want
            insns[name] = insns.get(name, 0) + count
            if begins:
                calls[name] = calls.get(name, 0) + int(runs) / region.want
    return insns, calls


def profile(folder, region, symbols, base=None):
    """Instructions and calls per unit, by function; less those of another region."""
    own = _counts(folder, region, symbols)
    other = _counts(folder, base, symbols) if base else ({}, {})
    return [{name: a.get(name, 0) - b.get(name, 0) for name in a.keys() | b.keys()}
            for a, b in zip(own, other)]
