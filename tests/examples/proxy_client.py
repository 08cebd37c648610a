#!/usr/bin/env python3
"""The program proxy, over sockets: clients and targets, both raw, and curl with a web server.

usage: proxy_client.py PROXY
"""
import hashlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

from program import PATIENCE, Connection, Listener, Program, wait_until

PROXY = sys.argv.pop(1)
MIB = 1 << 20


def text_of(address):
  host, port = address
  return f'[{host}]:{port}' if ':' in host else f'{host}:{port}'


def forwarder(target, *options, **kwargs):
  return Program(PROXY, *options, after=(text_of(target.address),), **kwargs)


def in_thread(fn, *args):
  thread = threading.Thread(target=fn, args=args, daemon=True)
  thread.start()
  return thread


class Transparent(unittest.TestCase):
  """What the two ends see of each other."""

  def connect(self, proxy, target):
    """Both ends of a connection through the proxy."""
    client = proxy.connect()
    server = target.accept()
    self.addCleanup(client.close)
    self.addCleanup(server.close)
    return client, server

  def test_the_end_of_one_direction_does_not_cut_the_other(self):
    with Listener() as target, forwarder(target) as proxy:
      for first, second in (self.connect(proxy, target), self.connect(proxy, target)[::-1]):
        first.send(b'question')
        first.end_sending()
        self.assertEqual(second.receive_all(), b'question')
        for _ in range(3):
          second.send(b'x' * 100000)
          self.assertEqual(first.receive(100000), b'x' * 100000)
        second.end_sending()
        self.assertEqual(first.receive_all(), b'')

  def test_much_goes_both_ways_at_once(self):
    data = random.Random(1).randbytes(32 * MIB)

    def send(end):
      end.send(data)
      end.end_sending()

    with Listener() as target, forwarder(target) as proxy:
      ends = self.connect(proxy, target)
      senders = [in_thread(send, end) for end in ends]
      received = [None, None]

      def receive(i):
        received[i] = ends[i].receive_all()

      receivers = [in_thread(receive, i) for i in (0, 1)]
      for thread in senders + receivers:
        thread.join(PATIENCE * 3)
      self.assertTrue(received[0] == data)
      self.assertTrue(received[1] == data)

  def test_a_reset_is_passed_on_as_a_reset(self):
    with Listener() as target, forwarder(target) as proxy:
      for first, second in (self.connect(proxy, target), self.connect(proxy, target)[::-1]):
        first.send(b'x')
        self.assertEqual(second.receive(1), b'x')
        first.reset()
        with self.assertRaises(ConnectionResetError):
          second.receive_all()

  def test_a_reset_by_who_did_not_read_is_passed_on(self):
    with Listener() as target, forwarder(target) as proxy:
      client, server = self.connect(proxy, target)
      server.socket.settimeout(0.2)
      with self.assertRaises(TimeoutError):
        while True:
          server.send(b'x' * MIB)
      client.reset()
      server.socket.settimeout(PATIENCE)
      with self.assertRaises(ConnectionError):
        while True:
          server.send(b'x' * MIB)

  def test_who_does_not_read_holds_only_his_sender_up(self):
    with Listener() as target, forwarder(target, '--drain', '50') as proxy:
      client, server = self.connect(proxy, target)
      before = proxy.memory()
      server.socket.settimeout(0.2)
      with self.assertRaises(TimeoutError):
        while True:
          server.send(b'x' * MIB)
      self.assertLess(proxy.memory() - before, MIB)
      other, other_server = self.connect(proxy, target)
      other.send(b'hello')
      self.assertEqual(other_server.receive(5), b'hello')

  def test_connections_that_rest_hold_no_buffer(self):
    def move_and_rest(count):
      for _ in range(count):
        client, server = self.connect(proxy, target)
        client.send(b'x' * 60000)
        server.receive(60000)
        server.send(b'y' * 60000)
        client.receive(60000)

    with Listener() as target, forwarder(target, '--drain', '50') as proxy:
      move_and_rest(20)
      before = proxy.memory()
      move_and_rest(200)
      self.assertLess((proxy.memory() - before) // 200, 100 * 1024)  # two would be 128 KiB

  def test_a_target_that_refuses_resets_the_client(self):
    with Listener() as target:
      where = text_of(target.address)
    proxy = Program(PROXY, after=(where,), errors=f'proxy: {where}: connection refused\n')
    with proxy, self.assertRaises(ConnectionResetError):
      with proxy.connect() as client:  # which may be reset before it knows that it is there
        client.receive_all()

  def test_what_does_not_move_is_reset(self):
    with Listener() as target, forwarder(target, '--idle', '100') as proxy:
      for end in self.connect(proxy, target):
        with self.assertRaises(ConnectionResetError):
          end.receive_all()

  def test_resets_leave_nothing_behind(self):
    with Listener() as target, forwarder(target) as proxy:
      with proxy.connect() as client, target.accept() as server:
        client.send(b'x')
        server.receive(1)
        before = proxy.descriptors()
      for _ in range(100):
        client = proxy.connect()
        client.send(b'x' * 1000)
        server = target.accept()
        client.reset()
        server.close()
      wait_until('all descriptors closed', lambda: proxy.descriptors() < before - 1)


class Life(unittest.TestCase):
  def test_a_signal_lets_connections_finish(self):
    for number in (signal.SIGINT, signal.SIGTERM):
      with Listener() as target, forwarder(target, '--drain', '10000') as proxy:
        with proxy.connect() as client, target.accept() as server:
          client.send(b'a')
          server.receive(1)
          proxy.tell_to_end(number)
          client.send(b'b')
          self.assertEqual(server.receive(1), b'b')
          client.end_sending()
          self.assertEqual(server.receive_all(), b'')

  def test_a_signal_cuts_connections_that_do_not_finish(self):
    with Listener() as target, forwarder(target, '--drain', '50') as proxy:
      with proxy.connect() as client, target.accept() as server:
        proxy.tell_to_end()
        for end in client, server:
          with self.assertRaises(ConnectionResetError):
            end.receive_all()

  def test_options_that_make_no_sense_are_refused(self):
    for args in ([], ['--nonsense', 'a', 'b'], ['a'], ['a', 'b', 'c'], ['--socks5', 'a', 'b']):
      self.assertEqual(subprocess.run([PROXY, *args], capture_output=True).returncode, 2)
    self.assertEqual(subprocess.run([PROXY, '--help'], capture_output=True).returncode, 0)
    wrong = subprocess.run([PROXY, 'nonsense', '127.0.0.1:1'], capture_output=True, text=True)
    self.assertEqual((wrong.returncode, wrong.stderr[:17]), (1, 'proxy: nonsense: '))


# ---- SOCKS ----

GREETING = b'\5\1\0'
ANYBODY = b'\5\0'
NOWHERE = b'\0\1' + bytes(6)  # the address in every reply


def request(address, command=1):
  host, port = address
  if isinstance(host, bytes):
    where = b'\3' + bytes([len(host)]) + host
  elif ':' in host:
    where = b'\4' + socket.inet_pton(socket.AF_INET6, host)
  else:
    where = b'\1' + socket.inet_aton(host)
  return bytes([5, command, 0]) + where + port.to_bytes(2, 'big')


def reply(code):
  return bytes([5, code]) + NOWHERE


class Socks(unittest.TestCase):
  def server(self, *options):
    return Program(PROXY, *options, '--socks5')

  def expect_service(self, proxy, target, address=None):
    with proxy.connect() as client:
      client.send(GREETING)
      self.assertEqual(client.receive(2), ANYBODY)
      client.send(request(address or target.address))
      self.assertEqual(client.receive(10), reply(0))
      with target.accept() as server:
        client.send(b'question')
        client.end_sending()
        self.assertEqual(server.receive_all(), b'question')
        server.send(b'answer')
      self.assertEqual(client.receive_all(), b'answer')

  def expect_refusal(self, proxy, data, code):
    with proxy.connect() as client:
      client.send(GREETING + data)
      self.assertEqual(client.receive(2), ANYBODY)
      client.send(b'x' * 1000)  # a reset would take the reply with it
      self.assertEqual(client.receive(10), reply(code))
      client.end_sending()
      self.assertEqual(client.receive_all(), b'')

  def test_a_client_reaches_its_target(self):
    with self.server() as proxy, Listener() as target:
      self.expect_service(proxy, target)
      self.expect_service(proxy, target, (b'127.0.0.1', target.address[1]))

  def test_a_client_reaches_a_target_by_name(self):
    with self.server() as proxy, Listener() as target:
      self.expect_service(proxy, target, (b'localhost', target.address[1]))

  def test_a_name_that_nobody_has_is_told(self):
    with self.server('--connect', '2000') as proxy:
      for name in (b'nobody.invalid', b'a..b', b'.', b'x' * 64 + b'.invalid', b'x' * 255):
        self.expect_refusal(proxy, request((name, 80)), 4)

  def test_a_client_reaches_a_target_by_ipv6(self):
    try:
      target = Listener('::1')
    except OSError:
      self.skipTest('there is no IPv6 here')
    with self.server() as proxy, target:
      self.expect_service(proxy, target)

  def test_a_client_may_speak_byte_by_byte_or_all_at_once(self):
    with self.server() as proxy, Listener() as target:
      for host in (target.address[0], target.address[0].encode()):
        said = GREETING + request((host, target.address[1])) + b'hello'
        for pieces in ([said[i:i + 1] for i in range(len(said))], [said]):
          with proxy.connect() as client:
            for piece in pieces:
              client.send(piece)
            with target.accept() as server:
              self.assertEqual(server.receive(5), b'hello')
            self.assertEqual(client.receive_all(), ANYBODY + reply(0))

  def test_a_client_that_offers_many_ways_is_taken(self):
    with self.server() as proxy, proxy.connect() as client:
      client.send(b'\5\xff' + bytes(range(1, 255)) + b'\0')
      self.assertEqual(client.receive(2), ANYBODY)

  def test_a_client_without_a_way_is_told(self):
    with self.server() as proxy:
      for ways in (b'\0', b'\1\2', b'\xff' + bytes(range(1, 255)) + b'\1'):
        with proxy.connect() as client:
          client.send(b'\5' + ways + b'x' * 1000)
          self.assertEqual(client.receive(2), b'\5\xff')
          client.end_sending()
          self.assertEqual(client.receive_all(), b'')

  def test_requests_that_can_not_be_met_are_told_why(self):
    with self.server() as proxy, Listener() as closed:
      closed.socket.close()
      self.expect_refusal(proxy, request(closed.address), 5)
      for command in (0, 2, 3, 255):  # BIND, UDP ASSOCIATE, and none at all
        self.expect_refusal(proxy, request(closed.address, command), 7)
      for kind in (b'\0', b'\2', b'\xff'):
        self.expect_refusal(proxy, b'\5\1\0' + kind, 8)
      for name in (b'', b'a:80', b'[::1]', b'a\0b', b'a b', b'a/b', b'\xff', b'x' * 254 + b'*'):
        self.expect_refusal(proxy, request((name, 80)), 4)

  def test_a_target_that_does_not_answer_is_given_up(self):
    with self.server('--connect', '200') as proxy, Listener(backlog=0) as target:
      waiting = []
      for _ in range(4):  # until its backlog is full, and the system answers nobody more
        other = socket.socket()
        other.setblocking(False)
        other.connect_ex(target.address)
        waiting.append(other)
      self.expect_refusal(proxy, request(target.address), 4)
      for other in waiting:
        other.close()

  def test_nonsense_ends_and_others_are_served(self):
    said = [b'\4\1\0\x50\x7f\0\0\1\0', b'GET / HTTP/1.1\r\n\r\n', b'\0', b'\xff' * 1000,
            GREETING + b'\4\1\0\1', GREETING + b'\0' * 500]
    chance = random.Random(7)
    said += [b'\5' + chance.randbytes(chance.randrange(1, 600)) for _ in range(200)]
    with self.server() as proxy, Listener() as target:
      for data in said:
        with proxy.connect() as client:
          client.send(data)
          try:
            client.end_sending()
            self.assertIn(client.receive_all()[:2], (b'', ANYBODY, b'\5\xff'))
          except OSError:
            pass  # a reset: there was more of it than was read
      self.expect_service(proxy, target)

  def test_clients_that_leave_leave_nothing_behind(self):
    said = GREETING + request(('127.0.0.1', 1))
    with self.server() as proxy:
      with proxy.connect() as client:
        client.send(GREETING)
        client.receive(2)
        before = proxy.descriptors()
      for i in range(len(said) + 1):
        for leave in (Connection.close, Connection.reset):
          client = proxy.connect()
          client.send(said[:i])
          leave(client)
      wait_until('all descriptors closed', lambda: proxy.descriptors() < before)


# ---- curl, and a web server ----

NGINX = shutil.which('nginx', path=os.environ.get('PATH', '') + ':/usr/sbin:/sbin')
NGINX_CONFIG = '''
daemon off;
master_process off;
pid {place}/pid;
error_log {place}/errors;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {place}/body;
  proxy_temp_path {place}/proxy;
  fastcgi_temp_path {place}/fastcgi;
  uwsgi_temp_path {place}/uwsgi;
  scgi_temp_path {place}/scgi;
  keepalive_requests 10000;
  server {{
    listen {address};
    root {place}/files;
  }}
}}
'''


class WebServer:
  """nginx, in the foreground, with everything of its in a temporary folder."""

  def __init__(self):
    self.folder = tempfile.TemporaryDirectory()
    self.place = self.folder.name
    os.mkdir(self.place + '/files')
    with Listener() as free:  # nginx can't choose a port itself
      self.address = text_of(free.address)
      where = free.address
    with open(self.place + '/config', 'w') as file:
      file.write(NGINX_CONFIG.format(place=self.place, address=self.address))
    self.process = subprocess.Popen([NGINX, '-p', self.place, '-c', self.place + '/config'],
                                    stderr=subprocess.DEVNULL)

    def is_there():
      assert self.process.poll() is None, open(self.place + '/errors').read()
      with socket.socket() as probe:
        return probe.connect_ex(where) == 0

    wait_until('nginx listens', is_there)

  def end(self):
    self.process.terminate()
    self.process.wait(PATIENCE)
    self.folder.cleanup()

  def put(self, name, data):
    with open(f'{self.place}/files/{name}', 'wb') as file:
      file.write(data)


def curl(*args):
  """Its exit code, what it got, what it said."""
  env = {k: v for k, v in os.environ.items() if not k.lower().endswith('_proxy')}
  done = subprocess.run(['curl', '-q', '--silent', '--show-error', '--fail', '--max-time', '60', *args],
                        env=env, capture_output=True)
  return done.returncode, done.stdout, done.stderr.decode()


@unittest.skipUnless(NGINX and shutil.which('curl'), 'needs nginx and curl')
class Curl(unittest.TestCase):
  """The same through both kinds of proxy: SOCKS, and a forwarder in nginx's place."""

  @classmethod
  def setUpClass(cls):
    cls.web = WebServer()
    cls.addClassCleanup(cls.web.end)
    cls.large = random.Random(3).randbytes(48 * MIB)
    cls.web.put('large', cls.large)
    for i in range(200):
      cls.web.put(f'small{i}', b'file %d\n' % i)

  def each_kind(self):
    port = self.web.address.split(':')[1]
    with Program(PROXY, '--socks5') as proxy:
      yield ('--socks5-hostname', text_of(proxy.address)), 'http://localhost:' + port
    with Program(PROXY, after=(self.web.address,)) as proxy:
      yield (), 'http://' + text_of(proxy.address)

  def test_a_large_file_arrives_whole(self):
    for how, url in self.each_kind():
      code, data, errors = curl(*how, url + '/large')
      self.assertEqual((code, errors), (0, ''))
      self.assertEqual(hashlib.sha256(data).digest(), hashlib.sha256(self.large).digest())

  def test_a_connection_is_kept_for_many_requests(self):
    for how, url in self.each_kind():
      code, data, errors = curl(*how, url + '/small[0-199]', '--write-out', '%{num_connects} ')
      self.assertEqual((code, errors), (0, ''))
      said = b''.join(b'file %d\n%d ' % (i, i == 0) for i in range(200))
      self.assertEqual(data, said)

  def test_many_are_served_at_once(self):
    for how, url in self.each_kind():
      with tempfile.TemporaryDirectory() as place:
        code, _, errors = curl(*how, url + '/small[0-199]', '--parallel', '--parallel-max', '40',
                               '--output', place + '/#1', '--no-progress-meter')
        self.assertEqual((code, errors), (0, ''))
        for i in range(200):
          with open(f'{place}/{i}', 'rb') as file:
            self.assertEqual(file.read(), b'file %d\n' % i)

  def test_downloads_that_are_slow_do_not_hold_up_others(self):
    for how, url in self.each_kind():
      slow = in_thread(curl, *how, url + '/large', '--limit-rate', '48M', '--output', '/dev/null')
      code, data, errors = curl(*how, url + '/small7')
      self.assertEqual((code, data, errors), (0, b'file 7\n', ''))
      slow.join(PATIENCE)

  def test_curl_is_told_why(self):
    with Program(PROXY, '--socks5') as proxy, Listener() as closed:
      closed.socket.close()
      code, _, errors = curl('--socks5-hostname', text_of(proxy.address),
                             'http://' + text_of(closed.address))
      self.assertEqual(code, 97)
      self.assertIn('(5)', errors)  # the reply's code: refused


unittest.main(verbosity=2)
