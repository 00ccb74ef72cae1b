"""Network namespaces with kernels in them, TAPs and wires between them, and the programs of a case.

Used by test/peers/run; nothing here knows what is being tested.
"""
import atexit
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILD = pathlib.Path(os.environ.get("BUILD", ROOT / "build")).resolve()
LOGS = BUILD / "logs" / "peers"
PATTERN = LOGS / "pattern"
TERN, PEER = BUILD / "tern", BUILD / "test" / "peers" / "peer"
MIB = 1 << 20
LONG = "--long" in sys.argv
PATIENCE = 900 if LONG else 75  # seconds a peer may take, with its goodbyes
LIMIT = ("--limit", str(PATIENCE - 15))
# Stacks answer there, not where the user's do.
os.environ["XDG_RUNTIME_DIR"] = tempfile.mkdtemp(prefix="tern-peers.")
atexit.register(shutil.rmtree, os.environ["XDG_RUNTIME_DIR"], ignore_errors=True)
os.environ["PATH"] += ":/usr/sbin:/sbin"  # ip, sysctl


class Failed(Exception):
    """The sentence that goes with FAIL."""


def require(condition, text):
    if not condition:
        raise Failed(text)


class Process:
    """One program of a case; its output goes to files."""

    def __init__(self, case, title, argv):
        self.title = title
        self.out, self.err = case.log / f"{title}.out", case.log / f"{title}.err"
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            self.popen = subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL,
                                          stdout=out, stderr=err)

    def ready(self, word="ready", limit=15):
        """Waits until it says so."""
        end = time.monotonic() + limit
        while word not in self.err.read_text(errors="replace") + self.out.read_text(errors="replace"):
            require(self.popen.poll() is None, f"{self.title} ended at once: {self.tail()}")
            require(time.monotonic() < end, f"{self.title} does not get ready")
            time.sleep(0.02)
        return self

    def tail(self):
        lines = (self.err.read_text(errors="replace") + self.out.read_text(errors="replace")).split("\n")
        return next((line for line in reversed(lines) if line.strip()), "it said nothing")[:200]

    def wait(self, limit):
        try:
            return self.popen.wait(limit)
        except subprocess.TimeoutExpired:
            raise Failed(f"{self.title} was not done after {limit} s") from None

    def result(self, limit=PATIENCE):
        """The line of JSON that a peer ends with."""
        status = self.wait(limit)
        try:
            result = json.loads(self.out.read_text().strip().split("\n")[-1])
        except ValueError:
            raise Failed(f"{self.title} ended with status {status}: {self.tail()}") from None
        require(result["right"] and status == 0, f"{self.title}: {self.tail_of_errors()}")
        return result

    def tail_of_errors(self):
        return self.err.read_text(errors="replace").strip().split("\n")[-1][:200]

    def kill(self):
        self.popen.kill()
        self.popen.wait()


class Namespace:
    """A network namespace with a process that holds it."""

    def __init__(self, case, title, cc):
        self.case, self.title, self.cc = case, title, cc
        self.holder = case.start(f"{title}-namespace", ["unshare", "-n", "sh", "-c",
                                                        "echo ready; exec sleep 100000"]).ready()
        self.enter = ["nsenter", "-t", str(self.holder.popen.pid), "-n"]
        self.run("sysctl", "-qw", "net.ipv4.tcp_congestion_control=reno",
                 "net.ipv6.conf.all.disable_ipv6=1")
        self.run("ip", "link", "set", "lo", "up")

    def run(self, *argv):
        done = subprocess.run([*self.enter, *argv], capture_output=True, text=True, check=False,
                              stdin=subprocess.DEVNULL)
        require(done.returncode == 0, f"{' '.join(argv)}: {done.stderr.strip()}")
        return done.stdout

    def tap(self, name, cidr):
        self.run("ip", "tuntap", "add", name, "mode", "tap", "vnet_hdr")
        self.run("ip", "addr", "add", cidr, "dev", name)
        self.run("ip", "link", "set", name, "up")
        net = cidr.rsplit(".", 1)[0] + ".0/24"
        self.route("replace", net, "dev", name, "src", cidr.split("/")[0])

    def route(self, verb, *argv):
        # Only the first namespace may make a restricted algorithm its default, so that routes
        # choose it here.
        self.run("ip", "route", verb, *argv, "congctl", self.cc)

    def start(self, title, argv):
        return self.case.start(f"{self.title}-{title}", [*self.enter, *argv])

    def kernel(self, *argv):
        process = self.start("peer", [sys.executable, HERE / "kernel.py", "--pattern", PATTERN,
                                      "--cc", self.cc, *LIMIT, *argv])
        return process.ready() if "--listen" in argv else process

    def tern(self, *argv, title="tern", addr="10.77.0.2/24"):
        process = self.start(title, [PEER, "--pattern", PATTERN, "--tap", "tern0", "--addr", addr,
                                     *LIMIT, *argv])
        return process.ready() if "--listen" in argv else process

    def counters(self):
        """{"Tcp": {"InCsumErrors": 0, ...}, ...}"""
        found = {}
        for file in ("snmp", "netstat"):
            lines = self.run("cat", f"/proc/{self.holder.popen.pid}/net/{file}").strip().split("\n")
            for names, values in zip(lines[::2], lines[1::2]):
                group, _, names = names.partition(": ")
                values = map(int, values.partition(": ")[2].split())
                found.setdefault(group, {}).update(zip(names.split(), values))
        return found

    def check(self):
        counters = self.counters()
        # A SYN-ACK sent again when its ACK was lost is challenged, and counted as an error, too.
        counters["Tcp"]["InErrs"] -= counters["TcpExt"]["TCPSYNChallenge"]
        for group, name in (("Ip", "InHdrErrors"), ("Tcp", "InCsumErrors"), ("Tcp", "InErrs")):
            require(counters[group][name] == 0, f"the kernel counts {group}{name} {counters[group][name]}")


class Case:
    """A running case: what it has started, and where its output is."""

    def __init__(self, name):
        self.log = LOGS / name
        shutil.rmtree(self.log, ignore_errors=True)
        self.log.mkdir(parents=True)
        self.processes, self.namespaces = [], []

    def start(self, title, argv):
        process = Process(self, title, argv)
        self.processes.append(process)
        return process

    def namespace(self, title="kernel", cc="reno"):
        namespace = Namespace(self, title, cc)
        self.namespaces.append(namespace)
        return namespace

    def tap(self, cc="reno"):
        """The usual one: a kernel at 10.77.0.1, a TAP for tern at 10.77.0.2."""
        namespace = self.namespace(cc=cc)
        namespace.tap("tern0", "10.77.0.1/24")
        return namespace

    def wire(self, impair, cc="reno", *options):
        """Kernel a, 10.77.1.1, and kernel b, 10.77.1.2, joined by `tern wire`. b forwards to a TAP
        for tern, 10.77.2.2, so that tern meets a over the same wire."""
        a, b = self.namespace("a", cc), self.namespace("b", cc)
        a.tap("wire0", "10.77.1.1/24")
        b.tap("wire0", "10.77.1.2/24")
        b.tap("tern0", "10.77.2.1/24")
        b.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        a.route("add", "10.77.2.0/24", "via", "10.77.1.2")
        self.rewire(a, b, impair, *options)
        return a, b

    def rewire(self, a, b, impair, *options):
        ends = [f"wire0@{end.holder.popen.pid}" for end in (a, b)]
        return self.start("wire", [TERN, "wire", *ends, "--impair", impair, *options]).ready("wire: ")

    def close(self):
        for process in reversed(self.processes):
            process.kill()
