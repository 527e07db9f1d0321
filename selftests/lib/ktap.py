# SPDX-License-Identifier: GPL-2.0
"""KTAP output for tests written in Python.

	tap = Tap()
	with tap.case("what must hold"):
		check(got == wanted, "got %s" % got)
	tap.done()

A case fails by any exception and is skipped by Skip. done() prints the plan and
the sum and ends the program: 0 all well, 1 something failed, 4 all skipped.
"""
import sys
import time
import traceback


class Skip(Exception):
    """The case cannot run here; the text says what is missing."""


class Failed(AssertionError):
    """The case ran and did not hold."""


def check(condition, text):
    if not condition:
        raise Failed(text)


def equal(got, wanted, what="value"):
    """Lists and dicts are shown by what differs in them."""
    if got == wanted:
        return
    if isinstance(got, dict) and isinstance(wanted, dict):
        lines = ["%s[%s]: got %s, expected %s" % (what, k, got.get(k), wanted.get(k))
                 for k in sorted(set(got) | set(wanted))
                 if got.get(k) != wanted.get(k)]
    elif isinstance(got, list) and isinstance(wanted, list):
        lines = ["%s: got %d, expected %d" % (what, len(got), len(wanted))]
        for i in range(max(len(got), len(wanted))):
            g = got[i] if i < len(got) else "nothing"
            w = wanted[i] if i < len(wanted) else "nothing"
            if g != w:
                lines.append("  %d: got %s, expected %s" % (i, g, w))
        if len(lines) > 24:
            lines[24:] = ["  ..."]
    else:
        lines = ["%s: got %s, expected %s" % (what, got, wanted)]
    raise Failed("\n".join(lines))


class _Case:
    def __init__(self, tap, name):
        self.tap, self.name = tap, name

    def __enter__(self):
        self.start = time.monotonic()
        return self

    def __exit__(self, kind, value, trace):
        if kind and issubclass(kind, (KeyboardInterrupt, SystemExit)):
            return False
        seconds = time.monotonic() - self.start
        if kind is None:
            self.tap.result("ok", self.name, [], seconds)
        elif issubclass(kind, Skip):
            self.tap.result("skip", self.name, [str(value)], seconds)
        else:
            if issubclass(kind, Failed):
                lines = str(value).splitlines()
            else:
                lines = "".join(traceback.format_exception(kind, value, trace)).splitlines()
            for hook in self.tap.on_failure:
                try:
                    lines += hook()
                except Exception as e:          # the failure itself counts
                    lines.append("(no more details: %s)" % e)
            self.tap.result("fail", self.name, lines, seconds)
        return True


class Tap:
    """One test program's results. on_failure: functions that give more lines."""

    def __init__(self):
        self.count = {"ok": 0, "fail": 0, "skip": 0}
        self.on_failure = []
        print("KTAP version 1", flush=True)

    def case(self, name):
        return _Case(self, name)

    def result(self, kind, name, lines, seconds=0):
        self.count[kind] += 1
        n = sum(self.count.values())
        if kind == "skip":
            print("ok %d %s # SKIP %s" % (n, name, " ".join(lines)))
        else:
            print("%s %d %s" % ("ok" if kind == "ok" else "not ok", n, name))
            for line in lines:
                print("# " + line)
            if seconds > 20:
                print("# took %d s" % seconds)
        sys.stdout.flush()

    def done(self):
        print("1..%d" % sum(self.count.values()))
        print("%(ok)d passed, %(fail)d failed, %(skip)d skipped" % self.count)
        sys.stdout.flush()
        sys.exit(1 if self.count["fail"] else 0 if self.count["ok"] else 4)


def run(*functions):
    """Run test functions of one argument, the Tap; what escapes one is a failure of it."""
    tap = Tap()
    for function in functions:
        try:
            function(tap)
        except Skip as e:
            tap.result("skip", function.__name__.replace("_", " "), [str(e)])
        except Exception:
            tap.result("fail", function.__name__.replace("_", " "),
                       traceback.format_exc().splitlines())
        tap.on_failure.clear()
    tap.done()
