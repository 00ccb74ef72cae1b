"""What the cases of test/run/run are made of: the two sides, and programs on them."""
import hashlib
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, os.environ.get("BUILD", "build"))
TERN = os.path.join(BUILD, "tern")
HOSTILE = os.path.join(BUILD, "test", "run", "hostile")
FLOOD = os.path.join(BUILD, "test", "run", "flood")
SEMANTICS = os.path.join(BUILD, "test", "run", "semantics")
KERNEL, OURS = "10.77.0.1", "10.77.0.2"
MIB = 1 << 20


class Failed(Exception):
    """A case that did not do what it should."""


class Missing(Exception):
    """A program that is not installed."""


def require(condition, what):
    if not condition:
        raise Failed(what)


def need(*names):
    """The paths of programs, also of those in sbin."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/lib/go/bin"
    found = [shutil.which(name, path=path) for name in names]
    for name, where in zip(names, found):
        if not where:
            raise Missing(f"{name} is not installed")
    return found[0] if len(found) == 1 else found


def sh(command, **options):
    done = subprocess.run(command, shell=isinstance(command, str), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=60, **options)
    require(done.returncode == 0, f"{command}: exit {done.returncode}: {done.stdout[-300:]}")
    return done.stdout


def set_up(folder):
    """The kernel's side of the TAP, and the folder to work in, which this process enters."""
    sh(["mount", "-t", "tmpfs", "tmpfs", folder])
    os.chdir(folder)
    os.chmod(folder, 0o755)
    os.environ["XDG_RUNTIME_DIR"] = folder  # stacks answer there, not where the user's do
    sh("ip link set lo up; ip tuntap add tern0 mode tap; ip addr add 10.77.0.1/24 dev tern0; "
       "ip link set tern0 up; "
       "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6 || true")


def content(name, size):
    """A file of random bytes; returns its digest."""
    data = os.urandom(min(size, MIB)) * max(1, size // MIB)
    with open(name, "wb") as out:
        out.write(data)
    return hashlib.sha256(data).hexdigest()


def digest(name):
    with open(name, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def write(name, text):
    with open(name, "w", encoding="utf-8") as out:
        out.write(text)
    return os.path.abspath(name)


CLEAN = "on the kernel: 0 connect, 0 accept; 0 segments in, 0 out"


def check_clean(stderr):
    require(CLEAN in stderr, "the program's kernel saw TCP, or nobody looked: " + stderr[-300:])


def on_tern(*command, options=(), rc=0, timeout=60, stdin=None):
    """A program under tern run, to its end; returns its stdout."""
    try:
        done = subprocess.run([TERN, "run", "-v", *options, "--", *command], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=timeout, errors="replace",
                              input=stdin)
    except subprocess.TimeoutExpired as late:
        print(sh("ps -eLo pid,tid,stat,wchan:30,args"), late.stdout, late.stderr)
        raise Failed(f"{command[0]}: not done after {timeout} s") from None
    print("$", *command, "\n", done.stdout[-3000:], done.stderr[-3000:])
    require(done.returncode == rc,
            f"{command[0]}: exit {done.returncode}, not {rc}: {done.stderr[-300:]}")
    check_clean(done.stderr)
    return done.stdout


def on_kernel(*command, rc=0, timeout=60, stdin=None):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=timeout, errors="replace", input=stdin)
    print("$", *command, "(kernel)\n", done.stdout[-3000:], done.stderr[-3000:])
    require(done.returncode == rc,
            f"{command[0]}: exit {done.returncode}, not {rc}: {done.stderr[-300:]}")
    return done.stdout


class Server:
    """A program that serves, on either side, from when it accepts until the block ends."""

    def __init__(self, *command, tern=False, port=None, stop=signal.SIGTERM, options=(), env=None):
        self.tern, self.port, self.stop = tern, port, stop
        self.command = [TERN, "run", "-v", *options, "--", *command] if tern else list(command)
        self.log = tempfile.TemporaryFile("w+", errors="replace", dir=".")
        self.env = env

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=self.log, stderr=self.log,
                                        stdin=subprocess.DEVNULL,
                                        env={**os.environ, **(self.env or {})})
        until = time.monotonic() + 20
        while self.port and not self.accepts():
            require(time.monotonic() < until and self.process.poll() is None,
                    f"{self.command}: does not listen: {self.output()[-500:]}")
            time.sleep(0.05)
        return self

    def accepts(self):
        try:
            socket.create_connection((OURS if self.tern else KERNEL, self.port), 1).close()
            return True
        except OSError:
            return False

    def output(self):
        log = self.log.fileno()  # the program writes where we would seek
        return os.pread(log, os.fstat(log).st_size, 0).decode(errors="replace")

    def __exit__(self, kind, value, trace):
        if self.process.poll() is None and self.stop:
            self.process.send_signal(self.stop)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            print(self.output())
            if kind is None:
                raise Failed(f"{self.command}: does not end") from None
        print(self.command, "\n", self.output()[-3000:])
        if self.tern and kind is None:
            check_clean(self.output())


def semantics(name):
    """The transcript on the kernel and that on tern."""
    kernel = on_kernel(SEMANTICS, name)
    tern = on_tern(SEMANTICS, name)
    require(kernel == tern, "the transcripts differ")
    return f"{len(kernel.splitlines())} lines the same"


def number(pattern, text):
    found = re.search(pattern, text)
    require(found, f"no {pattern} in the output")
    return float(found.group(1))
