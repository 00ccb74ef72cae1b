"""The door's knobs with the kernel as peer, both ways: what becomes of a connection for which the
accept queue has no room, of a peer that vanishes, and of a pair that is still in TIME_WAIT."""
import errno
import socket
import time

from lab import KERNEL, OURS, Failed, Server, on_kernel, on_tern, require, sh, write

PYTHON = "/usr/bin/python3"

# serve BACKLOG SECONDS COUNT: listens, accepts only after those seconds, echoes once on each.
# dial HOST COUNT APART: that many connections, the first APART of them one after the other, the rest
# at once; each says hello and tells what became of it.
QUEUE = """
import select, socket, sys, time
if sys.argv[1] == 'serve':
    l = socket.socket()
    l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    l.bind(('0.0.0.0', 7))
    l.listen(int(sys.argv[2]))
    print('ready', flush=True)
    time.sleep(float(sys.argv[3]))
    l.settimeout(12)
    for i in range(int(sys.argv[4])):
        c, _ = l.accept()
        c.settimeout(12)
        c.sendall(c.recv(5))
        c.close()
    print('all', flush=True)
else:
    socks = [socket.socket() for i in range(int(sys.argv[3]))]
    for i, s in enumerate(socks):
        s.setblocking(False)
        s.connect_ex((sys.argv[2], 7))
        if i < int(sys.argv[4]):
            time.sleep(0.3)
    time.sleep(0.8)
    p = select.poll()
    for s in socks:
        p.register(s, select.POLLOUT)
    print('connected', sum(e == select.POLLOUT for _, e in p.poll(0)))
    for s in socks: # to all, and only then: the server takes them in another order
        s.settimeout(15)
        try:
            select.select([], [s], [], 15)
            s.sendall(b'hello')
        except (ConnectionResetError, BrokenPipeError):
            print('reset')
            s.close()
    for s in socks:
        try:
            if s.fileno() >= 0:
                print('ok' if s.recv(10) == b'hello' else 'nothing')
        except (ConnectionResetError, BrokenPipeError):
            print('reset')
"""

SLOW = ("--impair", "delay=50ms")  # so that SYNs sent at once are there before the first ACK


def overflow(tern_serves, abort, count, taken):
    """Room for three. Two come, then the rest at once: all of those find room for their SYN, as one
    place is free, and one for its ACK. (Linux takes no more SYNs than the backlog at a time.)
    Returns what the clients saw."""
    write("queue.py", QUEUE)
    knob = ("--set", f"tcp_abort_on_overflow={abort}")
    serve = (PYTHON, "queue.py", "serve", "2", "3", str(taken))
    dial = (PYTHON, "queue.py", "dial", OURS if tern_serves else KERNEL, str(count), "2")
    sh(f"echo {abort} > /proc/sys/net/ipv4/tcp_abort_on_overflow")
    with Server(*serve, tern=tern_serves, options=SLOW + knob, stop=None) as server:
        until = time.monotonic() + 20
        while "ready" not in server.output():
            require(time.monotonic() < until, "the server does not listen")
            time.sleep(0.05)
        seen = on_kernel(*dial) if tern_serves else on_tern(*dial, options=SLOW)
        server.process.wait(20)
        require("all" in server.output(), f"the server did not hear {taken}")
    lines = seen.split("\n")
    return lines[0], lines.count("ok"), lines.count("reset")


def both_ways(abort, count, taken, want):
    for tern_serves in (True, False):
        got = overflow(tern_serves, abort, count, taken)
        who = "tern" if tern_serves else "the kernel"
        require(got == want, f"where {who} serves: {got}, not {want}")
    return f"{want[0]} of {count} at first, then {want[1]} heard and {want[2]} reset, both ways"


def case_door_backlog_full():
    """A SYN that finds the accept queue full is not answered; it is said again, and finds room."""
    write("queue.py", QUEUE)
    for tern_serves in (True, False):
        serve = (PYTHON, "queue.py", "serve", "2", "4", "6")
        with Server(*serve, tern=tern_serves, stop=None) as server:
            until = time.monotonic() + 20
            while "ready" not in server.output():
                require(time.monotonic() < until, "the server does not listen")
                time.sleep(0.05)
            first = (PYTHON, "queue.py", "dial", OURS if tern_serves else KERNEL, "6", "6")
            seen = on_kernel(*first) if tern_serves else on_tern(*first)
            server.process.wait(20)
            require("all" in server.output(), "the server did not hear six")
        require(seen.split("\n").count("ok") == 6, f"not all got in: {seen}")
        require(seen.startswith("connected 3\n"), f"not three of them at first: {seen}")
    return "3 of 6 at once, then all, both ways"


def case_door_overflow_drop():
    """The third ACK is dropped: the clients believe they are connected, and in the end they are."""
    return both_ways(0, 4, 4, ("connected 4", 4, 0))


def case_door_overflow_reset():
    return both_ways(1, 4, 3, ("connected 3", 3, 1))


KEEP = """
import select, socket, sys
l = socket.create_server(('0.0.0.0', 7))
print('ready', flush=True)
c, _ = l.accept()
for name, value in (('TCP_KEEPIDLE', 1), ('TCP_KEEPINTVL', 1), ('TCP_KEEPCNT', 2)):
    c.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
c.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
r, _, _ = select.select([c], [], [], 3.5)
print('alive' if not r else 'dead', flush=True)
r, _, _ = select.select([c], [], [], 15)
print(c.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if r else 'nothing', flush=True)
"""
ETIMEDOUT = "110"


def keepalive(tern_serves):
    write("keep.py", KEEP)
    write("hold.py", "import socket, sys, time\n"
          "c = socket.create_connection((sys.argv[1], 7))\nprint('ready', flush=True)\ntime.sleep(30)\n")
    with Server(PYTHON, "keep.py", tern=tern_serves, stop=None) as server:
        time.sleep(1.5)
        client = Server(PYTHON, "hold.py", OURS if tern_serves else KERNEL, tern=not tern_serves)
        with client:
            until = time.monotonic() + 15
            while "alive" not in server.output() and "dead" not in server.output():
                require(time.monotonic() < until, "the server heard nobody")
                time.sleep(0.1)
            sh("ip link set tern0 down")
            server.process.wait(25)
            sh("ip link set tern0 up")
        said = server.output().split("\n")
    require("alive" in said and ETIMEDOUT in said, f"it said {said}")


def case_door_keepalive():
    """A peer that is there answers; one whose cable is cut does not, and the program is told."""
    keepalive(True)
    keepalive(False)
    return "alive, then ETIMEDOUT, both ways"


def dial_again(s):
    """Once the last connection's FIN is acknowledged."""
    for _ in range(1000):
        try:
            return s.connect((OURS, 7))
        except OSError as e:
            if e.errno != errno.EADDRNOTAVAIL:
                raise
            time.sleep(0.002)
    raise Failed("the pair is not let go of")


def case_door_time_wait_reuse():
    """The server closes first, and the kernel's client comes again from the same port at once."""
    write("first.py", "import socket\nl = socket.create_server(('0.0.0.0', 7))\n"
          "while True:\n    c, _ = l.accept()\n    c.sendall(b'x')\n    c.close()\n")
    with Server(PYTHON, "first.py", tern=True, port=7):
        began = time.monotonic()
        for _ in range(50):
            with socket.socket() as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                s.bind((KERNEL, 5000))
                s.settimeout(10)
                dial_again(s)
                require(s.recv(10) == b"x" and s.recv(10) == b"", "not what was sent")
        took = time.monotonic() - began
    require(took < 20, f"it took {took:.1f} s: a SYN was refused")
    return f"50 connections from one port in {took:.2f} s"
