#!/usr/bin/env python3
"""The program tls_echo, and OpenSSL's own client and server as its peers.

usage: tls_echo_peers.py TLS_ECHO CERTIFICATES
"""
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import unittest

from program import PATIENCE, Program, wait_until

CERTS = sys.argv.pop(2)
ECHO = sys.argv.pop(1)


def cert(name):
  return os.path.join(CERTS, name)


def own(name):
  """The options for a certificate and its key."""
  return ['--cert', cert(name + '.pem'), '--key', cert(name + '.key')]


class Server(Program):
  """Our server. What it has said of its connections is in `errors` when it has ended."""

  def __init__(self, *options):
    super().__init__(ECHO, *own('server'), *options)
    self.errors = None

  def __exit__(self, *exception):
    if not self.was_told_to_end:
      self.tell_to_end()
    try:
      _, self.errors = self.process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
      self.process.kill()
      raise
    if exception == (None, None, None):
      assert self.process.returncode == 0, f'exit {self.process.returncode}: {self.errors}'


class Talker:
  """A program with pipes; what it prints is read with a bound."""

  def __init__(self, *command):
    self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                    stderr=subprocess.STDOUT)
    self.output = b''

  def __enter__(self):
    return self

  def __exit__(self, *exception):
    if self.process.poll() is None:
      self.process.kill()
    self.process.wait()
    self.process.stdin.close()
    self.process.stdout.close()

  def say(self, text):
    self.process.stdin.write(text)
    self.process.stdin.flush()

  def read_some(self):
    """False: there is no more."""
    if not select.select([self.process.stdout], [], [], PATIENCE)[0]:
      raise AssertionError(f'nothing within {PATIENCE} s after {self.output!r}')
    data = os.read(self.process.stdout.fileno(), 65536)
    self.output += data
    return bool(data)

  def expect(self, pattern):
    """Reads until the pattern has come; the match."""
    while True:
      match = re.search(pattern, self.output)
      if match:
        return match
      if not self.read_some():
        raise AssertionError(f'no {pattern!r} in {self.output!r}')

  def finish(self):
    """Ends its input, and reads to its end. The exit code."""
    try:
      self.process.stdin.close()
    except BrokenPipeError:
      pass
    while self.read_some():
      pass
    return self.process.wait(PATIENCE)


def s_client(server, *options):
  return Talker('openssl', 's_client', '-connect', '%s:%d' % server.address,
                '-CAfile', cert('ca.pem'), '-verify_return_error',
                '-verify_hostname', 'example.test', '-servername', 'example.test', *options)


class OpensslAsClient(unittest.TestCase):
  def exchange(self, client, text=b'hello, echo\n'):
    client.expect(rb'Verify return code: 0|Verification: OK')
    client.expect(rb'---\n(?!.*---\n)')
    client.say(text)
    client.expect(re.escape(text))  # s_client does not show what it sends

  def test_versions(self):
    with Server() as server:
      for option, name in (('-tls1_2', b'TLSv1.2'), ('-tls1_3', b'TLSv1.3')):
        with s_client(server, option) as client:
          self.exchange(client)
          self.assertIn(b'New, ' + name, client.output)
          self.assertEqual(client.finish(), 0)
    self.assertEqual(server.errors, '')

  def test_an_old_version_is_refused(self):
    with Server() as server:
      with s_client(server, '-tls1_1', '-cipher', 'DEFAULT@SECLEVEL=0') as client:
        self.assertNotEqual(client.finish(), 0)
        self.assertIn(b'alert protocol version', client.output)
    self.assertIn('unsupported protocol', server.errors)

  def test_alpn(self):
    with Server('--alpn', 'echo') as server:
      with s_client(server, '-alpn', 'h2,echo') as client:
        self.exchange(client)
        self.assertIn(b'ALPN protocol: echo', client.output)
      with s_client(server, '-alpn', 'h2') as client:
        self.assertNotEqual(client.finish(), 0)
        self.assertIn(b'no application protocol', client.output)

  def test_resumption(self):
    with Server() as server, tempfile.TemporaryDirectory() as folder:
      for version in ('-tls1_2', '-tls1_3'):
        session = os.path.join(folder, version)
        with s_client(server, version, '-sess_out', session) as client:
          self.exchange(client)
          self.assertEqual(client.finish(), 0)
          self.assertIn(b'\nNew, ', client.output)
        with s_client(server, version, '-sess_in', session) as client:
          self.exchange(client)
          self.assertIn(b'\nReused, ', client.output)
          self.assertEqual(client.finish(), 0)

  def test_client_certificates(self):
    with Server('--ca', cert('ca.pem')) as server:
      with s_client(server, '-cert', cert('client.pem'), '-key', cert('client.key')) as client:
        self.exchange(client)
        self.assertEqual(client.finish(), 0)
      for options in ([], ['-cert', cert('stranger.pem'), '-key', cert('stranger.key')]):
        with s_client(server, *options) as client:
          client.expect(rb'alert (certificate required|unknown ca)')
    self.assertIn('peer did not return a certificate', server.errors)
    self.assertIn('unable to get local issuer certificate', server.errors)

  def test_much_both_ways(self):
    lines = b''.join(b'%09d\n' % i for i in range(200000))
    with Server() as server:
      with s_client(server, '-quiet', '-ign_eof') as client:
        sent = 0
        while sent < len(lines):
          client.say(lines[sent:sent + 50000])
          sent += 50000
          while client.output.count(b'\n') < sent // 10:
            client.read_some()
        self.assertTrue(client.output.endswith(lines))

  def test_keys_are_updated(self):
    with Server() as server:
      with s_client(server, '-tls1_3') as client:
        self.exchange(client)
        for command in (b'K\n', b'k\n', b'K\n'):
          client.say(command)
          client.expect(rb'KEYUPDATE')
          client.output = b'\n'
          client.say(b'with new keys\n')
          client.expect(rb'with new keys\n')
        self.assertEqual(client.finish(), 0)
    self.assertEqual(server.errors, '')

  def test_renegotiation_is_refused(self):
    with Server() as server:
      with s_client(server, '-tls1_2') as client:
        self.exchange(client)
        client.say(b'R\n')
        client.expect(rb'no renegotiation')
      with s_client(server, '-tls1_2') as client:
        self.exchange(client)
        self.assertEqual(client.finish(), 0)

  def test_a_client_that_is_killed_is_a_truncation(self):
    with Server() as server:
      with s_client(server) as client:
        self.exchange(client)
        client.process.send_signal(signal.SIGKILL)
        client.process.wait()
      with s_client(server) as client:
        self.exchange(client)
        self.assertEqual(client.finish(), 0)
    self.assertEqual(server.errors.count('without close_notify'), 1)

  def test_plain_text_is_refused(self):
    with Server() as server:
      with server.connect() as client:
        client.send(b'GET / HTTP/1.1\r\nHost: example.test\r\n\r\n')
        self.assertEqual(client.receive_all(), b'')  # no alert: it would not be understood
      with s_client(server) as client:
        self.exchange(client)
    self.assertIn('http request', server.errors)

  def test_clients_that_say_nothing_hold_nobody_up(self):
    with Server() as server:
      silent = [server.connect() for _ in range(50)]
      with s_client(server) as client:
        self.exchange(client)
        self.assertEqual(client.finish(), 0)
      for connection in silent:
        connection.close()
      wait_until('all connections have ended', lambda: server.descriptors() < 20)


class OpensslAsServer(unittest.TestCase):
  def start(self, *options, name='server'):
    """A server that sends each line back, reversed."""
    server = Talker('openssl', 's_server', '-accept', '127.0.0.1:0', '-rev',
                    '-cert', cert(name + '.pem'), '-cert_chain', cert(name + '.pem'),
                    '-key', cert(name + '.key'), *options)
    self.address = server.expect(rb'ACCEPT (127\.0\.0\.1:\d+)\n').group(1).decode()
    return server

  def connect(self, *options, name='example.test', text='hello\n'):
    with Talker(ECHO, '--connect', name, '--ca', cert('ca.pem'), *options, self.address) as client:
      if text is not None:
        client.say(text.encode())
        client.expect(rb'olleh\n|tls_echo: ')
      code = client.finish()
      return code, client.output.decode()

  def test_versions(self):
    for option, version in (('-tls1_2', 'TLSv1.2'), ('-tls1_3', 'TLSv1.3')):
      with self.start(option):
        code, output = self.connect()
        self.assertIn(version, output)
        self.assertIn('olleh\n', output)

  def test_alpn(self):
    with self.start('-alpn', 'h2,echo'):
      self.assertIn('protocol echo', self.connect('--alpn', 'echo')[1])
      self.assertIn('protocol none', self.connect()[1])

  def test_resumption(self):
    for version in ('-tls1_2', '-tls1_3'):
      with self.start(version):
        with Talker(ECHO, '--connect', 'example.test', '--ca', cert('ca.pem'), '--twice',
                    self.address) as client:
          client.say(b'hello\n')
          client.expect(rb', resumed\n(?s:.)*olleh\n')

  def test_who_is_not_trusted_is_refused(self):
    for certificate, name, why in (('server', 'other.test', 'hostname mismatch'),
                                   ('expired', 'example.test', 'certificate has expired'),
                                   ('self', 'example.test', 'self-signed certificate'),
                                   ('foreign', 'example.test', 'unable to get local issuer')):
      with self.start(name=certificate):
        code, output = self.connect(name=name, text=None)
        self.assertEqual(code, 1)
        self.assertIn(why, output)

  def test_addresses_are_names_too(self):
    with self.start():
      self.assertIn('olleh', self.connect(name='127.0.0.1')[1])

  def test_client_certificates(self):
    with self.start('-Verify', '2', '-CAfile', cert('ca.pem'), '-verify_return_error'):
      self.assertIn('olleh', self.connect(*own('client'))[1])
      code, output = self.connect()
      self.assertEqual(code, 1)
      self.assertRegex(output, 'certificate required|handshake failure')

  def test_a_server_that_is_killed_is_a_truncation(self):
    with self.start() as server:
      with Talker(ECHO, '--connect', 'example.test', '--ca', cert('ca.pem'),
                  self.address) as client:
        client.say(b'hello\n')
        client.expect(rb'olleh\n')
        server.process.kill()
        client.expect(rb'without close_notify')
        self.assertEqual(client.finish(), 1)


unittest.main(verbosity=2)
