"""Looking at a stack that runs: tern nstat, and the socket it asks."""
import json
import os
import re
import socket
import stat
import struct
import subprocess
import time

from lab import KERNEL, OURS, ROOT, TERN, Server, need, on_kernel, on_tern, require, write

PYTHON = "/usr/bin/python3"
SERVE = ("import socket\nl = socket.create_server(('0.0.0.0', 7))\nwhile True:\n    c, _ = l.accept()\n"
         "    c.sendall(c.recv(5))\n    c.close()\n")
HELLO = (f"import socket\ns = socket.create_connection(('{OURS}', 7))\ns.sendall(b'hello')\n"
         "assert s.recv(5) == b'hello'\n")


def home():
    """Where the sockets are."""
    return os.environ["XDG_RUNTIME_DIR"] + "/tern"


def nstat(*args, rc=0):
    done = subprocess.run([TERN, "nstat", *args], capture_output=True, text=True, timeout=20)
    print("$ nstat", *args, "\n", done.stdout[-2000:], done.stderr[-500:])
    require(done.returncode == rc, f"nstat {args}: exit {done.returncode}: {done.stderr}")
    return done.stdout if rc == 0 else done.stderr


def counted(*args):
    return json.loads(nstat("-j", *args))["web"]


def served():
    write("serve.py", SERVE)
    return Server(PYTHON, "serve.py", tern=True, port=7, options=("--name", "web"))


def case_usage():
    """Of every command: how to ask for it, and that what is no option is bad usage."""
    def tern(*args):
        return subprocess.run([TERN, *args], capture_output=True, text=True, timeout=20, input="")
    commands = re.findall(r"^  (\w+) ", tern("--help").stdout, re.M)
    for command in commands:
        for words in ((command, "--help"), (command, "-h"), ("help", command)):
            done = tern(*words)
            require(done.returncode == 0 and not done.stderr, f"{words}: {done}")
            require(done.stdout.startswith(f"usage: tern {command}"), f"{words}: {done}")
        done = tern(command, "--nonsense")
        require(done.returncode == 2 and not done.stdout and done.stderr, f"{command}: {done}")
    for words in (("script", "/"), ("script", "-D", "X", "-"), ("script", "--so-flags", "x", "-"),
                  ("script", "--tolerance", "", "-"), ("script",), ("script", "-"), ("lab", "all", "isn"), ("nonsense",)):
        done = tern(*words)
        require(done.returncode == 2 and words[0] in done.stderr.splitlines()[0], f"{words}: {done}")
    return f"{len(commands)} commands"


def case_settings():
    """The list is that of settings.def, and what cannot be set is said."""
    def settings(*args, rc=0):
        done = subprocess.run([TERN, "settings", *args], capture_output=True, text=True, timeout=20)
        require(done.returncode == rc, f"settings {args}: exit {done.returncode}: {done.stderr}")
        return done.stdout if rc == 0 else done.stderr
    with open(os.path.join(ROOT, "include/tern/settings.def")) as source:
        known = re.findall(r'^TERN_SETTING\((\w+), (\d+), (\d+), (\d+), "(.*)"\)$', source.read(), re.M)
    listed = json.loads(settings("--json"))
    require([tuple(str(s[key]) for key in ("name", "default", "min", "max", "text")) for s in listed] == known,
            "not what settings.def has")
    require(settings().splitlines()[1].split()[:3] == ["tcp_syn_retries", "6", "1..127"], "the first")
    require([s["name"] for s in json.loads(settings("-j", "msl", "fin_time"))] == ["tcp_fin_timeout", "tcp_msl"], "two")
    require(len(settings("-H", "tcp_ecn=1").splitlines()) == 1, "one that may be set")
    require(settings("-H", "tcp_congestion_control=reno"), "a congestion control by name")
    for wrong in ("nonsense=1", "tcp_ecn=9", "tcp_ecn=", "tcp_ecn=x", "=1"):
        require(wrong in settings("tcp_msl=1", wrong, rc=2), f"{wrong} is not named")
    require("nonsense" in settings("nonsense", rc=1), "no such setting")
    return f"{len(listed)} settings"


def case_nstat():
    where = home()
    require("no stack" in nstat(rc=1), "a stack before there is one")
    with served() as server:
        total = counted("-a")
        require(total["TcpPassiveOpens"] >= 1, "no passive open")
        require("TcpAttemptFails" not in total and counted("-a", "-z")["TcpAttemptFails"] == 0, "zeros")
        for _ in range(3):
            on_kernel(PYTHON, "-c", HELLO)
        require(counted("Passive", "Retrans") == {"TcpPassiveOpens": 3}, "not three more")
        require(counted("Passive") == {}, "more though nothing happened")
        on_kernel(PYTHON, "-c", HELLO)
        require(counted("-s", "Passive") == counted("-s", "Passive") == {"TcpPassiveOpens": 1}, "-s")
        text = nstat("-a", "--stack", "web", "PassiveOpens")
        require(re.fullmatch(r"#tern\.web\nTcpPassiveOpens +\d+\n", text), text)
        require("nope" in nstat("--stack", "nope", rc=1) and "letters" in nstat("--stack", "../web", rc=1),
                "a stack that is not there")
        nstat("--nonsense", rc=2)
        require(isinstance(counted("-d", "-a"), dict), "no drops")
        said = counted("-a")["TcpPassiveOpens"]
        server.process.terminate()
        server.process.wait(20)
        require(f" {said} accept" in server.output(), "nstat and the summary differ")
    require(os.listdir(where) == [], f"left behind: {os.listdir(where)}")
    server = served().__enter__()
    server.process.kill()
    server.process.wait(10)
    require("web.sock" in os.listdir(where), f"killed: {os.listdir(where)}")
    require("no stack" in nstat(rc=1) and os.listdir(where) == [], "what it left stays")
    with served():
        counted("-a")
    return f"{said} passive opens, and what each look gained"


def case_nstat_of_silence():
    """Of a program that does nothing nothing comes: no IPv6 of its kernel's either."""
    with Server("sleep", "20", tern=True, options=("--name", "web")):
        time.sleep(3)
        require(counted("-a") == {}, "something came")


def blocks(name):
    """The blocks of a pcapng file: type and body."""
    with open(name, "rb") as file:
        data = file.read()
    while data:
        kind, size = struct.unpack("=II", data[:8])
        yield kind, data[8:size - 4]
        data = data[size:]


def case_capture_of_both_interfaces():
    """What comes from the TUN of the programs is on an interface of that name, as IP without more."""
    on_tern(need("ping"), "-c", "1", "-W", "5", KERNEL, options=("--pcap", "p.pcapng"))
    links, packets = {}, {}
    for kind, body in blocks("p.pcapng"):
        if kind == 1:
            name = body[12:12 + struct.unpack("=H", body[10:12])[0]].decode()
            links[name] = struct.unpack("=H", body[:2])[0]
        elif kind == 6:
            on = list(links)[struct.unpack("=I", body[:4])[0]]
            packets.setdefault(on, []).append(body[20:])
    raw, ethernet = 101, 1
    require(links["tern"] == raw and links["tern0"] == ethernet, links)
    require(len(packets["tern"]) == 2 and all(p[0] == 0x45 for p in packets["tern"]), packets)
    return ", ".join(f"{len(packets.get(name, []))} packets on {name}" for name in links)


def ss(*args):
    done = subprocess.run([TERN, "ss", *args], capture_output=True, text=True, timeout=20)
    print("$ ss", *args, "\n", done.stdout[-3000:], done.stderr[-500:])
    require(done.returncode == 0, f"ss {args}: exit {done.returncode}: {done.stderr}")
    return done.stdout


WAITING = """
import socket, time
l = socket.create_server(('0.0.0.0', 7), backlog=5)
held = [l.accept()[0] for i in range(3)]
held[0].setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
held[0].setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 600)
held[0].setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b'reno')
held[2].setblocking(False)
try:
    while True:
        held[2].send(b'x' * 65536)
except BlockingIOError:
    pass
time.sleep(60)
"""


def case_ss():
    """What ss shows of the kernel's side is what tern ss shows of tern's."""
    write("waiting.py", WAITING)
    with Server(PYTHON, "waiting.py", tern=True, options=("--name", "web")):
        until = time.monotonic() + 15
        while "LISTEN" not in (subprocess.run([TERN, "ss", "-l"], capture_output=True, text=True).stdout):
            require(time.monotonic() < until, "nobody listens")
            time.sleep(0.1)
        peers = [socket.create_connection((OURS, 7), 5) for _ in range(5)]
        peers[1].close()  # the program forgets to
        time.sleep(1.5)
        lines = {l.split()[4]: l for l in ss("-aoH").splitlines()}
        at = [f"10.77.0.1:{p.getsockname()[1]}" if p.fileno() >= 0 else None for p in peers]
        require(re.match(r"LISTEN +2 +5 +\*:7 ", lines["*:*"]), "two of five wait: " + lines["*:*"])
        require("ESTAB" in lines[at[0]] and re.search(r"timer:\(keepalive,9min5\dsec,0\)", lines[at[0]]),
                lines[at[0]])
        require(sum("CLOSE-WAIT" in l for l in lines.values()) == 1, "no CLOSE-WAIT")
        require("timer:(persist," in lines[at[2]] and int(lines[at[2]].split()[2]) > 0, lines[at[2]])
        want = {a for a in at if a}
        shown = json.loads(ss("-j"))
        require({c["remote"] for c in shown} >= want and len(shown) == 5, "not the five")
        stuck = next(c for c in shown if c["remote"] == at[2])
        require(stuck["snd_wnd"] == 0 and stuck["timer"]["for"] == "persist", f"{stuck}")
        kernel = subprocess.run(["ss", "-tinH", "dst", OURS], capture_output=True, text=True).stdout
        for a in want:
            require(a in kernel, f"the kernel does not know {a}")
        owner = next(line for line in ss("-p").splitlines() if "CLOSE-WAIT" in line)
        found = re.search(r'users:\(\("python3",pid=(\d+),fd=(\d+)\)\)', owner)
        waited = re.search(r"since:(\d)\.\d+sec", next(
            line for line in ss("-o").splitlines() if "CLOSE-WAIT" in line))
        require(waited and 1 <= int(waited.group(1)) < 9, f"how long it has waited: {waited}")
        require(found, "who forgot to close is not told: " + owner)
        with open(f"/proc/{found.group(1)}/cmdline", encoding="utf-8") as line:
            require("waiting.py" in line.read(), "another process")
        require(os.readlink(f"/proc/{found.group(1)}/fd/{found.group(2)}").startswith("socket:"), "no socket")
        require('pid=' in ss("-lpH"), "the listener's owner")
        require("syn:0/8" in ss("-liH"), "what is half-open")
        require(all(c.get("owners") for c in json.loads(ss("-jp")) if c["remote"] in at[:3]), "-jp")
        require(len(ss("-l").splitlines()) == 2 and "Recv-Q" in ss(), "the header")
        require("rtt:" in ss("-i") and "mem:(" in ss("-m"), "-i and -m")
        algorithms = sorted(c["congestion"] for c in shown)
        require(algorithms == ["cubic"] * 4 + ["reno"], f"congestion control: {algorithms}")
        require(len(re.findall(r"\bcubic\b", ss("-i"))) == 4, "-i does not tell which")
        for p in peers:
            p.close()
    return "5 connections and a listener, their queues, timers and states"


def case_ss_of_many():
    """More than an answer holds."""
    write("many.py", "import socket, sys, time\nl = socket.create_server(('0.0.0.0', 7), backlog=4000)\n"
          "held = [l.accept()[0] for i in range(1300)]\nprint('held', flush=True)\ntime.sleep(60)\n")
    with Server(PYTHON, "many.py", tern=True, options=("--name", "web")) as server:
        time.sleep(1)
        peers = [socket.create_connection((OURS, 7), 5) for _ in range(1300)]
        until = time.monotonic() + 60
        while "held" not in server.output():
            require(time.monotonic() < until, "not all were accepted: " + ss("-lH") + server.output()[-300:])
            time.sleep(0.1)
        shown = {c["remote"] for c in json.loads(ss("-j"))}
        require(shown == {f"10.77.0.1:{p.getsockname()[1]}" for p in peers}, f"{len(shown)} of 1300")
        for p in peers:
            p.close()
    return "1300, in pages"


def dial(path):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(5)
    s.connect(path)
    return s


def ask(path, line):
    with dial(path) as s:
        s.sendall(line)
        try:
            return s.makefile("rb").readline()
        except ConnectionResetError:
            return b""


def case_control_socket():
    """Whoever talks nonsense there, or never reads, harms nobody."""
    path = home() + "/web.sock"
    with served():
        require(stat.S_IMODE(os.stat(path).st_mode) == 0o600, "not the user's own")
        require(stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700, "not the user's own")
        good = b'{"jsonrpc":"2.0","id":%d,"method":"version"}\n'
        require(json.loads(ask(path, good % 7))["result"]["protocol"] == 1, "no version")
        for line, code in ((b"nonsense\n", -32700), (b"[]\n", -32600), (b'{"method":"version"}\n', -32600),
                           (b'{"jsonrpc":"2.0","id":1,"method":"x"}\n', -32601),
                           (b'{"jsonrpc":"2.0","id":1,"method":"connections","params":{"from":-1}}\n', -32602),
                           *((b'{"jsonrpc":"2.0","id":1,"method":"record"%s}\n' % bad, -32602) for bad in (
                               b'', b',"params":{}', b',"params":{"local":"x","remote":"y"}', b',"params":[]',
                               b',"params":{"local":"10.0.0.1:1","remote":"10.0.0.2:2","as":"song"}',
                               b',"params":{"local":"10.0.0.1:1","remote":"10.0.0.2:2","width":10}'))):
            require(json.loads(ask(path, line))["error"]["code"] == code, f"{line} is not {code}")
        require(ask(path, b"x" * 5000) == b"", "a line without an end was listened to")
        deaf = dial(path)
        deaf.setblocking(False)
        sent = 0
        try:
            while sent < 1 << 24:
                sent += deaf.send(b'{"jsonrpc":"2.0","id":7,"method":"counters"}\n')
        except BlockingIOError:
            pass
        require(sent < 1 << 24, "it answers who does not read")
        require(json.loads(ask(path, good % 8))["id"] == 8, "one who does not read stands in the way")
        crowd = [dial(path) for _ in range(20)]
        on_kernel(PYTHON, "-c", HELLO)
        for s in crowd:
            s.close()
        deaf.close()
        require(json.loads(ask(path, good % 9))["id"] == 9, "no answer after the crowd")
    return f"after {sent} bytes of questions it waits until the answers are read"
