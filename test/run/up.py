"""A stack that several programs share: tern up, tern run --stack, tern down, tern ls."""
import array
import json
import os
import re
import resource
import signal
import socket
import subprocess
import time

from lab import (KERNEL, OURS, TERN, Failed, Missing, Server, check_clean, need, on_kernel, on_tern,
                 require, sh, write)
from looking import home, ss
from programs import LISTENERS, nginx_conf

PYTHON = "/usr/bin/python3"
ON_IT = ("--stack", "s")


class Up:
    """A stack that is up until the block ends, which must end in order."""

    def __init__(self, *options, stop=True):
        self.options, self.stop = options, stop
        self.log = open("up.log", "w+", encoding="utf-8")

    def __enter__(self):
        self.process = subprocess.Popen([TERN, "up", "s", "-v", *self.options], stdout=self.log,
                                        stderr=self.log, stdin=subprocess.DEVNULL)
        until = time.monotonic() + 20
        while "up: s is" not in self.output():
            require(time.monotonic() < until and self.process.poll() is None, "not up: " + self.output())
            time.sleep(0.02)
        return self

    def output(self):
        with open("up.log", encoding="utf-8") as log:
            return log.read()

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def __exit__(self, kind, value, trace):
        if self.stop and self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise Failed("up: does not end") from None
        finally:
            print("$ tern up s\n", self.output()[-3000:])
        if self.stop and kind is None:
            require(self.process.returncode == 0, f"up: exit {self.process.returncode}")
            require(os.listdir(home()) == [], f"left behind: {os.listdir(home())}")


def tern(*command, rc=0, **options):
    done = subprocess.run([TERN, *command], capture_output=True, text=True, timeout=60, **options)
    print("$ tern", *command, "\n", done.stdout[-2000:], done.stderr[-2000:])
    require(done.returncode == rc, f"tern {command}: exit {done.returncode}: {done.stderr[-300:]}")
    return done.stdout + done.stderr


def soon(what, holds, seconds=15):
    until = time.monotonic() + seconds
    while not holds():
        require(time.monotonic() < until, what)
        time.sleep(0.05)


def program(*command):
    """A program on the stack that goes on by itself."""
    return Server(TERN, "run", *ON_IT, "--", *command, stop=None)


def said(server, word):
    soon(f"it does not say {word}: {server.output()[-300:]}", lambda: word in server.output())


# --- sharing -----------------------------------------------------------------------------------

def case_up_nginx():
    """A server and its clients: of the same stack, by either address, and from outside."""
    os.mkdir("www")
    write("www/hello", "hello\n")
    command = (need("nginx"), "-p", os.getcwd(), "-c", nginx_conf())
    with Up():
        for _ in range(2):  # the second finds the port free
            with Server(*command, tern=True, port=80, stop=signal.SIGQUIT, options=ON_IT):
                for host in (OURS, "127.0.0.1"):
                    got = on_tern("curl", "-sS", f"http://{host}/hello", options=ON_IT)
                    require(got == "hello\n", got)
                require(on_kernel("curl", "-sS", f"http://{OURS}/hello") == "hello\n", "from outside")
                owner = ss("-ltpH", "--stack", "s")
                require('users:(("nginx",pid=' in owner, owner)
                listed = json.loads(tern("ls", "-j"))
                require([s["name"] for s in listed] == ["s"] and len(listed[0]["programs"]) == 1 and
                        listed[0]["programs"][0]["command"].endswith("nginx"), f"{listed}")
        require(ss("-lH") == "", "listeners are left")
    return "by loopback, by address, from the kernel; twice"


def case_up_ports():
    """A port is one program's, whoever asks, and free when that has ended."""
    bind = "import socket; l = socket.socket(); l.bind(('0.0.0.0', 7)); l.listen(); "
    with Up():
        with program(PYTHON, "-c", bind + "import time; print('ready', flush=True); time.sleep(60)") as first:
            said(first, "ready")
            second = tern("run", *ON_IT, "--", PYTHON, "-c", bind, rc=1)
            require("Address already in use" in second, second)
            first.process.terminate()
            first.process.wait(20)
            soon("the port is not free", lambda: ss("-lH") == "")
        tern("run", *ON_IT, "--", PYTHON, "-c", bind)
        tern("run", *ON_IT, "--", PYTHON, "-c", bind)
    return "EADDRINUSE across programs"


TRIES_AGAIN = """
import errno, select, socket, time
control = socket.create_server(('127.0.0.1', 9))
print('ready', flush=True)
told, _ = control.accept()
for port in range(7000, 7050):
    assert told.recv(7) == b'listens'
    told.sendall(b'.')
    assert told.recv(7) == b'closed!'
    s, e = socket.socket(), select.epoll()
    e.register(s, select.EPOLLOUT)
    assert s.connect_ex(('127.0.0.1', port)) == errno.ECONNREFUSED, port
    s.connect(('127.0.0.1', 9))
    assert e.poll(5) == [(s.fileno(), select.EPOLLOUT)], port
    other, _ = control.accept()
    other.send(b'!', socket.MSG_OOB)
    assert select.select([], [], [s], 5)[2] and s.recv(1, socket.MSG_OOB) == b'!'
    told.sendall(b'.')
print('done', flush=True)
s.close()
time.sleep(60)
"""


def case_up_tries_again():
    """A listener that one program closes refuses another at once, which tries elsewhere with the same
    socket, and is sent urgent data; and tern why tells who does not close."""
    write("again.py", TRIES_AGAIN)
    write("listeners.py", LISTENERS)
    with Up():
        with program(PYTHON, "again.py") as first:
            said(first, "ready")
            tern("run", *ON_IT, "--", PYTHON, "listeners.py", "127.0.0.1")
            said(first, "done")
            soon("tern why does not tell", lambda: "(python3)" in subprocess.run(
                [TERN, "why", "--stack", "s"], capture_output=True, text=True, timeout=20).stdout)
            told = tern("why", "--stack", "s")
            require("has not called close" in told, told)
            first.process.terminate()
    return "50 refused, and 50 tried again"


HOLD_UDP = """
import socket, time
a = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for i in range(3)]
a[0].bind(('0.0.0.0', 53))
a[1].bind(('127.0.0.1', 54))
a[2].connect(('127.0.0.1', 54))
a[2].send(b'x' * 100)
l = socket.create_server(('0.0.0.0', 7))
print('ready', flush=True)
time.sleep(60)
"""


def case_up_ss_udp():
    """tern ss -u shows the programs' UDP sockets as ss shows the kernel's, and whose they are."""
    with Up(), program(PYTHON, "-c", HOLD_UDP) as holder:
        said(holder, "ready")
        lines = [line.split(maxsplit=5) for line in ss("-uapH").splitlines()]
        by = {line[3]: line for line in lines}
        require(sorted(line[0] for line in lines) == ["ESTAB", "UNCONN", "UNCONN"], f"{lines}")
        require(by["*:53"][1:5] == ["0", "0", "*:53", "*:*"], f"{by['*:53']}")
        require(int(by["127.0.0.1:54"][1]) > 100, f"what waits: {by['127.0.0.1:54']}")
        require(all('users:(("python3",pid=' in line[5] for line in lines), f"{lines}")
        require([line.split()[4] for line in ss("-uH").splitlines()] == ["127.0.0.1:54"], "connected")
        require(len(ss("-ulH").splitlines()) == 2, "not connected")
        both = ss("-tul").splitlines()
        require(both[0].startswith("Netid State") and {line.split()[0] for line in both[1:]} == {"udp", "tcp"},
                f"{both}")
        require("udp" not in ss("-a") and len(json.loads(ss("-uaj"))) == 3, "TCP and UDP are mixed")
        holder.process.terminate()
        holder.process.wait(20)
        require(ss("-uaH") == "", "UDP sockets are left")
    return "two that wait, one that is connected"


def case_up_udp_and_ping():
    """What is not TCP is shared, too."""
    with Up():
        with program(PYTHON, "-c", "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
                     "s.bind(('0.0.0.0', 53)); print('ready', flush=True)\n"
                     "for i in range(2): d, a = s.recvfrom(100); s.sendto(d, a)\n") as echo:
            said(echo, "ready")
            ask = ("import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(10)\n"
                   "s.sendto(b'ask', ('%s', 53)); assert s.recv(100) == b'ask'\n")
            on_tern(PYTHON, "-c", ask % "127.0.0.1", options=ON_IT)
            on_kernel(PYTHON, "-c", ask % OURS)
            echo.process.wait(20)
        on_tern(need("ping"), "-c", "1", "-W", "5", KERNEL, options=ON_IT)
    return "a datagram between programs, one from outside, ping"


GIVER = """
import array, socket, time
l = socket.create_server(('0.0.0.0', 7))
u = socket.socket(socket.AF_UNIX)
u.connect('give')
u.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [l.fileno()]))])
"""
TAKER = """
import array, errno, os, socket
if os.path.exists('give'): os.unlink('give')
u = socket.socket(socket.AF_UNIX)
u.bind('give')
u.listen()
print('ready', flush=True)
c, _ = u.accept()
_, anc, _, _ = c.recvmsg(1, 100)
l = socket.socket(fileno=array.array('i', anc[0][2])[0])
print('taken', flush=True)
try:
    c, _ = l.accept()
    c.sendall(c.recv(5))
except OSError as e:
    print(errno.errorcode[e.errno], flush=True)
"""


def case_up_socket_is_passed():
    """A listening socket outlives the program that made it, in the one it was given to."""
    with Up():
        write("giver.py", GIVER)
        write("taker.py", TAKER)
        with program(PYTHON, "taker.py") as taker:
            said(taker, "ready")
            tern("run", *ON_IT, "--", PYTHON, "giver.py")
            said(taker, "taken")
            time.sleep(1.5)  # a sweep
            with socket.create_connection((OURS, 7), 5) as s:
                s.sendall(b"hello")
                require(s.recv(5) == b"hello", "not served")
            taker.process.wait(20)
        # Whose starter is killed before it has ended takes it along, and who waits on it is told.
        write("giver.py", GIVER + "print('given', flush=True)\ntime.sleep(60)\n")
        with program(PYTHON, "taker.py") as taker:
            said(taker, "ready")
            giver = program(PYTHON, "giver.py").__enter__()
            said(giver, "given")
            said(taker, "taken")
            giver.process.kill()
            said(taker, "ENETDOWN")
            taker.process.wait(20)


# --- deaths ------------------------------------------------------------------------------------

SERVE = """
import socket
l = socket.create_server(('0.0.0.0', 7))
print('ready', flush=True)
while True:
    c, _ = l.accept()
    c.sendall(c.recv(5))
    c.close()
"""
HOLD = """
import errno, socket, sys, time
s = socket.create_connection(('%s', 7))
print('held', flush=True)
try:
    print('end', s.recv(10))
except OSError as e:
    print(errno.errorcode[e.errno], flush=True)
try:
    socket.create_connection(('%s', 7))
except OSError as e:
    print('new', errno.errorcode[e.errno], flush=True)
""" % (KERNEL, KERNEL)


def held_by_kernel():
    """A server of the kernel's that says nothing; returns it."""
    return socket.create_server((KERNEL, 7))


def reset(connection):
    connection.settimeout(10)
    try:
        return connection.recv(10) == b"" and "an end"
    except ConnectionResetError:
        return "a reset"


def still_serves():
    on_kernel(PYTHON, "-c", f"import socket\ns = socket.create_connection(('{OURS}', 7), 5)\n"
              "s.sendall(b'hello')\nassert s.recv(5) == b'hello'\n")


def case_up_client_killed():
    """kill -9 of `tern run` takes its program along, and nobody else's."""
    write("serve.py", SERVE)
    write("hold.py", HOLD)
    with Up() as up:
        with program(PYTHON, "serve.py") as server:
            said(server, "ready")
            before = up.descriptors()
            # One with a child that goes on: it has no connection any more.
            script = f"{PYTHON} hold.py & echo $! > child; wait"
            with held_by_kernel() as l, program("sh", "-c", script) as client:
                connection, _ = l.accept()
                said(client, "held")
                client.process.kill()
                require(reset(connection) == "a reset", "the peer is not told")
                said(client, "ECONNRESET")
                said(client, "new ENOSYS")
                connection.close()
            soon("the program lives", lambda: "programs: 1\n" == up.output()[-12:])
            soon("descriptors are left", lambda: up.descriptors() == before)
            still_serves()
            require("hold.py" not in sh("ps -eo args"), "a process is left")
            server.process.send_signal(signal.SIGTERM)
            server.process.wait(20)
    return "reset, ENOSYS for its children; another serves on"


def case_up_program_killed():
    """kill -9 of a program is its exit status, and a reset or an end to its peers, as from a kernel."""
    write("hold.py", HOLD)
    write("serve.py", SERVE)
    with Up():
        with program(PYTHON, "serve.py") as server, program(PYTHON, "hold.py") as client:
            with held_by_kernel() as l:
                connection, _ = l.accept()
                said(client, "held")
                sh("pkill -KILL -f '^/usr/bin/python3 hold.py'")
                require(client.process.wait(20) == 128 + signal.SIGKILL, "the exit status")
                require(reset(connection), "the peer is not told")
            said(server, "ready")
            still_serves()
            server.process.send_signal(signal.SIGTERM)
            server.process.wait(20)


def case_up_killed():
    """kill -9 of `tern up`: programs and their peers are told, tern run says so, and it can come again."""
    write("hold.py", HOLD)
    write("serve.py", SERVE)
    with Up(stop=False) as up, held_by_kernel():
        with program(PYTHON, "hold.py") as client, program(PYTHON, "serve.py") as server:
            said(client, "held")
            said(server, "ready")
            up.process.kill()
            said(client, "ECONNRESET")
            said(client, "new ENOSYS")
            require(client.process.wait(20) == 0, "its exit status is the program's")
            for each in (client, server):
                said(each, 'stack "s" has ended')
            server.process.send_signal(signal.SIGTERM)
            require(server.process.wait(20), "a server without a stack ends well")
    require("s.sock" in os.listdir(home()), f"killed: {os.listdir(home())}")
    require("no stack" in tern("run", *ON_IT, "--", "true", rc=125), "a stack that was killed is joined")
    with Up():
        tern("run", *ON_IT, "--", "true")
    return "ECONNRESET, then ENOSYS; and up again"


def case_up_down():
    """tern down ends it in order: calls that wait are answered, too."""
    write("accept.py", "import errno, socket\nl = socket.create_server(('0.0.0.0', 7))\nprint('ready', flush=True)\n"
          "try:\n    l.accept()\nexcept OSError as e:\n    print(errno.errorcode[e.errno], flush=True)\n")
    require("s is 10.77.0.2" in tern("up", "s", "--detach"), "not up")
    require("runs already" in tern("up", "s", rc=1), "twice")
    pid = int(open(home() + "/s.pid", encoding="utf-8").read())
    require(str(pid) in tern("ls", "-H"), "the pid")
    with program(PYTHON, "accept.py") as server:
        said(server, "ready")
        require("1 program" in tern("down", "s"), "nobody was on it")
        said(server, "ENETDOWN")
        said(server, 'stack "s" has ended')
        require(server.process.wait(20) == 0, "its exit status is the program's")
    require("no stack" in tern("down", "s", rc=1) and os.listdir(home()) == [], "it is not down")
    for _ in range(5):  # its TAP is free once it is down
        tern("up", "s", "-d")
        tern("down", "s")
    require("no stack" not in tern("ls", rc=0), "ls of nothing")
    with Server("sleep", "5", tern=True, options=("--name", "other"), stop=signal.SIGTERM):
        soon("not there", lambda: "other" in tern("ls"))
        require("ends with it" in tern("down", "other", rc=1), "a tern run is put down")
        require("no stack" in tern("run", "--stack", "other", "--", "true", rc=125), "a tern run is joined")
    return "ENETDOWN to who waits"


# --- many --------------------------------------------------------------------------------------

def case_up_come_and_go():
    """Programs come and go, ten at a time, and leave nothing behind."""
    write("both.py", "import socket\nl = socket.create_server(('0.0.0.0', 0))\n"
          "s = socket.create_connection(('127.0.0.1', l.getsockname()[1]))\nc, _ = l.accept()\n"
          "s.sendall(b'x' * 100000)\nn = 0\nwhile n < 100000: n += len(c.recv(65536))\n"
          "socket.socket().bind(('0.0.0.0', 0))\n")
    with Up() as up:
        before = up.descriptors()
        for _ in range(2):
            many = [subprocess.Popen([TERN, "run", *ON_IT, "--", PYTHON, "both.py"]) for _ in range(10)]
            for each in many:
                require(each.wait(60) == 0, "one failed")
        soon(f"{up.descriptors()} descriptors, not {before}", lambda: up.descriptors() == before)
        require(ss("-H") == "" and ss("-lH") == "", "sockets are left")
        require(json.loads(tern("ls", "-j"))[0]["programs"] == [], "programs are left")
    return f"20 programs, {before} descriptors before and after"


# --- strangers ---------------------------------------------------------------------------------

def knock(path):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.connect(path)
    s.settimeout(10)
    return s


def case_up_strangers():
    """Another user cannot join, even where the file system lets him."""
    nobody = [need("setpriv"), "--reuid=65534", "--regid=65534", "--clear-groups"]
    if os.geteuid() != 0 or sh("cat /proc/self/uid_map").split()[2] != "4294967295":
        raise Missing("only root can become somebody else")
    with Up() as up:
        path = home() + "/s.join"
        require(os.stat(path).st_mode & 0o777 == 0o600, "not the user's own")
        joined = subprocess.run(nobody + [TERN, "run", *ON_IT, "--", "true"], capture_output=True, text=True)
        require(joined.returncode == 125 and "not a directory of this user's" in joined.stderr, joined.stderr)
        os.chmod(home(), 0o777)
        os.chmod(path, 0o777)
        write("stranger.py", f"import socket\ns = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
              f"s.connect('{path}')\nprint(s.recvmsg(1000, 1000)[:2])\n")
        said_to = sh(nobody + [PYTHON, os.path.abspath("stranger.py")])
        require("another user" in said_to and "SCM_RIGHTS" not in said_to and ", [])" in said_to, said_to)
        os.chmod(home(), 0o700)
        require("programs: 1" not in up.output(), "a stranger is on it")
    return "refused by the directory, and by the socket"


def case_up_hostile():
    """Nonsense at the door, dawdlers, crowds and things that are no filters harm nobody."""
    write("serve.py", SERVE)
    with Up() as up:
        with program(PYTHON, "serve.py") as server:
            said(server, "ready")
            path, before = home() + "/s.join", up.descriptors()
            pipe = array.array("i", os.pipe())
            size = len(knock(path).recv(1000))
            listener = (1).to_bytes(4, "little") + (2).to_bytes(4, "little") + bytes(size - 8)
            for packet in (b"", b"x", b"x" * 100000, bytes(size), listener, listener[:8],
                           listener[:4] + (5).to_bytes(4, "little") + listener[8:]):
                with knock(path) as s:
                    s.recv(1000)
                    s.sendall(packet)
                    require(s.recv(1000) in (b"",), f"{packet[:8]} is answered")
            with knock(path) as s:
                s.recv(1000)
                rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, pipe)]
                s.sendmsg([listener], rights)
                require(b"no filter" in s.recv(1000), "a pipe is taken for a filter")
            with knock(path) as s:
                s.recv(1000)
                s.sendmsg([listener], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [pipe[0]] * 100))])
                require(b"no filter" in s.recv(1000), "a hundred pipes are taken for a filter")
            crowd = []
            for _ in range(600):
                crowd.append(knock(path))
            soon("a crowd is let in", lambda: up.descriptors() > before + 100)
            refused = sum(b"too many" in s.recv(1000) for s in crowd)
            require(refused == 600 + 1 - 512, f"{refused} of 600 were turned away")
            still_serves()
            for s in crowd:
                s.close()
            # Who comes while there is no descriptor left is let in when there is one again.
            soon("the crowd stays", lambda: up.descriptors() == before)
            limits = resource.prlimit(up.process.pid, resource.RLIMIT_NOFILE)
            open_ones = set(os.listdir(f"/proc/{up.process.pid}/fd"))
            first_free = next(n for n in range(1000) if str(n) not in open_ones)
            resource.prlimit(up.process.pid, resource.RLIMIT_NOFILE, (first_free, limits[1]))
            late = subprocess.Popen([TERN, "run", *ON_IT, "--", "true"])
            time.sleep(1)
            require(late.poll() is None, "let in without a descriptor")
            resource.prlimit(up.process.pid, resource.RLIMIT_NOFILE, limits)
            require(late.wait(20) == 0, "not let in")
            soon(f"descriptors are left: {up.descriptors()}, not {before}", lambda: up.descriptors() == before)
            tern("run", *ON_IT, "--", "true")
            still_serves()
            server.process.send_signal(signal.SIGTERM)
            server.process.wait(20)
    return f"{refused} of 600 turned away"


TAKES_AWAY = r'''
import array, ctypes, fcntl, os, signal, socket, struct, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)
door, up = sys.argv[1:]
NR = {"x86_64": (317, 110), "aarch64": (277, 173)}[os.uname().machine]  # seccomp, getppid
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.connect(door)
size = len(s.recv(1000))
ours, its = socket.socketpair()
pid = os.fork()
if pid == 0:  # calls, and whoever listens is told
    code = b"".join(struct.pack("HBBI", *i) for i in (
        (0x20, 0, 0, 0), (0x15, 0, 1, NR[1]), (6, 0, 0, 0x7fc00000), (6, 0, 0, 0x7fff0000)))
    code = ctypes.create_string_buffer(code)
    libc.prctl(38, 1, 0, 0, 0)
    fd = libc.syscall(NR[0], 1, 8, struct.pack("HxxxxxxQ", 4, ctypes.addressof(code)))
    its.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])
    its.recv(1)
    while True:
        libc.syscall(NR[1])
fd = array.array("i", ours.recvmsg(1, 100)[1][0][2])[0]
message = struct.pack("=II", 1, 2) + bytes(size - 8)
s.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])
assert s.recv(1000)[4] == 3


def take():
    while True:
        call = bytearray(80)
        try:
            fcntl.ioctl(fd, 0xc0502100, call)
            fcntl.ioctl(fd, 0xc0182101, bytearray(call[:8]) + struct.pack("qiI", 0, 0, 1))
        except OSError:
            pass


def in_ioctl():
    with open(f"/proc/{up}/syscall") as file:
        return file.read().split()[0] in ("16", "29")


threading.Thread(target=take, daemon=True).start()
ours.send(b"g")
for _ in range(100):
    time.sleep(0.01)
    os.kill(pid, signal.SIGSTOP)
    time.sleep(0.2 if in_ioctl() else 0.01)
    if in_ioctl():
        break
    os.kill(pid, signal.SIGCONT)
print("held", flush=True)
s.recv(1)
os.kill(pid, signal.SIGKILL)
'''


def case_up_calls_taken_away():
    """Who keeps a listener that was handed over, and takes calls away, does not stop the stack."""
    write("serve.py", SERVE)
    write("takes.py", TAKES_AWAY)
    with Up() as up:
        with program(PYTHON, "serve.py") as server:
            said(server, "ready")
            with Server(PYTHON, "takes.py", home() + "/s.join", str(up.process.pid), stop=None) as thief:
                said(thief, "held")
                still_serves()
                thief.process.kill()
            still_serves()
            server.process.send_signal(signal.SIGTERM)
            server.process.wait(20)
    return "the others are served"


def case_up_ordinary_user():
    """Nobody's rights are enough, where /dev/net/tun is as Debian has it."""
    if os.geteuid() != 0 or sh("cat /proc/self/uid_map").split()[2] != "4294967295":
        raise Missing("only root can become somebody else")
    sh("mknod tun c 10 200; chmod 666 tun; mount -o remount,dev . ; mount --bind tun /dev/net/tun; "
       "mkdir www run; echo hello > www/hello; chmod -R a+rX .; chown 65534:65534 run; chmod 700 run")
    env = {**os.environ, "XDG_RUNTIME_DIR": os.path.abspath("run"), "HOME": "/"}
    nobody = [need("setpriv"), "--reuid=65534", "--regid=65534", "--clear-groups", TERN]

    def as_nobody(*command, rc=0):
        done = subprocess.run(nobody + list(command), capture_output=True, text=True, timeout=60, env=env)
        print("$ tern", *command, "\n", done.stdout, done.stderr)
        require(done.returncode == rc, f"{command}: exit {done.returncode}: {done.stderr}")
        return done.stdout + done.stderr

    as_nobody("up", "s", "-d")
    with open("server.log", "w+", encoding="utf-8") as log, subprocess.Popen(
            nobody + ["run", "-v", *ON_IT, "--", PYTHON, "-m", "http.server", "8000", "-d", "www"],
            stdout=log, stderr=log, env=env) as server:
        soon("it does not listen", lambda: ":8000" in as_nobody("ss", "-lpH"))
        require("python3" in as_nobody("ss", "-lpH"), "its owner is not shown")
        for host in ("127.0.0.1", OURS):
            got = as_nobody("run", "-v", *ON_IT, "--", "sh", "-c", f"id -u; curl -sS http://{host}:8000/hello")
            require(got.split()[:2] == ["65534", "hello"], got)
            check_clean(got)
        server.terminate()
        server.wait(20)
    as_nobody("down", "s")
    require(os.listdir("run/tern") == [], f"left behind: {os.listdir('run/tern')}")


def case_up_two():
    """Two stacks, each with its own ports; who looks has to say at which."""
    write("serve.py", SERVE)
    tern("up", "a", "-d")
    tern("up", "b", "-d", "--tap", "tern1", "--addr", "10.78.0.2/24", "--kernel-addr", "10.78.0.1/24")
    servers = [Server(TERN, "run", "--stack", name, "--", PYTHON, "serve.py", stop=signal.SIGTERM)
               for name in "ab"]
    with servers[0], servers[1]:
        for server in servers:
            said(server, "ready")
        for host in (OURS, "10.78.0.2"):
            with socket.create_connection((host, 7), 5) as s:
                s.sendall(b"hello")
                require(s.recv(5) == b"hello", "not served")
        require([line.split()[0] for line in tern("ls", "-H").splitlines()] == ["a", "b"], "not both")
        require("several stacks" in tern("ss", rc=1), "which?")
        require(":7" in ss("-lH", "--stack", "b"), "b does not listen")
    for name in "ab":
        tern("down", name)
    return "10.77.0.2 and 10.78.0.2"


SHARED = """
import socket, time
many = []
for i in range(16):
    l = socket.socket()
    l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    l.bind(('0.0.0.0', 7))
    l.listen()
    many.append(l)
print('ready', flush=True)
time.sleep(1.5)
for l in many:
    l.close()
time.sleep(2)
l = socket.create_server(('0.0.0.0', 7))
print('again', flush=True)
c, _ = l.accept()
c.sendall(c.recv(5))
"""


def case_reuseport_closed_together():
    """Of sockets that share a port, one that is found closed takes along those its connections would go to."""
    write("shared.py", SHARED)
    with Up():
        with program(PYTHON, "shared.py") as server:
            said(server, "ready")
            held = [socket.create_connection((OURS, 7), 5) for _ in range(40)]
            said(server, "again")
            still_serves()
            server.process.wait(20)
        require(all(reset(s) for s in held), "somebody is not told")


def case_run_killed():
    """kill -9 of `tern run`, without a stack of others, takes its program along as well."""
    with Server(TERN, "run", "--", "sleep", "100", stop=None) as server:
        soon("it does not begin", lambda: "sleep 100" in sh("ps -eo args | grep -v -e grep -e tern || true"))
        server.process.kill()
        soon("the program lives", lambda: "sleep 100" not in sh("ps -eo args | grep -v grep || true"))


def case_run_beside_another():
    """Whose TAP is another's is told how both may run, and so they do."""
    with Server(PYTHON, "-m", "http.server", "80", tern=True, port=80):
        said = tern("run", "--", "true", rc=125)
        require("tern up NAME" in said and "another program has it" in said, said)
        options = re.search(r"(--tap tern1 [^)]*)\)", said)[1].split()
        on_tern(need("ping"), "-c", "1", "-W", "5", "10.78.0.1", options=options)


def case_up_options():
    """What a stack is like is said once, to tern up."""
    with Up("--impair", "delay=30ms", "--set", "tcp_fin_timeout=7", "--pcap", "up.pcapng"):
        require("tern up" in tern("run", *ON_IT, "--mtu", "1400", "--", "true", rc=2), "two say")
        out = on_tern(need("ping"), "-c", "1", "-W", "5", KERNEL, options=ON_IT)
        require(float(out.split("time=")[1].split()[0]) >= 60, "the impairment is not there")
    require(os.path.getsize("up.pcapng") > 100, "no capture")
    require("nonsense" in tern("up", "s", "--set", "nonsense=1", rc=2), "a setting that there is not")
    tern("up", rc=2)
    tern("up", "a", "b", rc=2)
    require("tern up NAME" in tern("up", "--name", "a", rc=2), "two ways to name it")
    require("letters" in tern("up", "../s", rc=2), "a name with a slash")
    tern("down", rc=2)
