"""Programs as people use them, each against the kernel on the other side, in both roles where there
are two."""
import os
import signal
import socket
import subprocess
import time

from lab import (FLOOD, HOSTILE, KERNEL, MIB, OURS, TERN, Failed, Missing, SEMANTICS, Server, check_clean, content, digest, need, number,
                 on_kernel, on_tern, require, sh, write)

PYTHON = "/usr/bin/python3"


def nginx_conf(port=80, more="", server="", workers=2, daemon="off"):
    os.makedirs("www", exist_ok=True)
    return write("nginx.conf", f"""
daemon {daemon}; worker_processes {workers}; pid nginx.pid; error_log nginx.err info;
user root;
events {{ worker_connections 4096; }}
http {{ access_log off; sendfile on; tcp_nopush on; {more}
  client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4;
  scgi_temp_path t5;
  server {{ listen {port} {server}; root www; location /put {{ dav_methods PUT; }} }} }}
""")


def nginx(tern=False, port=80, **conf):
    return Server(need("nginx"), "-p", os.getcwd(), "-c", nginx_conf(port, **conf), tern=tern,
                  port=port, stop=signal.SIGQUIT)


# --- HTTP ------------------------------------------------------------------------------------

def case_curl():
    with nginx():
        want = content("www/64M", 64 * MIB)
        on_tern("curl", "-sS", "-o", "got", f"http://{KERNEL}/64M")
    require(digest("got") == want, "another file")
    return "64 MiB, the right ones"


def case_curl_refused_and_unreachable():
    on_tern("curl", "-sS", f"http://{KERNEL}:81/", rc=7)
    on_tern("curl", "-sS", "--connect-timeout", "2", "http://10.77.0.99/", rc=28)
    return "exit 7 and 28"


def certificate():
    sh("openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 "
       f"-subj /CN={KERNEL} -addext subjectAltName=IP:{KERNEL},IP:{OURS} 2>&1")


def case_curl_https():
    certificate()
    tls = "ssl_certificate cert.pem; ssl_certificate_key key.pem;"
    for tern in (False, True):
        with nginx(tern=tern, port=443, more=tls, server="ssl"):
            want = content("www/8M", 8 * MIB)
            host = OURS if tern else KERNEL
            fetch = on_kernel if tern else on_tern
            fetch("curl", "-sS", "--cacert", "cert.pem", "-o", "got", f"https://{host}/8M")
            require(digest("got") == want, "another file")
    return "both ways"


def case_curl_100_parallel():
    with nginx():
        content("www/1M", MIB)
        on_tern("curl", "-sS", "--parallel", "--parallel-immediate", "--parallel-max", "100",
                "-o", "got#1", f"http://{KERNEL}/1M?[1-100]")
    require(all(os.path.getsize(f"got{i}") == MIB for i in range(1, 101)), "a short file")
    return "100 files of 1 MiB"


def case_curl_limit_rate():
    with nginx():
        content("www/4M", 4 * MIB)
        began = time.monotonic()
        on_tern("curl", "-sS", "--limit-rate", "2M", "-o", "got", f"http://{KERNEL}/4M")
        took = time.monotonic() - began
    require(os.path.getsize("got") == 4 * MIB and took > 1, f"{took} s")
    return "4 MiB at 2 MiB/s"


def case_wget():
    with nginx():
        want = content("www/8M", 8 * MIB)
        on_tern(need("wget"), "-q", "-O", "got", f"http://{KERNEL}/8M")
    require(digest("got") == want, "another file")


def case_nginx():
    with nginx(tern=True):
        want = content("www/64M", 64 * MIB)
        on_kernel("curl", "-sS", "-o", "got", f"http://{OURS}/64M")
        require(digest("got") == want, "another file")
        write("www/hello", "hello\n")
        out = on_kernel(need("wrk"), "-c", "100", "-t", "2", "-d", "3", f"http://{OURS}/hello")
        require("Socket errors" not in out, out)
        rate = number(r"Requests/sec:\s+([\d.]+)", out)
        on_kernel("curl", "-sS", "-T", "got", f"http://{OURS}/put64", rc=0)
    return f"64 MiB by sendfile, {rate:.0f} requests/s to wrk"


def case_nginx_reuseport():
    with nginx(tern=True, server="reuseport"):
        write("www/hello", "hello\n")
        out = on_kernel(need("wrk"), "-c", "50", "-t", "2", "-d", "2", f"http://{OURS}/hello")
        require("Socket errors" not in out, out)


def pid_of_nginx():
    with open("nginx.pid", encoding="utf-8") as file:
        return int(file.read())


def get(path="/hello"):
    return on_kernel("curl", "-sS", "--retry", "3", f"http://{OURS}{path}")


def case_nginx_reload():
    with nginx(tern=True):
        write("www/hello", "hello\n")
        for _ in range(5):
            os.kill(pid_of_nginx(), signal.SIGHUP)
            time.sleep(0.3)
            require(get() == "hello\n", "not served")
    return "five times"


def case_nginx_upgrade():
    """USR2 starts a new master that inherits the listening sockets; QUIT ends the old."""
    with nginx(tern=True, daemon="on") as server:
        write("www/hello", "hello\n")
        old = pid_of_nginx()
        os.kill(old, signal.SIGUSR2)
        until = time.monotonic() + 10
        while not (os.path.exists("nginx.pid.oldbin") and os.path.exists("nginx.pid")):
            require(time.monotonic() < until, "no new master")
            time.sleep(0.1)
        time.sleep(0.2)
        os.kill(old, signal.SIGQUIT)
        time.sleep(1)
        require(get() == "hello\n", "not served by the new one")
        os.kill(pid_of_nginx(), signal.SIGQUIT)
        server.stop = None


def case_both_ends_on_tern():
    with nginx(tern=True):
        pass  # its configuration and folder
    want = content("www/32M", 32 * MIB)
    conf = os.path.abspath("nginx.conf")
    on_tern("sh", "-c", f"{need('nginx')} -p . -c {conf} & sleep 1; "
            f"curl -sS -o one http://127.0.0.1/32M && curl -sS -o two http://{OURS}/32M; rc=$?; "
            "kill -QUIT $(cat nginx.pid); wait; exit $rc")
    require(digest("one") == want and digest("two") == want, "another file")
    return "over 127.0.0.1 and over the own address"


def case_haproxy():
    write("haproxy.cfg", f"""
defaults
  mode http
  timeout connect 5s
  timeout client 10s
  timeout server 10s
frontend f
  bind {OURS}:8080
  default_backend b
backend b
  server s {KERNEL}:80
""")
    with nginx():
        want = content("www/16M", 16 * MIB)
        with Server(need("haproxy"), "-db", "-f", "haproxy.cfg", tern=True, port=8080):
            on_kernel("curl", "-sS", "-o", "got", f"http://{OURS}:8080/16M")
            require(digest("got") == want, "another file")


def case_busybox_static():
    busybox = need("busybox")
    os.makedirs("www", exist_ok=True)
    want = content("www/8M", 8 * MIB)
    with nginx():
        on_tern(busybox, "wget", "-q", "-O", "got", f"http://{KERNEL}/8M")
    require(digest("got") == want, "another file")
    with Server(busybox, "httpd", "-f", "-p", "8080", "-h", "www", tern=True, port=8080):
        on_kernel("curl", "-sS", "-o", "got2", f"http://{OURS}:8080/8M")
    require(digest("got2") == want, "another file")


GO = """
package main
import ("fmt"; "io"; "net/http"; "os")
func main() {
	if os.Args[1] == "serve" {
		http.Handle("/", http.FileServer(http.Dir("www")))
		fmt.Println(http.ListenAndServe(":8080", nil))
		os.Exit(1)
	}
	for i := 0; i < 20; i++ {
		r, err := http.Get(os.Args[1])
		if err != nil { fmt.Println(err); os.Exit(1) }
		f, _ := os.Create("got")
		n, err := io.Copy(f, r.Body)
		if err != nil { fmt.Println(err); os.Exit(1) }
		r.Body.Close(); f.Close()
		fmt.Println(n)
	}
}
"""


def case_go_static():
    go = need("go")
    write("main.go", GO)
    env = {**os.environ, "CGO_ENABLED": "0", "GOCACHE": "/tmp/tern-go-cache", "GO111MODULE": "off",
           "GOPATH": os.getcwd() + "/gopath"}
    sh([go, "build", "-o", "web", "main.go"], env=env)
    os.makedirs("www", exist_ok=True)
    want = content("www/4M", 4 * MIB)
    with nginx():
        on_tern("./web", f"http://{KERNEL}/4M")
    require(digest("got") == want, "another file")
    with Server("./web", "serve", tern=True, port=8080):
        on_kernel("curl", "-sS", "-o", "got2", f"http://{OURS}:8080/4M")
        require(digest("got2") == want, "another file")
        out = on_kernel(need("wrk"), "-c", "20", "-d", "2", f"http://{OURS}:8080/4M")
        require("Socket errors" not in out, out)


NODE = """
const http = require('http');
if (process.argv[2] === 'serve')
	http.createServer((q, r) => { r.end('x'.repeat(1 << 20)); }).listen(8080);
else
	http.get(process.argv[2], (r) => { let n = 0; r.on('data', (d) => n += d.length);
		r.on('end', () => console.log(n)); });
"""


def case_node():
    node = need("node")
    write("web.js", NODE)
    with nginx():
        content("www/4M", 4 * MIB)
        require(on_tern(node, "web.js", f"http://{KERNEL}/4M").strip() == str(4 * MIB), "short")
    with Server(node, "web.js", "serve", tern=True, port=8080):
        for _ in range(3):
            require(len(on_kernel("curl", "-sS", f"http://{OURS}:8080/")) == MIB, "short")


# --- Python ----------------------------------------------------------------------------------

def case_python_http_server():
    os.makedirs("www", exist_ok=True)
    want = content("www/16M", 16 * MIB)
    with Server(PYTHON, "-m", "http.server", "-d", "www", "8000", tern=True, port=8000):
        on_kernel("curl", "-sS", "-o", "got", f"http://{OURS}:8000/16M")
        on_kernel("curl", "-sS", "--parallel", "-o", "p#1", f"http://{OURS}:8000/16M?[1-8]")
    require(digest("got") == want and digest("p8") == want, "another file")


def case_python_buffer_of_2_gib():
    """Where net.core.rmem_max allows anything; Linux has room for twice of half of what an int holds."""
    most = write("most", str(2**31 - 1))
    for name in ("rmem_max", "wmem_max"):
        sh(["mount", "--bind", most, f"/proc/sys/net/core/{name}"])
    out = on_tern(PYTHON, "-c", "import socket as s; a = s.socket()\n"
                  "for o in s.SO_RCVBUF, s.SO_SNDBUF: a.setsockopt(s.SOL_SOCKET, o, 2**31 - 1); "
                  "print(a.getsockopt(s.SOL_SOCKET, o))")
    require(out.split() == [str(2**31 - 2)] * 2, out)


def case_python_urllib():
    with nginx():
        content("www/4M", 4 * MIB)
        out = on_tern(PYTHON, "-c", "import urllib.request as u; print(len(u.urlopen("
                      f"'http://{KERNEL}/4M').read()))")
    require(out.strip() == str(4 * MIB), out)


ECHO_ASYNCIO = """
import asyncio, sys
async def serve():
    async def echo(r, w):
        while data := await r.read(65536):
            w.write(data)
            await w.drain()
        w.close()
    async with await asyncio.start_server(echo, '0.0.0.0', 7) as s:
        await s.serve_forever()
async def one(host, i):
    r, w = await asyncio.open_connection(host, 7)
    data = bytes([i & 255]) * 100000
    w.write(data); w.write_eof()
    got = await r.read(-1)
    assert got == data, (len(got), i)
    w.close(); await w.wait_closed()
async def dial(host):
    await asyncio.gather(*[one(host, i) for i in range(100)])
    print('ok')
asyncio.run(serve() if len(sys.argv) < 2 else dial(sys.argv[1]))
"""

ECHO_SELECTORS = """
import selectors, socket
s = selectors.DefaultSelector()
l = socket.create_server(('0.0.0.0', 7), backlog=200)
l.setblocking(False)
s.register(l, selectors.EVENT_READ)
while True:
    for key, events in s.select():
        if key.fileobj is l:
            c, _ = l.accept()
            c.setblocking(False)
            s.register(c, selectors.EVENT_READ, bytearray())
            continue
        c, waiting = key.fileobj, key.data
        if events & selectors.EVENT_READ:
            data = c.recv(65536)
            waiting += data
            if not data:
                c.setblocking(True); c.sendall(waiting); s.unregister(c); c.close(); continue
        if waiting:
            try:
                del waiting[:c.send(waiting)]
            except BlockingIOError:
                pass
        s.modify(c, selectors.EVENT_READ | (selectors.EVENT_WRITE if waiting else 0), waiting)
"""

ECHO_SOCKETSERVER = """
import socketserver
class Echo(socketserver.StreamRequestHandler):
    def handle(self):
        while data := self.request.recv(65536):
            self.request.sendall(data)
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    request_queue_size = 200
Server(('0.0.0.0', 7), Echo).serve_forever()
"""


def echo(server_text, port=7):
    write("server.py", server_text)
    client = write("client.py", ECHO_ASYNCIO)
    with Server(PYTHON, "server.py", tern=True, port=port):
        require(on_kernel(PYTHON, client, OURS).strip() == "ok", "the kernel's clients")
    with Server(PYTHON, "server.py", port=port):
        require(on_tern(PYTHON, client, KERNEL).strip() == "ok", "tern's clients")
    return "100 clients, both ways"


def case_python_asyncio():
    return echo(ECHO_ASYNCIO)


def case_python_selectors():
    return echo(ECHO_SELECTORS)


def case_python_socketserver():
    return echo(ECHO_SOCKETSERVER)


# --- servers of other kinds ------------------------------------------------------------------

def case_redis():
    bench, server = need("redis-benchmark", "redis-server")
    args = ["--protected-mode", "no", "--save", "", "--appendonly", "no"]
    with Server(server, *args, tern=True, port=6379):
        out = on_kernel(bench, "-h", OURS, "-n", "20000", "-q", "-t", "set,get", "-P", "1")
        rate = number(r"GET: ([\d.]+)", out.replace("\r", "\n"))
    with Server(server, *args, port=6379):
        on_tern(bench, "-h", KERNEL, "-n", "20000", "-q", "-t", "set,get", "-P", "16")
    return f"{rate:.0f} GET/s served"


def case_memcached():
    with Server(need("memcached"), "-u", "root", tern=True, port=11211):
        for _ in range(3):
            with socket.create_connection((OURS, 11211), 5) as s:
                s.sendall(b"set a 0 0 5\r\nhello\r\nget a\r\nquit\r\n")
                got = b""
                while data := s.recv(4096):
                    got += data
            require(b"STORED" in got and b"hello" in got, got.decode())


def iperf(*args):
    iperf3 = need("iperf3")
    with Server(iperf3, "-s", port=None):
        time.sleep(0.5)
        out = on_tern(iperf3, "-c", KERNEL, "-t", "2", *args)
    rates = [line for line in out.splitlines() if "receiver" in line]
    require(rates, out)
    return " / ".join(" ".join(r.split()[-4:-2]) for r in rates[-2:])


def case_iperf3_up():
    return iperf()


def case_iperf3_down():
    return iperf("-R")


def case_iperf3_parallel():
    return iperf("-P", "4")


def case_iperf3_both():
    return iperf("--bidir")


def case_iperf3_tos():
    """iperf3 -S, which it sets once its stream is connected and has said its cookie of 37 bytes."""
    iperf3, tshark = need("iperf3", "tshark")
    with Server(iperf3, "-s", port=None):
        time.sleep(0.5)
        on_tern(iperf3, "-c", KERNEL, "-t", "1", "-S", "0xb8", "--cport", "7777",
                options=("--pcap", "tos.pcapng"))
    seen = sh(f"{tshark} -r tos.pcapng -Y 'tcp.srcport == 7777 && tcp.len > 37' -T fields "
              "-e ip.dsfield 2>/dev/null").split()
    require(len(seen) > 10 and set(seen) == {"0xb8"}, f"{len(seen)} packets with {set(seen)}")
    return f"{len(seen)} packets of data, all with 0xb8"


def case_iperf3_server():
    iperf3 = need("iperf3")
    with Server(iperf3, "-s", tern=True, stop=signal.SIGTERM):
        time.sleep(1)
        out = on_kernel(iperf3, "-c", OURS, "-t", "2", "-P", "4")
    require("iperf Done" in out, out)


def case_ssh():
    sshd, keygen, ssh, scp = need("sshd", "ssh-keygen", "ssh", "scp")
    if os.geteuid() != 0 or not sh("cat /proc/self/uid_map").split()[2] == "4294967295":
        raise Missing("sshd's privilege separation needs real root")
    os.makedirs("/run/sshd", exist_ok=True)
    sh(["chown", "root:root", "."])
    for name in ("host", "user"):
        sh([keygen, "-q", "-t", "ed25519", "-N", "", "-f", name])
    sh("cp user.pub authorized; chmod 600 authorized")
    conf = write("sshd.conf", f"Port 2222\nHostKey {os.getcwd()}/host\nPidFile none\n"
                 f"AuthorizedKeysFile {os.getcwd()}/authorized\nStrictModes no\nUsePAM no\n"
                 "Subsystem sftp internal-sftp\nPermitRootLogin yes\n")
    flags = ["-i", "user", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
             "-o", "IdentitiesOnly=yes", "-F", "none"]
    want = content("big", 8 * MIB)
    with Server(sshd, "-D", "-e", "-f", conf, tern=True, port=2222):
        out = on_kernel(ssh, *flags, "-p", "2222", f"root@{OURS}", "echo over $SSH_CONNECTION")
        require(OURS in out, out)
        on_kernel(scp, *flags, "-P", "2222", "big", f"root@{OURS}:{os.getcwd()}/copied")
    require(digest("copied") == want, "another file")
    with Server(sshd, "-D", "-e", "-f", conf, port=2222):
        require("yes" in on_tern(ssh, *flags, "-p", "2222", f"root@{KERNEL}", "echo yes"), "ssh")
        on_tern(scp, *flags, "-P", "2222", "big", f"root@{KERNEL}:{os.getcwd()}/copied2")
    require(digest("copied2") == want, "another file")
    return "ssh and scp, both ways"


def case_rpc():
    """Portmapper: registration and null calls over TCP."""
    rpcbind, rpcinfo = need("rpcbind", "rpcinfo")
    sh("mount -t tmpfs tmpfs /run")
    with Server(rpcbind, "-f", "-w", tern=True, port=111):
        out = on_kernel(rpcinfo, "-p", OURS)
        require("portmapper" in out, out)
        out = on_kernel(rpcinfo, "-T", "tcp", OURS, "portmapper", "2")
        require("ready and waiting" in out, out)
    with Server(rpcbind, "-f", "-w", port=111):
        out = on_tern(rpcinfo, "-T", "tcp", KERNEL, "portmapper", "2")
        require("ready and waiting" in out, out)


def case_socat():
    socat = need("socat")
    want = content("big", 16 * MIB)
    with Server(socat, "-u", "TCP-LISTEN:9000,reuseaddr", "OPEN:got,creat", tern=True):
        time.sleep(1)
        on_kernel(socat, "-u", "OPEN:big", f"TCP:{OURS}:9000")
        time.sleep(0.5)
    require(digest("got") == want, "another file, up")
    with Server(socat, "-u", "TCP-LISTEN:9001,reuseaddr", "OPEN:got2,creat"):
        time.sleep(0.5)
        on_tern(socat, "-u", "OPEN:big", f"TCP:{KERNEL}:9001")
        time.sleep(0.5)
    require(digest("got2") == want, "another file, down")


def case_netcat():
    nc = need("nc.openbsd")
    with Server("sh", "-c", f"{nc} -l 9000 > got", tern=True):
        time.sleep(1)
        on_kernel("sh", "-c", f"echo from the kernel | {nc} -N {OURS} 9000")
        time.sleep(0.5)
    require(open("got", encoding="utf-8").read() == "from the kernel\n", "up")
    with Server("sh", "-c", f"{nc} -l 9001 > got2"):
        time.sleep(0.5)
        on_tern("sh", "-c", f"echo from tern | {nc} -N {KERNEL} 9001")
        time.sleep(0.5)
    require(open("got2", encoding="utf-8").read() == "from tern\n", "down")


# --- over the TUN ----------------------------------------------------------------------------

DNS = """
import socket, struct
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('10.77.0.1', 53))
while True:
    q, who = s.recvfrom(2048)
    end = 12
    while q[end]: end += q[end] + 1
    kind = struct.unpack('>H', q[end + 1:end + 3])[0]
    answer = b'\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\0\\x3c\\0\\4' + bytes([10, 77, 0, 1]) if kind == 1 else b''
    s.sendto(q[:2] + b'\\x85\\x80\\0\\1\\0' + bytes([1 if answer else 0]) + b'\\0\\0\\0\\0' +
             q[12:end + 5] + answer, who)
"""


def case_dns_and_resolver():
    dig = need("dig")
    with Server(PYTHON, "-c", DNS), nginx():
        time.sleep(0.5)
        write("www/hello", "hello\n")
        out = on_tern(dig, "+short", "+tries=1", f"@{KERNEL}", "www.example.test")
        require(out.strip() == KERNEL, out)
        dns = ("--dns", KERNEL)
        out = on_tern("getent", "ahostsv4", "www.example.test", options=dns)
        require(KERNEL in out, out)
        require(on_tern("curl", "-sS", "http://www.example.test/hello", options=dns) == "hello\n",
                "curl")
    return "dig, getent, curl by name"


def case_ping_and_traceroute():
    on_tern(need("ping"), "-c", "2", "-i", "0.2", "-W", "2", KERNEL)
    on_kernel(need("ping"), "-c", "1", "-W", "2", KERNEL)
    out = on_tern(need("traceroute"), "-n", "-q", "1", "-w", "1", "-m", "3", KERNEL)
    require(KERNEL in out.splitlines()[-1], out)


# --- many, and ends --------------------------------------------------------------------------

MANY = """
import resource, select, socket, sys, time
n, host = int(sys.argv[2]), sys.argv[3]
resource.setrlimit(resource.RLIMIT_NOFILE, (n + 200, n + 200))
if sys.argv[1] == 'serve':
    l = socket.create_server(('0.0.0.0', 7), backlog=4096)
    kept = []
    while len(kept) < n:
        c, _ = l.accept()
        kept.append(c)
    for c in kept:
        c.sendall(b'x')
    print('served', flush=True)
    for c in kept:
        assert c.recv(10) == b'y'
        c.close()
else:
    kept = []
    for i in range(n):
        c = socket.socket()
        c.connect((host, 7))
        kept.append(c)
    for c in kept:
        assert c.recv(10) == b'x'
        c.sendall(b'y')
    for c in kept:
        assert c.recv(10) == b''
    print('ok')
"""


def case_10000_connections_at_once():
    n = "10000"
    write("many.py", MANY)
    with Server(PYTHON, "many.py", "serve", n, "-", tern=True, stop=None):
        time.sleep(1.5)
        require(on_kernel(PYTHON, "many.py", "dial", n, OURS).strip() == "ok", "accepted")
    with Server(PYTHON, "many.py", "serve", n, "-", stop=None):
        time.sleep(1)
        require(on_tern(PYTHON, "many.py", "dial", n, KERNEL, timeout=100).strip() == "ok",
                "opened")
    return "accepted, and opened"


# The server closes first: TIME_WAIT is the kernel's, and the ports are free for the next.
SEQUENCE = """
import os, socket, sys
n, host = int(sys.argv[2]), sys.argv[3]
if sys.argv[1] == 'serve':
    l = socket.create_server(('0.0.0.0', 7), backlog=4096)
    for i in range(n):
        c, _ = l.accept()
        c.sendall(c.recv(10))
        c.close()
else:
    for i in range(n):
        c = socket.socket()
        c.connect((host, 7))
        c.sendall(b'x')
        assert c.recv(10) == b'x'
        assert c.recv(10) == b''
        c.close()
    print(len(os.listdir('/proc/self/fd')))
    print(len(os.listdir('/proc/%d/fd' % os.getppid())))
"""


def case_connections_in_sequence():
    n = "100000" if os.environ.get("LONG") else "50000"
    write("sequence.py", SEQUENCE)
    began = time.monotonic()
    with Server(PYTHON, "sequence.py", "serve", n, "-", stop=None):
        time.sleep(1)
        out = on_tern(PYTHON, "sequence.py", "dial", n, KERNEL, timeout=110)
    took = time.monotonic() - began
    supervisor = int(out.split()[1])
    require(supervisor < 200, f"the supervisor is left with {supervisor} descriptors")
    return f"{n} in {took:.1f} s, {supervisor} descriptors left in the supervisor"


URGENT = """
import select, socket, sys
serves = sys.argv[1] == "serve"
if serves:
    s = socket.create_server(("0.0.0.0", 7)).accept()[0]
else:
    s = socket.create_connection((sys.argv[2], 7))
for i in range(100):
    if serves == (i % 2 == 0):
        s.sendall(b"before")
        s.send(b"!", socket.MSG_OOB)
        s.sendall(b"after")
        assert s.recv(1) == b"."
    else:
        before = s.recv(6, socket.MSG_WAITALL)
        select.select([], [], [s])
        urgent = s.recv(1, socket.MSG_OOB)
        after = s.recv(5, socket.MSG_WAITALL)
        assert (before, urgent, after) == (b"before", b"!", b"after"), (before, urgent, after)
        s.sendall(b".")
"""


def case_urgent():
    """Urgent data with the kernel as the peer, each way and in both roles."""
    write("urgent.py", URGENT)
    with Server(PYTHON, "urgent.py", "serve") as kernel:
        time.sleep(0.5)
        on_tern(PYTHON, "urgent.py", "dial", KERNEL, timeout=30)
        require(kernel.process.wait(10) == 0, "the kernel's side: " + kernel.output())
    with Server(PYTHON, "urgent.py", "serve", tern=True) as tern:
        time.sleep(1)
        on_kernel(PYTHON, "urgent.py", "dial", OURS, timeout=30)
        require(tern.process.wait(10) == 0, "tern's side: " + tern.output())
    return "200 urgent bytes, each in its place"


LISTENERS = """
import socket, sys
control = socket.create_connection((sys.argv[1], 9))
for port in range(7000, 7050):
    l = socket.create_server(("0.0.0.0", port))
    for word in b"listens", b"closed!":
        control.sendall(word)
        assert control.recv(1) == b"."
        l.close()
"""


def case_listener_closed():
    """Its port refuses at once, and what waited there is reset, though the program lives on."""
    write("listeners.py", LISTENERS)
    control = socket.create_server((KERNEL, 9))
    with Server(PYTHON, "listeners.py", KERNEL, tern=True, stop=None):
        told, _ = control.accept()
        for port in range(7000, 7050):
            require(told.recv(7) == b"listens", "no word of a listener")
            waits = socket.create_connection((OURS, port), 5)
            told.sendall(b".")
            require(told.recv(7) == b"closed!", "no word of its end")
            try:
                socket.create_connection((OURS, port), 5).close()
                require(False, f"port {port} accepts, closed")
            except ConnectionRefusedError:
                pass
            try:
                got = waits.recv(1)
                require(False, f"{got!r} from a connection that was not accepted")
            except ConnectionResetError:
                pass
            told.sendall(b".")
    return "50 closed, 50 refused"


def case_killed():
    """kill -9 of the program: the peer sees an end or a reset, as the kernel would do it."""
    write("hold.py", "import socket, time\nl = socket.create_server(('0.0.0.0', 7))\n"
          "c, _ = l.accept()\nc, _ = l.accept()\nc.recv(1)\ntime.sleep(100)\n")
    server = Server(PYTHON, "hold.py", tern=True, port=7, stop=None)
    with server:
        with socket.create_connection((OURS, 7), 5) as s:
            s.sendall(b"read")
            time.sleep(0.3)
            sh("pkill -KILL -f '^/usr/bin/python3 hold.py'")
            try:
                got = s.recv(10)
                require(False, f"{got!r} though bytes were left unread")
            except ConnectionResetError:
                pass
    require(server.process.returncode == 128 + signal.SIGKILL, "exit status")


def case_stopped_reader():
    """A reader that stops closes the peer's window, and memory stays put."""
    write("stop.py", "import socket, time, sys\ns = socket.create_connection(('10.77.0.1', 7))\n"
          "time.sleep(3)\nn = 0\nwhile d := s.recv(65536): n += len(d)\nprint(n)\n")
    l = socket.create_server((KERNEL, 7))
    total = 24 * MIB
    program = subprocess.Popen([TERN, "run", "-v", "--", PYTHON, "stop.py"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    c, _ = l.accept()
    c.setblocking(False)
    block, sent, quiet = b"x" * 65536, 0, 0
    while quiet < 10:
        try:
            sent += c.send(block)
            quiet = 0
        except BlockingIOError:
            quiet += 1
            time.sleep(0.1)
    require(sent < total, f"{sent} bytes taken of a reader that does not read")
    rss = int([line for line in open(f"/proc/{program.pid}/status", encoding="utf-8")
               if line.startswith("VmRSS")][0].split()[1])
    c.setblocking(True)
    c.sendall(b"x" * (total - sent))
    c.close()
    out, err = program.communicate(timeout=30)
    require(int(out) == total, f"{out} bytes of {total}")
    check_clean(err)
    require(rss < 64 * 1024, f"{rss} KiB")
    return f"stopped after {sent // 1024} KiB; the supervisor held {rss} KiB"


def case_bypass_refused():
    """What would go round tern: io_uring, MPTCP, IPv6, nested supervisors."""
    write("bypass.py", """
import ctypes, errno, socket
libc = ctypes.CDLL(None, use_errno=True)
def attempt(*args):
    try:
        socket.socket(*args).close()
        return 'a socket'
    except OSError as e:
        return errno.errorcode[e.errno]
print(libc.syscall(425, 8, 0), errno.errorcode[ctypes.get_errno()])
print(attempt(socket.AF_INET, socket.SOCK_STREAM, 262), attempt(socket.AF_INET6,
      socket.SOCK_STREAM), attempt(43, socket.SOCK_STREAM))
""")
    out = on_tern(PYTHON, "bypass.py")
    require(out.split() == ["-1", "ENOSYS", "EPROTONOSUPPORT", "EAFNOSUPPORT", "EAFNOSUPPORT"], out)
    done = subprocess.run([TERN, "run", "--", TERN, "run", "--tap", "other", "--", "true"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=30)
    require(done.returncode == 125 and "supervisor already" in done.stderr, done.stderr)


def case_way_out():
    """The lines of the README: a machine that forwards, and the world beyond it."""
    iptables = need("iptables")
    sh("ip link del tern0")  # out of the box: tern run makes it
    write("www.sh", "ip link set lo up; ip link set world up; ip addr add 192.0.2.1/24 dev world\n"
          "echo in the world > hello; exec /usr/bin/python3 -m http.server 80\n")
    world = subprocess.Popen(["unshare", "-n", "sh", "-c",
                              "while ! [ -e /sys/class/net/world ] && ! ip link show world "
                              ">/dev/null 2>&1; do sleep 0.1; done; exec sh www.sh"])
    try:
        time.sleep(0.3)
        sh(f"ip link add uplink type veth peer name world netns {world.pid}; ip link set uplink up; "
           "ip addr add 192.0.2.2/24 dev uplink")
        sh("echo 1 > /proc/sys/net/ipv4/ip_forward")
        sh(f"{iptables} -t nat -A POSTROUTING -s 10.77.0.0/24 -j MASQUERADE")
        time.sleep(1)
        out = on_tern("curl", "-sS", "--retry", "5", "--retry-connrefused",
                      "http://192.0.2.1/hello")
        require(out == "in the world\n", out)
        on_tern(need("ping"), "-c", "1", "-W", "2", "192.0.2.1")
    finally:
        world.kill()
    return "curl and ping beyond the machine"


CROWD = """
import asyncio, sys
async def one():
    try:
        r, w = await asyncio.wait_for(asyncio.open_connection('10.77.0.2', 80), int(sys.argv[1]))
        w.write(b'GET /hello HTTP/1.0\\r\\n\\r\\n')
        data = await asyncio.wait_for(r.read(), int(sys.argv[1]))
        w.close()
        return b'200' in data
    except (OSError, asyncio.TimeoutError):
        return False
async def main():
    print(sum(await asyncio.gather(*[one() for _ in range(1000)])))
asyncio.run(main())
"""


def flooded(cookies, rate, patience):
    """How many of 1,000 clients nginx on tern serves under spoofed SYNs, and how many those were. How
    fast is for bench/flood to say: here a machine may be as busy as it likes."""
    os.makedirs("www", exist_ok=True)
    write("www/hello", "hello\n")
    server = Server(need("nginx"), "-p", os.getcwd(), "-c",
                    nginx_conf(server="backlog=4096", workers=1), tern=True, port=80,
                    stop=signal.SIGQUIT, options=("--set", f"tcp_syncookies={cookies}"))
    with server:
        sh(f"ping -c 1 -W 2 {OURS}")
        mac = sh(f"ip neigh show {OURS}").split()[4]
        flood = subprocess.Popen([FLOOD, "tern0", mac, OURS, "80", str(rate), "110"],
                                 stdout=subprocess.PIPE, text=True)
        time.sleep(1)
        served = int(on_kernel(PYTHON, "-c", CROWD, str(patience), timeout=100))
        flood.terminate()
        sent = flood.communicate(timeout=30)[0].split()
        rss = int([line for line in open(f"/proc/{server.process.pid}/status", encoding="utf-8")
                   if line.startswith("VmRSS")][0].split()[1])
    require(rss < 128 * 1024, f"the supervisor holds {rss} KiB")
    return served, sent[1]


def case_syn_flood():
    """With cookies everybody is served, without hardly anybody."""
    with_cookies, rate = flooded(1, 100000, 40)
    without, _ = flooded(0, 100000, 5)
    require(with_cookies >= 999, f"{with_cookies} of 1000 served at {rate} SYNs/s")
    require(without < 500, f"{without} of 1000 served without cookies: no flood")
    return f"{rate} spoofed SYNs a second: {with_cookies} of 1000 served, without cookies {without}"


def case_hostile_wild():
    """Every call that is answered, with arguments of any kind, from three threads."""
    require("still served" in on_tern(HOSTILE, "wild", "8"), "not served afterwards")


def case_hostile_race():
    """A descriptor and an address that change under the call."""
    require("still served" in on_tern(HOSTILE, "race", "5"), "not served afterwards")


def case_hostile_many():
    """Sockets opened and dropped, some bound, some listening."""
    count = "1000000" if os.environ.get("LONG") else "100000"
    require("still served" in on_tern(HOSTILE, "many", count, timeout=110), "not served afterwards")


def case_hostile_full():
    """Without a descriptor left nothing is lost."""
    require("still served" in on_tern(HOSTILE, "full"), "not served afterwards")


def case_ordinary_user():
    """Nobody's rights are enough, where /dev/net/tun is as Debian has it."""
    if os.geteuid() != 0 or sh("cat /proc/self/uid_map").split()[2] != "4294967295":
        raise Missing("only root can become somebody else")
    sh("mknod tun c 10 200; chmod 666 tun; mount -o remount,dev . ; mount --bind tun /dev/net/tun; "
       "mkdir www; echo hello > www/hello; chmod -R a+rX .")
    print(sh(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", TERN, "run", "-q", "--",
              SEMANTICS, "listener_closed"]))
    write("here.sh", "id -u; /usr/bin/python3 -m http.server 8000 -d www >/dev/null 2>&1 & sleep 1\n"
          f"curl -sS http://127.0.0.1:8000/hello; curl -sS http://{OURS}:8000/hello\n"
          f"curl -sS --max-time 2 http://{KERNEL}/; echo $?; kill $!\n")
    done = subprocess.run([need("setpriv"), "--reuid=65534", "--regid=65534", "--clear-groups", TERN,
                           "run", "-v", "--", "sh", "here.sh"], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=60)
    print(done.stdout, done.stderr)
    require(done.stdout.split()[:3] == ["65534", "hello", "hello"], done.stdout + done.stderr)
    check_clean(done.stderr)


def case_exit_status():
    on_tern("sh", "-c", "exit 42", rc=42)
    on_tern("sh", "-c", "kill -TERM $$", rc=143)
    on_tern("/nonexistent", rc=127)
    on_tern("/etc/passwd", rc=126)
    began = time.monotonic()
    on_tern("sh", "-c", "sleep 2 & exit 3", rc=3)
    require(time.monotonic() - began > 1.9, "did not wait for the descendant")
    if not os.path.exists("/dev/net/tun"):
        raise Failed("no /dev/net/tun")
