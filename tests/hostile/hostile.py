"""Attacks a server, serves others meanwhile, and says what it cost.

    hostile.py [--short] [--no-memory] KIND PROGRAM [OPTION=FILE...]

KIND says how to talk to it. What must hold, whatever is done to it: it lives; an ordinary
request between two steps of an attack is answered within LATENCY seconds; the descriptors
are back where they were afterwards; resident memory has not grown by more than the attack
may cost; the processor is not busy while nothing comes. A line of figures for each attack.
"""
import argparse
import contextlib
import os
import socket
import ssl
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'examples'))
import attacks  # noqa: E402  pylint: disable=wrong-import-position
from program import Program, wait_until  # noqa: E402  pylint: disable=wrong-import-position

LATENCY = 2.0  # seconds; a machine with other work. Five times as much under a sanitizer
MIB = 1 << 20


class Target:
  """A running server, how to talk to it, and what it uses."""

  request = b'ping\n'
  request_end = 1   # how much of it is never sent by one that drips
  answer = b'pong\n'
  big = b'flood\n'
  ca = None
  options = ('--connections', '12000')
  idle = 10000
  attacks = ('slowloris', 'never_reads', 'resets', 'garbage', 'churn', 'idle')
  counts = {}       # of peers, where an attack is to have fewer
  errors = ''       # None: it complains of bad peers
  idle_limit = 16384  # bytes for each that does nothing

  def __init__(self, path, files, options=()):
    self.ca = files.get('ca')
    self.program = Program(path, *self.start(files), *options,
                           errors=self.errors)
    self.address = self.program.address
    self.idle_cpu = self.idle_memory = None
    self.serve_one()  # it has its buffers

  def start(self, files):
    """Its options; files: those of the command line."""
    return self.options

  def open(self):
    return socket.create_connection(self.address, timeout=attacks.PATIENCE)

  def serve_one(self):
    """One ordinary request. The seconds it took."""
    begin = time.monotonic()
    with self.open() as s:
      s.sendall(self.request)
      got = b''
      while len(got) < len(self.answer):
        data = s.recv(65536)
        assert data, f'end of file after {got!r}'
        got += data
      assert got.startswith(self.answer), got[:200]
    return time.monotonic() - begin

  def cpu(self):
    """Seconds that it has run."""
    with open(f'/proc/{self.program.process.pid}/schedstat') as stat:
      return int(stat.read().split()[0]) / 1e9

  def settled(self):
    """Everybody is there, and nobody does anything."""
    self.serve_one()
    self.idle_since = time.monotonic(), self.cpu()
    self.idle_memory = self.program.memory()

  def note_idle(self, count):
    when, cpu = self.idle_since
    self.idle_cpu = (self.cpu() - cpu) / (time.monotonic() - when)
    self.idle_count = count


class Echo(Target):
  options = ()
  idle = 9900  # 10,000 are let in
  request = answer = b'ping\n'
  big = bytes(1 << 20)
  attacks = ('never_reads', 'resets', 'churn', 'idle')


class Kv(Target):
  options = ()
  idle = 9900
  request = b'*2\r\n$4\r\nECHO\r\n$4\r\nping\r\n'
  request_end = 2
  answer = b'$4\r\nping\r\n'
  big = b'*2\r\n$4\r\nECHO\r\n$100000\r\n' + bytes(100000) + b'\r\n'
  big = big * 20


class Proxied(Target):
  """Behind a proxy: what is broken is the header of each connection."""
  request = b'PROXY TCP4 192.0.2.7 198.51.100.9 5678 443\r\nping\n'
  options = ('--connections', '12000', '--proxied')
  attacks = ('slowloris', 'resets', 'garbage', 'churn', 'idle')


class ProxiedBinary(Proxied):
  """The same with headers of version 2, with an extension of 100 bytes."""
  request = (b'\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x70\xc0\0\2\7\xc6\x33\x64\x09\x16\x2e\1\xbb' +
             b'\x04\0\x61' + bytes(97) + b'ping\n')
  attacks = ('slowloris', 'resets', 'garbage', 'churn')


class Http(Target):
  request = b'GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n'
  request_end = 4
  answer = b'HTTP/1.1 200 '
  big = request * 20000
  options = ()
  idle = 9900


class Secure(Target):
  """Whoever asks in earnest speaks TLS. What is garbage to it is a handshake."""
  attacks = ('handshake_bytewise', 'handshake_resets', 'handshake_stalls', 'plaintext', 'resets',
             'garbage', 'churn', 'idle')
  idle = 9900

  def open(self):
    context = ssl.create_default_context(cafile=self.ca)
    return context.wrap_socket(super().open(), server_hostname='localhost')


class Https(Secure):
  request = Http.request
  answer = Http.answer

  def start(self, files):
    return '--tls', files['cert'], files['key']


class TlsEcho(Secure):
  errors = None
  request = answer = b'ping\n'

  def start(self, files):
    return '--cert', files['cert'], '--key', files['key']


class Socks(Target):
  """A greeting; what is behind it the tests of the proxy itself try."""
  request = b'\5\1\0'
  request_end = 1
  answer = b'\5\0'
  options = ('--socks5',)
  idle = 4000  # a connection may take two descriptors
  attacks = ('slowloris', 'resets', 'garbage', 'churn', 'idle')


class Chat(Target):
  """There is room for a hundred."""
  request = b'/who\n'
  answer = b'* you are '
  big = b'x' * 400 + b'\n'
  options = ()
  idle = 80
  counts = {'slowloris': 80, 'never_reads': 60}


KINDS = {'target': Target, 'echo': Echo, 'kv': Kv, 'proxied': Proxied,
         'proxied_binary': ProxiedBinary, 'http': Http, 'https': Https, 'tls_echo': TlsEcho,
         'socks': Socks, 'chat': Chat}

# Megabytes of resident memory that an attack may cost for good: buffers that are kept,
# tasks' stacks that are kept. One for what each of the peers may hold at its peak.
GROWTH = 48


def attack(target, name, is_short, has_memory):
  fn = getattr(attacks, name)
  counts = {'idle': min(1000, target.idle) if is_short else target.idle, **target.counts}
  sizes = {'count': counts[name]} if name in counts else {}
  before, descriptors = target.program.memory(), target.program.descriptors()
  begin, cpu = time.monotonic(), target.cpu()
  worst, peak, asked = 0.0, before, 0

  for _ in fn(target, **sizes):
    worst = max(worst, target.serve_one())
    peak = max(peak, target.program.memory())
    asked += 1
  seconds, cpu = time.monotonic() - begin, target.cpu() - cpu
  wait_until('descriptors are back', lambda: target.program.descriptors() <= descriptors)
  target.serve_one()

  text = (f'{name:<20} {seconds:5.1f} s, cpu {cpu:5.2f} s, {asked:4} served, the slowest '
          f'{worst * 1000:4.0f} ms, memory +{(peak - before) / MIB:.1f} MiB')
  if name == 'idle':
    each = (target.idle_memory - before) / target.idle_count
    text += f', {each:.0f} bytes each, idle cpu {target.idle_cpu * 100:.2f} %'
    assert target.idle_cpu < 0.05, text
    assert not has_memory or each < target.idle_limit, text
  elif has_memory:
    assert peak - before < GROWTH * MIB, text
  assert worst < LATENCY * (1 if has_memory else 5), text
  print(text, flush=True)


def flood(kind, path, files):
  """Far more than may be there: they wait, none is turned away, all are served in the end."""
  limit, count = 50, 400
  target = kind(path, files, ('--connections', str(limit)))
  with target.program:
    peers = [target.open() for _ in range(count)]
    for s in peers:
      s.sendall(target.request)
    time.sleep(0.2)
    held = target.program.descriptors()
    assert held < limit + 32, f'{held} descriptors for {limit} connections'
    for s in peers:
      assert s.recv(len(target.answer)) == target.answer
      s.close()
  print(f'flood                {count} at once, {limit} allowed: all served, {held} descriptors')


def crowd(kind, path, files):
  """Very many of one peer: he has as many as he may, others are served as if he were not there."""
  limit, count = 20, 2000
  target = kind(path, files, ('--per-peer', str(limit)))
  with target.program:
    peers, worst = [], 0.0
    for i in range(count):
      with contextlib.suppress(ConnectionError):  # it may be reset before we look
        peers.append(target.open())
      if i % 50 == 0:
        begin = time.monotonic()
        with socket.create_connection(target.address, timeout=attacks.PATIENCE,
                                      source_address=('127.0.0.2', 0)) as s:
          s.sendall(target.request)
          assert s.recv(len(target.answer)) == target.answer
        worst = max(worst, time.monotonic() - begin)
    wait_until('the rest is reset', lambda: target.program.descriptors() < limit + 32)
    held = target.program.descriptors()
    for s in peers:
      attacks.reset(s)
  assert worst < LATENCY, worst
  print(f'crowd                {count} of one peer, {limit} allowed: {held} descriptors, '
        f'others served, the slowest {worst * 1000:.0f} ms')


def slow_is_cut(kind, path, files):
  """Whoever drips is cut when its time is over, whatever it sends."""
  target = kind(path, files, ('--deadline', '500'))
  with target.program:
    s, begin = target.open(), time.monotonic()
    while time.monotonic() - begin < attacks.PATIENCE and attacks.send(s, b'x'):
      time.sleep(0.02)
    seconds = time.monotonic() - begin
    assert seconds < 5, f'still there after {seconds} s'
  print(f'slow_is_cut          after {seconds:.2f} s')


def main():
  parser = argparse.ArgumentParser()
  parser.add_argument('--short', action='store_true')
  parser.add_argument('--no-memory', action='store_true')
  parser.add_argument('kind')
  parser.add_argument('program')
  parser.add_argument('files', nargs='*')
  args = parser.parse_args()
  kind = KINDS[args.kind]
  files = dict(pair.split('=', 1) for pair in args.files)

  target = kind(args.program, files)
  with target.program:
    for name in kind.attacks:
      attack(target, name, args.short, not args.no_memory)
  if args.kind == 'target':
    flood(kind, args.program, files)
    crowd(kind, args.program, files)
    slow_is_cut(kind, args.program, files)


main()
