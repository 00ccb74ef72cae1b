#!/usr/bin/env python3
"""The kernel's side of a conversation with test/peers/peer.c, in the same words.

Sends a known pattern, checks what comes against it byte by byte, and ends with a line of JSON.
Run by test/peers/run inside a network namespace.
"""
import argparse
import errno
import json
import socket
import struct
import sys
import threading
import time

CHUNK = 1 << 18


def arguments():
    p = argparse.ArgumentParser()
    p.add_argument("--pattern", required=True)
    p.add_argument("--listen", type=int, metavar="PORT")
    p.add_argument("--connect", metavar="ADDRESS:PORT")
    p.add_argument("--send", type=int, default=0, help="bytes, each connection")
    p.add_argument("--recv", type=int, default=0)
    p.add_argument("--echo", action="store_true", help="what comes goes back")
    p.add_argument("--after-eof", action="store_true", help="send only after the peer's FIN")
    p.add_argument("--stall", type=float, default=0, help="seconds without reading, at first")
    p.add_argument("--rcvbuf", type=int, default=0)
    p.add_argument("--abort-at", type=int, default=0, help="reset after that many bytes")
    p.add_argument("--silent", action="store_true", help="neither read nor close, ever")
    p.add_argument("--count", type=int, default=1)
    p.add_argument("--parallel", type=int, default=1)
    p.add_argument("--limit", type=float, default=60, help="seconds for any one call")
    p.add_argument("--cc", help="the congestion control it must be using")
    return p.parse_args()


class Wrong(Exception):
    """A byte, a length or a setting that is not as it should be."""


class Talk:
    """One connection."""

    def __init__(self, args, pattern, sock):
        self.args, self.pattern, self.sock = args, pattern, sock
        self.sent = self.received = 0
        self.eof = threading.Event()
        self.send_error = None

    def send(self, upto):
        size = len(self.pattern)
        while self.sent < upto:
            at = self.sent % size
            n = min(CHUNK, size - at, upto - self.sent)
            self.sent += self.sock.send(self.pattern[at:at + n])

    def check(self, data):
        size, done = len(self.pattern), 0
        while done < len(data):
            at = (self.received + done) % size
            n = min(len(data) - done, size - at)
            if data[done:done + n] != self.pattern[at:at + n]:
                raise Wrong("a byte is not what was sent")
            done += n
        self.received += len(data)

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise ConnectionAbortedError(errno.ECONNABORTED, "aborted as told")

    def receive(self):
        """Until the peer's FIN."""
        if self.args.stall:
            time.sleep(self.args.stall)
        while data := self.sock.recv(CHUNK):
            self.check(data)
            if self.args.abort_at and self.received >= self.args.abort_at:
                self.reset()
            if self.args.echo:
                self.send(self.received)
        self.eof.set()
        if not self.args.echo and self.received != self.args.recv:
            raise Wrong(f"the stream ended after {self.received} bytes")

    def send_all(self):
        try:
            self.send(self.args.send)
            self.sock.shutdown(socket.SHUT_WR)
        except OSError as e:
            self.send_error = e

    def run(self):
        if self.args.silent:
            time.sleep(1e6)
        if self.args.echo or self.args.after_eof:
            self.receive()
            self.send_all()
        elif self.args.send <= 65536:
            self.send_all()
            self.receive()
        else:
            thread = threading.Thread(target=self.send_all, daemon=True)
            thread.start()
            self.receive()
            thread.join(self.args.limit)
        if self.send_error:
            raise self.send_error


class Peer:
    def __init__(self, args):
        self.args = args
        with open(args.pattern, "rb") as f:
            self.pattern = f.read()
        self.lock = threading.Lock()
        self.begun = 0
        self.first = self.last = 0.0
        self.result = {"done": 0, "failed": 0, "sent": 0, "received": 0, "error": "", "right": True}

    def listener(self):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self.args.rcvbuf:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.args.rcvbuf)
        sock.bind(("0.0.0.0", self.args.listen))
        sock.listen(1024)
        sock.settimeout(self.args.limit)
        print("ready", file=sys.stderr, flush=True)
        return sock

    def connected(self):
        if self.listening:
            return self.listening.accept()[0]
        host, port = self.args.connect.split(":")
        return socket.create_connection((host, int(port)), timeout=self.args.limit)

    def converse(self, sock):
        with self.lock:
            self.first = self.first or time.monotonic()
        if self.args.cc:
            name = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16)
            if name.rstrip(b"\0").decode() != self.args.cc:
                raise Wrong(f"congestion control is {name}")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(self.args.limit)
        talk = Talk(self.args, self.pattern, sock)
        try:
            talk.run()
        finally:
            with self.lock:
                self.result["sent"] += talk.sent
                self.result["received"] += talk.received

    def one(self):
        error = None
        try:
            with self.connected() as sock:
                self.converse(sock)
        except (OSError, Wrong) as e:
            error = e
        with self.lock:
            self.last = time.monotonic()
            self.result["done"] += 1
            if isinstance(error, Wrong):
                self.result["right"] = False
                print("kernel.py:", error, file=sys.stderr)
            elif error:
                self.result["failed"] += 1
                self.result["error"] = errno.errorcode.get(error.errno, str(error))

    def worker(self):
        while True:
            with self.lock:
                if self.begun == self.args.count:
                    return
                self.begun += 1
            self.one()

    def run(self):
        self.listening = self.listener() if self.args.listen else None
        threading.stack_size(1 << 18)
        threads = [threading.Thread(target=self.worker, daemon=True)
                   for _ in range(self.args.parallel)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.result["seconds"] = self.last - self.first if self.first else 0
        print(json.dumps(self.result), flush=True)
        return 0 if self.result["right"] else 1


if __name__ == "__main__":
    sys.exit(Peer(arguments()).run())
