"""Hostile peers. Each attack goes in steps, so that others can be served between them.

An attack is a generator over a Target: what it yields is for nobody, each yield is a
place where the runner asks the server for an ordinary answer and stops the time.
"""
import contextlib
import random
import socket
import ssl
import time

PATIENCE = 20


def connect(target):
  s = socket.create_connection(target.address, timeout=PATIENCE)
  s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
  return s


def reset(s):
  s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
  s.close()


def send(s, data):
  """Sends to a server that may have had enough."""
  try:
    s.sendall(data)
    return True
  except OSError:
    return False


def read_to_the_end(s):
  """Until the end of file or a reset."""
  size = 0
  with contextlib.suppress(ConnectionError):
    while data := s.recv(65536):
      size += len(data)
  return size


def slowloris(target, count=300, rounds=20):
  """Many that send their request a byte at a time, and never its end."""
  peers = [connect(target) for _ in range(count)]
  for i in range(rounds):
    byte = target.request[i % (len(target.request) - target.request_end)]
    for s in peers:
      send(s, bytes([byte]))
    yield
    time.sleep(0.05)
  for s in peers:
    reset(s)


def never_reads(target, count=100, rounds=20):
  """Many that ask for much and read none of it."""
  peers = []
  for _ in range(count):
    s = connect(target)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    send(s, target.big)
    peers.append(s)
  for _ in range(rounds):
    yield
    time.sleep(0.05)
  for s in peers:
    reset(s)


def resets(target):
  """A reset after each byte of a request, and while the answer is read."""
  for size in range(len(target.request) + 1):
    s = connect(target)
    send(s, target.request[:size])
    reset(s)
    yield
  for size in range(1, 64):
    s = connect(target)
    send(s, target.request)
    s.recv(size)
    reset(s)
    yield


def garbage(target, count=300, seed=1):
  """Bytes that mean nothing, and requests with some bytes changed."""
  rng = random.Random(seed)
  for i in range(count):
    s = connect(target)
    if i % 2:
      data = rng.randbytes(rng.randrange(1, 4096))
    else:
      data = bytearray(target.request * rng.randrange(1, 8))
      for _ in range(rng.randrange(1, 6)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    send(s, bytes(data))
    with contextlib.suppress(OSError):
      s.shutdown(socket.SHUT_WR)
    s.settimeout(0.02)
    with contextlib.suppress(TimeoutError):
      read_to_the_end(s)
    reset(s)
    yield


def idle(target, count=10000, rounds=20):
  """Very many that do nothing."""
  peers = []
  for i in range(count):
    peers.append(connect(target))
    if i % 500 == 0:
      yield
  target.settled()
  for _ in range(rounds):
    time.sleep(0.1)
    yield
  target.note_idle(count)
  for s in peers:
    reset(s)


def churn(target, count=2000):
  """Connections that are closed as soon as they are there."""
  for i in range(count):
    s = connect(target)
    if i % 2:
      reset(s)
    else:
      s.close()
    if i % 100 == 0:
      yield


class TlsPeer:
  """A TLS client whose bytes go as the attack wants."""

  def __init__(self, target):
    context = ssl.create_default_context(cafile=target.ca)
    self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname='localhost')
    self.socket = connect(target)

  def step(self, fn):
    """fn's result, or None: it wants to read."""
    try:
      return fn()
    except ssl.SSLWantReadError:
      return None

  def receive(self):
    data = self.socket.recv(65536)
    if data:
      self.incoming.write(data)
    else:
      self.incoming.write_eof()


def handshake_bytewise(target, count=5):
  """A handshake and a request that come a byte at a time."""
  for _ in range(count):
    peer = TlsPeer(target)
    is_done = False
    while not is_done:
      try:
        peer.tls.do_handshake()
        is_done = True
      except ssl.SSLWantReadError:
        pass
      data = peer.outgoing.read()
      for byte in data:
        peer.socket.sendall(bytes([byte]))
      if not is_done and not data:
        peer.receive()
      yield
    peer.tls.write(target.request)
    for byte in peer.outgoing.read():
      peer.socket.sendall(bytes([byte]))
    while not peer.step(lambda: peer.tls.read(65536)):
      peer.receive()
    reset(peer.socket)


def handshake_resets(target):
  """A reset after each byte of a hello, and of what follows the server's answer."""
  hello = TlsPeer(target)
  hello.step(hello.tls.do_handshake)
  first = hello.outgoing.read()
  reset(hello.socket)
  for size in range(0, len(first) + 1, 3):
    s = connect(target)
    send(s, first[:size])
    reset(s)
    if size % 30 == 0:
      yield
  for size in range(0, 120, 2):
    peer = TlsPeer(target)
    peer.step(peer.tls.do_handshake)
    send(peer.socket, peer.outgoing.read())
    peer.receive()
    peer.step(peer.tls.do_handshake)
    send(peer.socket, peer.outgoing.read()[:size])
    reset(peer.socket)
    yield


def handshake_stalls(target, count=300, rounds=20):
  """Many that begin a handshake and stop."""
  peers = []
  for _ in range(count):
    peer = TlsPeer(target)
    peer.step(peer.tls.do_handshake)
    send(peer.socket, peer.outgoing.read()[:-5])
    peers.append(peer.socket)
  for _ in range(rounds):
    yield
    time.sleep(0.05)
  for s in peers:
    reset(s)


def plaintext(target, count=100):
  """HTTP to a port that speaks TLS."""
  for _ in range(count):
    s = connect(target)
    send(s, b'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
    read_to_the_end(s)
    s.close()
    yield
