"""tern why, and the flight recorder: each diagnosis from the situation itself, with real programs."""
import json
import os
import re
import socket
import struct
import subprocess
import time

from lab import KERNEL, OURS, TERN, Server, need, require, sh, write

PYTHON = "/usr/bin/python3"
NAMED = ("--name", "web")


def why(*args, rc=0):
    done = subprocess.run([TERN, "why", *args], capture_output=True, text=True, timeout=20)
    print("$ why", *args, "\n", done.stdout[-6000:], done.stderr[-500:])
    require(done.returncode == rc, f"why {args}: exit {done.returncode}, not {rc}: {done.stderr}")
    return done.stdout + done.stderr


def until(what, *args, seconds=20):
    """Asks until the answer has it."""
    deadline = time.monotonic() + seconds
    while True:
        done = subprocess.run([TERN, "why", *args], capture_output=True, text=True, timeout=20)
        found = re.search(what, done.stdout, re.S)
        if found:
            print("$ why", *args, "\n", done.stdout[-3000:])
            return found
        require(time.monotonic() < deadline, f"not '{what}', but: {done.stdout[-2000:]}{done.stderr}")
        time.sleep(0.2)


def causes(*args):
    return {(c["state"], f["cause"]) for c in json.loads(why("--json", *args))["connections"]
            for f in c["why"]}


def wait_for(server, word):
    deadline = time.monotonic() + 20
    while word not in server.output():
        require(time.monotonic() < deadline, f"no '{word}': {server.output()[-500:]}")
        time.sleep(0.05)


def end(server):
    """Ends it without waiting for peers that will not answer."""
    server.process.terminate()
    time.sleep(0.3)
    if server.process.poll() is None:
        server.process.terminate()


# What the program on tern does with those who connect to port 7: accepts as many as it is told and
# then nothing.
HOLD = """
import socket, sys, time
l = socket.create_server(('0.0.0.0', 7), backlog=int(sys.argv[2]))
print('ready', flush=True)
held = [l.accept()[0] for i in range(int(sys.argv[1]))]
print('held', flush=True)
time.sleep(100)
"""


def holding(count, backlog=100, options=()):
    write("hold.py", HOLD)
    return Server(PYTHON, "hold.py", str(count), str(backlog), tern=True, options=NAMED + tuple(options))


def dial():
    return socket.create_connection((OURS, 7), 5)


def key(s):
    return f"{OURS}:7-{KERNEL}:{s.getsockname()[1]}"


def case_why_close_wait():
    """A server that forgets close."""
    with holding(6) as server:
        wait_for(server, "ready")
        peers = [dial() for _ in range(6)]
        wait_for(server, "held")
        one = key(peers[0])
        require("nothing is stuck" in why(rc=1), "something is stuck")
        require("Nothing to send and nothing to read" in why(one), "it is not idle")
        for s in peers[:5]:
            s.close()
        found = until(r"5 connections in CLOSE_WAIT held by pid (\d+) \(python3\), the oldest for "
                      r"([\d.]+) s: they got the peer's FIN and the program has not called close")
        pid = found.group(1)
        with open(f"/proc/{pid}/cmdline", encoding="utf-8") as line:
            require("hold.py" in line.read(), "another process")
        require("5 connections in CLOSE_WAIT" in why(pid) and "Nothing to send" in why(pid), "by its pid")
        require("held by pid" in why(one) and "has not called close" in why(one), "by LOCAL-REMOTE")
        require("has not called close" in why(*one.split("-")), "by what ss prints in two columns")
        require(causes(one.rsplit(":", 1)[1]) == {("CLOSE_WAIT", "close-wait")}, "by its port")
        require(causes(f":{one.rsplit(':', 1)[1]}") == causes(one), "by :PORT")
        require(len(json.loads(why("-j", KERNEL))["connections"]) == 6, "by a part")
        require("no connection" in why("1", rc=1) and "no connection" in why("10.77.0.3", rc=1), "a stranger")
        require("about one connection" in why("7", "--ladder", rc=1), "the ladder of many")
        for bad in (("--nonsense",), ("a", "b", "c"), ("",), ("--pcap", "x")):
            why(*bad, rc=2)
        require("no stack" in why("--stack", "nope", rc=1), "a stack that is not there")
        require("--pcap /nonexistent/x" in why(one, "--pcap", "/nonexistent/x", rc=1), "a file that cannot be")
        peers[5].close()
    return f"five of pid {pid}, the oldest {found.group(2)} s"


def case_why_program_does_not_read():
    """A little, in its own socket; and all that buffers hold, so that our window is closed."""
    with holding(2) as server:
        wait_for(server, "ready")
        little, much = dial(), dial()
        wait_for(server, "held")
        little.sendall(b"x" * 5000)
        much.setblocking(False)
        sent = 0
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            try:
                sent += much.send(b"x" * 65536)
            except BlockingIOError:
                time.sleep(0.1)
        said = until(r"has not read 5,000 bytes for at least (\d)", key(little))
        closed = until(r"has not read (\S+ [KM]iB) for ([\d.]+) s: the receive buffer is full and our "
                       r"window closed", key(much))
        lines = subprocess.run([TERN, "ss", "-H"], capture_output=True, text=True).stdout.splitlines()
        queued = {l.split()[4]: int(l.split()[1]) for l in lines}
        print(queued, sent)
        require(queued[f"{KERNEL}:{little.getsockname()[1]}"] == 5000, f"Recv-Q of the little: {queued}")
        kernel = subprocess.run(["ss", "-tinH", "dst", OURS], capture_output=True, text=True).stdout
        print(kernel)
        require(("ESTABLISHED", "window-closed") in causes(), "among what is stuck")
        little.close()
        much.close()
    return f"5,000 bytes for {said.group(1)} s, and {closed.group(1)} behind a closed window"


def case_why_accept_queue():
    """A listener that never accepts."""
    with holding(0, backlog=2) as server:
        wait_for(server, "held")
        waiting = [dial() for _ in range(2)]
        until(r"2 connections wait for the program to call accept, the first for ([\d.]+) s; there is room "
              r"for 1 more", "7")
        until(r"is established and has waited in its listener's accept queue", key(waiting[0]))
        waiting.append(dial())
        late = socket.socket()
        late.setblocking(False)
        late.connect_ex((OURS, 7))
        full = until(r"accept queue has been full for ([\d.]+) s: 3 connections wait \(backlog 2\), the first for "
                     r"([\d.]+) s", "*:7")
        require(float(full.group(1)) <= float(full.group(2)), "full before the first came")
        require(("LISTEN", "accept-queue-full") in causes(), "among what is stuck")
        for s in waiting + [late]:
            s.close()
    return f"full since {full.group(1)} s, the first for {full.group(2)} s"


# Connects, and then waits.
CONNECT = """
import socket, sys, time
s = socket.socket()
s.setblocking(False)
s.connect_ex((sys.argv[1], int(sys.argv[2])))
print('ready', flush=True)
time.sleep(100)
"""


def case_why_syn_unanswered():
    """A host that drops SYNs; one that is not there; and SYN-ACKs that are dropped."""
    iptables = need("iptables")
    sh(f"{iptables} -A INPUT -p tcp --dport 9 -j DROP")
    sh(f"{iptables} -A INPUT -p tcp --sport 7 --tcp-flags SYN,ACK SYN,ACK -j DROP")
    write("connect.py", CONNECT)
    with Server(PYTHON, "connect.py", KERNEL, "9", tern=True, options=NAMED) as server:
        retry = until(r"SYN unanswered for ([\w. ]+): retry 2 of 6 in ([\d.]+) m?s", "9")
        require(causes() == {("SYN_SENT", "syn-unanswered")}, "among what is stuck")
        end(server)
    with Server(PYTHON, "connect.py", "10.77.0.77", "9", tern=True, options=NAMED) as server:
        until(r"next hop on the way to 10.77.0.77:9 has not answered ARP", "9")
        end(server)
    with holding(1) as server:
        wait_for(server, "ready")
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex((OURS, 7))
        answer = until(r"SYN-ACK unanswered for ([\w. ]+): retry \d of 5 in ([\d.]+) m?s", key(s))
        s.close()
        end(server)
    return f"SYN since {retry.group(1)}, SYN-ACK since {answer.group(1)}"


# Connects and writes until nothing more is taken.
WRITER = """
import socket, sys, time
s = socket.create_connection((sys.argv[1], 9))
s.setblocking(False)
sent = 0
until = time.monotonic() + 1.5
while time.monotonic() < until:
    try:
        sent += s.send(b'x' * 65536)
    except BlockingIOError:
        time.sleep(0.05)
print('ready', sent, flush=True)
time.sleep(100)
"""


def case_why_peer_window():
    """A kernel peer that stops reading, and then one that is not heard any more."""
    iptables = need("iptables")
    write("writer.py", WRITER)
    with socket.create_server((KERNEL, 9)) as listener, \
            Server(PYTHON, "writer.py", KERNEL, tern=True, options=NAMED) as server:
        peer, _ = listener.accept()
        wait_for(server, "ready")
        alive = until(r"peer's window has been closed for ([\d.]+) s: its program does not read. (\S+ [KM]iB) wait to "
                      r"be sent; its TCP answers our probes", "9")
        require(("ESTABLISHED", "peer-window-closed") in causes(), "among what is stuck")
        sh(f"{iptables} -A INPUT -p tcp --dport 9 -j DROP")
        until(r"[12] probes? unanswered, the next in", "9", seconds=40)
        ladder = why("9", "--ladder")
        require("1st handshake" in ladder and "offers no window" in ladder, "no ladder of it")
        peer.close()
        end(server)
    return f"{alive.group(2)} since {alive.group(1)} s"


def case_why_retransmission():
    """A peer that is not heard any more."""
    iptables = need("iptables")
    write("late.py", "import socket, sys, time\ns = socket.create_connection((sys.argv[1], 9))\n"
          "s.recv(1)\ns.sendall(b'x' * 3000)\ntime.sleep(100)\n")
    with socket.create_server((KERNEL, 9)) as listener, \
            Server(PYTHON, "late.py", KERNEL, tern=True, options=NAMED) as server:
        peer, _ = listener.accept()
        time.sleep(0.3)
        sh(f"{iptables} -A INPUT -p tcp --dport 9 -j DROP")
        peer.sendall(b"x")
        found = until(r"3,000 bytes unacknowledged for ([\d.]+) s: sent again (\d) times in a row in vain, retry "
                      r"\d of 15 in", "9")
        require(("ESTABLISHED", "unacknowledged") in causes(), "among what is stuck")
        peer.close()
        end(server)
    return f"since {found.group(1)} s, {found.group(2)} timeouts"


def case_why_unreachable():
    """A router says that there is no way: the program can ask for it, and it is why the end came."""
    iptables = need("iptables")
    write("soft.py", "import errno, select, socket, sys, time\n"
          "s = socket.create_connection((sys.argv[1], 9))\ns.recv(1)\ns.sendall(b'x' * 1000)\n"
          "def ask():\n    return s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)\n"
          "while not (soft := ask()):\n    time.sleep(0.05)\n"
          "print('told', errno.errorcode[soft], 'then', ask(), flush=True)\n"
          "gone = select.poll()\ngone.register(s, 0)\ngone.poll()\n"
          "print('ended', errno.errorcode[ask()], flush=True)\n")
    with socket.create_server((KERNEL, 9)) as listener, \
            Server(PYTHON, "soft.py", KERNEL, tern=True,
                   options=(*NAMED, "--set", "tcp_retries2=4")) as server:
        peer, _ = listener.accept()
        time.sleep(0.3)
        sh(f"{iptables} -A INPUT -p tcp --dport 9 -j REJECT --reject-with icmp-host-unreachable")
        peer.sendall(b"x")
        until(r"sent again \d times? in a row in vain, .* The network says: no route to host", "9")
        wait_for(server, "told EHOSTUNREACH then 0")
        wait_for(server, "ended EHOSTUNREACH")
        peer.close()
    return "told while it lasted, and at the end"


def case_why_fin_wait_2():
    """The program has shut its side down, and the peer goes on."""
    write("half.py", "import socket, sys, time\ns = socket.create_connection((sys.argv[1], 9))\n"
          "s.shutdown(socket.SHUT_WR)\nif len(sys.argv) > 2:\n    s.close()\ntime.sleep(100)\n")
    with socket.create_server((KERNEL, 9)) as listener:
        with Server(PYTHON, "half.py", KERNEL, tern=True, options=NAMED):
            peer, _ = listener.accept()
            until(r"held by pid \d+ \(python3\).*has shut down its side and the peer has acknowledged that, but "
                  r"for .* has not closed its own:", "9")
            peer.close()
        with Server(PYTHON, "half.py", KERNEL, "close", tern=True, options=NAMED):
            peer, _ = listener.accept()
            until(r"held by nobody.*has closed it .* for .* has not closed its own side: given up in \d+ s", "9")
            peer.close()
            until("stays out of use for 59 s more", "9")
    return "half-closed, closed, and over"


def reset(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def packets(path, show="tcp"):
    """What tshark makes of it: a line a packet, and none that it finds wrong."""
    tshark = need("tshark")
    done = subprocess.run([tshark, "-r", path, "-Y", show], capture_output=True, text=True, timeout=60)
    print(done.stdout[-2000:], done.stderr[-500:])
    require(done.returncode == 0 and "alformed" not in done.stdout, f"{path}: {done.stderr}")
    return done.stdout.splitlines()


def case_recorder():
    """--pcap and --ladder of one that lives, of one among a bulk of others, and of one that is no more."""
    need("tshark")
    with holding(3) as server:
        wait_for(server, "ready")
        first, bulk, dead = dial(), dial(), dial()
        wait_for(server, "held")
        first.sendall(b"hello")
        at, gone = key(first), key(dead)
        reset(dead)
        bulk.setblocking(False)
        time.sleep(0.5)
        require("was recorded" not in why(at, "--pcap", "first.pcapng"), "nothing recorded")
        lines = packets("first.pcapng")
        require(len(lines) >= 5 and "[SYN]" in lines[0] and "[SYN, ACK]" in lines[1], f"{lines[:3]}")
        require(len(packets("first.pcapng", "frame.comment")) == len(lines), "packets without a comment")
        ladder = why(at, "--ladder")
        require("1st handshake" in ladder and "3rd handshake" in ladder and "len 5" in ladder, "no ladder")
        require("1st handshake" in json.loads(why("-j", at, "--ladder"))["ladder"], "no ladder in JSON")
        said = why(gone)
        require(re.search(r"is no more: it ended [\d.]+ m?s ago in ESTABLISHED \(RST arrived\)", said), said)
        require("[RST" in packets("gone.pcapng" if why(gone, "--pcap", "gone.pcapng") else "")[-1], "no RST")
        require("no connection" in why(gone[:-1] + ("1" if gone[-1] != "1" else "2"), rc=1), "a stranger")
        first.close()
        bulk.close()
    with holding(1, options=("--recorder", "0")) as server:
        wait_for(server, "ready")
        s = dial()
        wait_for(server, "held")
        require("(--recorder 0)" in why(key(s), "--ladder", rc=1), "a recorder all the same")
        s.close()
    for bad in ("1", "x", "2G", "", "-5", "64KK"):
        done = subprocess.run([TERN, "run", "--recorder", bad, "--", "true"], capture_output=True, text=True)
        require(done.returncode == 2 and "--recorder" in done.stderr, f"--recorder {bad}: {done.stderr}")
    return f"{len(lines)} packets of one that lives, and the reset of one that does not"


def case_recorder_keeps_the_beginning():
    """A transfer at full speed does not wash away how the others began."""
    need("tshark")
    with Server(PYTHON, "-c", "import socket\nl = socket.create_server(('0.0.0.0', 7))\nheld = []\n"
                "while True:\n    c, _ = l.accept()\n    held.append(c)\n"
                "    if c.recv(1) == b'b':\n        while c.recv(1 << 20):\n            pass\n",
                tern=True, port=7, options=NAMED + ("--recorder", "256K")):
        quiet = dial()
        quiet.sendall(b"q")
        time.sleep(0.3)
        bulk = dial()
        bulk.sendall(b"b" + b"x" * (256 << 20))
        why(key(quiet), "--pcap", "quiet.pcapng")
        why(key(bulk), "--pcap", "bulk.pcapng")
        lines, of_bulk = packets("quiet.pcapng"), packets("bulk.pcapng")
        require("[SYN]" in lines[0] and len(lines) >= 5, f"its beginning is lost: {lines[:1]}")
        require("[SYN]" in of_bulk[0], f"the bulk's own beginning is lost: {of_bulk[:1]}")
        require(os.path.getsize("bulk.pcapng") < 4 << 20, "more than there may be")
        quiet.close()
        bulk.close()
    return f"{len(lines)} packets beside {len(of_bulk)} of the last of 256 MiB"


def case_record_the_dead():
    """--record: a capture of each connection that is reset or times out."""
    need("tshark")
    iptables = need("iptables")
    sh(f"{iptables} -A INPUT -p tcp --dport 9 -j DROP")
    write("connect.py", CONNECT)
    options = NAMED + ("--record", "dead")
    with holding(104, options=options) as server:
        wait_for(server, "ready")
        peers = [dial() for _ in range(104)]
        wait_for(server, "held")
        peers[0].sendall(b"hello")
        at = key(peers[0])
        time.sleep(0.2)
        for s in peers[:103]:
            reset(s)
        time.sleep(0.5)
        peers[103].close()
        server.process.terminate()
        server.process.wait(20)
        require("100 files, none for 3 more that died" in server.output(), server.output()[-300:])
    names = sorted(os.listdir("dead"))
    require(len(names) == 100 and all(n.startswith("web-") and "-reset-" in n for n in names), f"{names[:3]}")
    lines = packets(f"dead/{next(n for n in names if at in n)}")
    require("[SYN]" in lines[0] and "[RST" in lines[-1] and len(lines) >= 5, f"{lines}")
    with Server(PYTHON, "connect.py", KERNEL, "9", tern=True,
                options=("--record", "late", "--set", "tcp_syn_retries=1")) as server:
        deadline = time.monotonic() + 20
        while not (os.path.isdir("late") and os.listdir("late")):
            require(time.monotonic() < deadline, "no file of a timeout")
            time.sleep(0.1)
        time.sleep(0.2)
        end(server)
    name, = os.listdir("late")
    require("-timeout-" in name and len(packets(f"late/{name}")) == 2, name)
    for bad, status in ((("--record", "hold.py"), 125), (("--record", "/proc/x"), 125),
                        (("--record", "d", "--recorder", "0"), 2), (("--recorder", "0", "--record", "d"), 2)):
        done = subprocess.run([TERN, "run", *bad, "--", "true"], capture_output=True, text=True)
        require(done.returncode == status and "--record" in done.stderr, f"{bad}: {done.returncode} {done.stderr}")
    return f"{len(names)} resets of 103, and a timeout"
