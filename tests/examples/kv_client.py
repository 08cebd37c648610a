#!/usr/bin/env python3
"""The program kv, over sockets: what clients do, and what they should not do.

usage: kv_client.py KV
"""
import re
import shutil
import signal
import subprocess
import sys
import unittest

from program import PATIENCE, Connection, Program, wait_until

KV = sys.argv.pop(1)
MIB = 1 << 20
BULK_MAX = 16 * MIB
ARGS_MAX = 65536


def request(*args):
  args = [arg if isinstance(arg, bytes) else str(arg).encode() for arg in args]
  return b'*%d\r\n' % len(args) + b''.join(b'$%d\r\n%s\r\n' % (len(arg), arg) for arg in args)


class Client(Connection):
  def read_reply(self):
    """bytes, int, list, None, or an error as a str."""
    line = self.file.readline()
    assert line.endswith(b'\r\n'), f'end of file after {line!r}'
    kind, text = line[:1], line[1:-2]
    if kind == b'+':
      return text
    if kind == b'-':
      return text.decode()
    if kind == b':':
      return int(text)
    if int(text) < 0:
      return None
    if kind == b'$':
      return self.receive(int(text) + 2)[:-2]
    assert kind == b'*', line
    return [self.read_reply() for _ in range(int(text))]

  def ask(self, *args):
    self.send(request(*args))
    return self.read_reply()

  def info(self):
    text = self.ask('INFO').decode()
    return dict(line.split(':', 1) for line in text.split('\r\n') if ':' in line)


class Server(Program):
  def __init__(self, *options):
    super().__init__(KV, *options)
    for _ in range(3):  # how to talk to it, how to end it
      self.process.stdout.readline()

  def connect(self):
    return Client(self.address)


class Requests(unittest.TestCase):
  def test_a_value_comes_back(self):
    with Server() as server, server.connect() as client:
      self.assertEqual(client.ask('SET', 'a', b'\0\r\n'), b'OK')
      self.assertEqual(client.ask('GET', 'a'), b'\0\r\n')
      self.assertIsNone(client.ask('GET', 'b'))

  def test_a_pipeline_is_answered_in_order(self):
    with Server() as server, server.connect() as client:
      client.send(b''.join(request('ECHO', i) + b'PING %d\r\n' % i for i in range(5000)))
      for i in range(5000):
        self.assertEqual(client.read_reply(), b'%d' % i)
        self.assertEqual(client.read_reply(), b'%d' % i)

  def test_a_request_may_come_byte_by_byte(self):
    with Server() as server, server.connect() as client:
      for byte in request('SET', 'a', 'hello') + b"SET b 'x y'\r\n" + request('MGET', 'a', 'b'):
        client.send(bytes([byte]))
      self.assertEqual([client.read_reply() for _ in range(3)], [b'OK', b'OK', [b'hello', b'x y']])

  def test_the_largest_value_comes_back(self):
    value = bytes(range(256)) * (BULK_MAX // 256)
    with Server() as server, server.connect() as client:
      self.assertEqual(client.ask('SET', 'a', value), b'OK')
      self.assertEqual(client.ask('GET', 'a'), value)
      # What it took is given back with the next request.
      self.assertEqual(client.ask('DEL', 'a'), 1)
      self.assertLess(int(client.info()['client_buffers']), 64 * 1024)

  def test_a_half_closed_client_gets_its_answers(self):
    with Server() as server, server.connect() as client:
      client.send(request('SET', 'a', 1) + request('INCR', 'a') + b'*1\r\n$4\r\nPI')
      client.end_sending()
      self.assertEqual(client.receive_all(), b'+OK\r\n:2\r\n')

  def test_quit_is_answered_and_what_follows_is_not(self):
    with Server() as server, server.connect() as client:
      client.send(b'PING\r\nQUIT\r\nPING\r\n' + b'x' * 100000)
      self.assertEqual(client.receive_all(), b'+PONG\r\n+OK\r\n')

  def test_what_has_expired_is_swept_away(self):
    with Server() as server, server.connect() as client:
      client.send(b''.join(request('SET', i, 'v', 'PX', 30) for i in range(5000)))
      for i in range(5000):
        self.assertEqual(client.read_reply(), b'OK')
      client.ask('SET', 'stays', 1)
      wait_until('nothing left but what stays', lambda: client.ask('DBSIZE') == 1)
      self.assertEqual(client.info()['expired_keys'], '5000')


@unittest.skipUnless(shutil.which('redis-benchmark'), 'needs redis-benchmark')
class Benchmark(unittest.TestCase):
  """redis-benchmark ends at the first reply that is an error, and with it the test."""

  def run_benchmark(self, server, *args):
    host, port = server.address
    done = subprocess.run(['redis-benchmark', '-h', host, '-p', str(port), '-q', '-c', '50', *args],
                          text=True, capture_output=True, timeout=PATIENCE * 5)
    # A line is written over until it is final.
    lines = done.stdout.replace('\r', '\n')
    return done.returncode, re.findall(r'^(.+): (\d+)\.\d+ requests per second', lines, re.M)

  def test_every_request_of_fifty_clients_is_answered(self):
    names = ['PING_INLINE', 'PING_MBULK', 'SET', 'GET', 'INCR', 'MSET (10 keys)']
    for pipeline in 1, 16:
      with self.subTest(pipeline=pipeline), Server() as server:
        code, results = self.run_benchmark(server, '-n', '10000', '-P', str(pipeline), '-r', '1000',
                                           '-t', 'ping,set,get,incr,mset')
        self.assertEqual((code, [name for name, _ in results]), (0, names))
        self.assertTrue(all(int(rate) > 0 for _, rate in results), results)
        with server.connect() as client:
          self.assertGreaterEqual(int(client.info()['total_commands_processed']), 10000 * len(names))
          wait_until('all are gone', lambda: client.info()['connected_clients'] == '1')

  def test_an_error_would_be_seen(self):
    with Server() as server:
      code, results = self.run_benchmark(server, '-n', '1000', 'NONSENSE')
      self.assertNotEqual(code, 0)
      self.assertEqual(results, [])


class Nonsense(unittest.TestCase):
  def expect_end(self, server, data, reply):
    with server.connect() as client:
      client.send(data)
      self.assertEqual(client.receive_all(), reply)

  def test_broken_protocol_is_answered_before_the_end(self):
    cases = {
      b'*x\r\n': b'invalid multibulk length',
      b'*%d\r\n' % (ARGS_MAX + 1): b'invalid multibulk length',
      b'*1\r\n$x\r\n': b'invalid bulk length',
      b'*2\r\n$%d\r\n' % (BULK_MAX + 1): b'invalid bulk length',
      b'*1\r\nGET\r\n': b"expected '$', got 'G'",
      b'x' * 70000: b'too big inline request',
      b'*' + b'1' * 70000: b'too big mbulk count string',
    }
    with Server() as server:
      for data, message in cases.items():
        self.expect_end(server, data, b'-ERR Protocol error: ' + message + b'\r\n')
        # A reset would take the reply with it when the client is still sending.
        self.expect_end(server, data + b'y' * 300000, b'-ERR Protocol error: ' + message + b'\r\n')
        self.expect_end(server, b'PING\r\n' + data, b'+PONG\r\n-ERR Protocol error: ' + message + b'\r\n')

  def test_an_open_quote_is_an_error_and_not_the_end(self):
    with Server() as server, server.connect() as client:
      client.send(b'SET a "x\r\nPING\r\n')
      self.assertEqual(client.read_reply(), 'ERR Protocol error: unbalanced quotes in request')
      self.assertEqual(client.read_reply(), b'PONG')

  def test_random_bytes_do_no_harm(self):
    import random
    chance = random.Random(42)
    with Server() as server:
      for _ in range(200):
        with server.connect() as client:
          client.send(bytes(chance.choice(b'*$0123456789\r\n"\'\\ xGETSET') for _ in range(500)))
          client.end_sending()
          client.receive_all()
      with server.connect() as client:
        self.assertEqual(client.ask('PING'), b'PONG')

  def test_what_is_only_announced_takes_no_memory(self):
    with Server() as server, server.connect() as other:
      other.ask('PING')
      before = server.memory()
      clients = [server.connect() for _ in range(100)]
      for client in clients:
        client.send(b'*%d\r\n$%d\r\n' % (ARGS_MAX, BULK_MAX))
      wait_until('all are there', lambda: int(other.info()['connected_clients']) == 101)
      # One after the other, so that each has read what it was sent.
      for client in clients:
        client.send(b'x')
      self.assertLess(int(other.info()['client_buffers']), 102 * 10000)
      self.assertLess(server.memory() - before, 16 * MIB)
      for client in clients:
        client.close()


class Limits(unittest.TestCase):
  def test_a_client_that_never_reads_is_not_read_either(self):
    with Server() as server, server.connect() as other, server.connect() as lazy:
      other.ask('SET', 'large', b'x' * MIB)
      lazy.socket.settimeout(0.2)
      with self.assertRaises(TimeoutError):  # the kernel's buffers are full both ways
        while True:
          lazy.send(request('GET', 'large') * 1000)
      self.assertEqual(other.ask('PING'), b'PONG')
      self.assertLess(int(other.info()['client_buffers']), 4 * MIB)
      lazy.close()
      wait_until('its buffers are freed', lambda: int(other.info()['client_buffers']) < 64 * 1024)

  def test_a_client_that_never_reads_is_cut_when_it_is_idle(self):
    with Server('--idle', '100') as server, server.connect() as lazy:
      self.assertEqual(lazy.ask('SET', 'large', b'x' * MIB), b'OK')
      with self.assertRaises(ConnectionError):
        while True:
          lazy.send(request('GET', 'large') * 100)

  def test_an_idle_client_is_closed(self):
    with Server('--idle', '50') as server, server.connect() as client:
      self.assertEqual(client.receive_all(), b'')

  def test_a_full_store_refuses_and_still_answers(self):
    with Server('--memory', '1') as server, server.connect() as client:
      for i in range(100):
        reply = client.ask('SET', i, b'x' * 50000)
        if reply != b'OK':
          break
      self.assertEqual(reply, "OOM command not allowed when used memory > 'maxmemory'.")
      self.assertGreater(i, 10)
      self.assertEqual(client.ask('GET', 0), b'x' * 50000)
      self.assertEqual(client.ask('FLUSHDB'), b'OK')
      self.assertEqual(client.ask('SET', 'a', 1), b'OK')

  def test_a_reply_over_the_limit_is_an_error(self):
    with Server() as server, server.connect() as client:
      client.ask('SET', 'a', b'x' * BULK_MAX)
      self.assertEqual(client.ask('MGET', 'a', 'a', 'a'), 'OOM no room for the reply')
      self.assertEqual(client.ask('STRLEN', 'a'), BULK_MAX)

  def test_a_request_over_the_limit_is_an_error(self):
    with Server() as server, server.connect() as client:
      bulk = b'$%d\r\n' % BULK_MAX + b'x' * BULK_MAX + b'\r\n'
      client.send(b'*4\r\n$4\r\nMSET\r\n' + bulk + b'$%d\r\n' % BULK_MAX)
      self.assertEqual(client.receive_all(), b'-ERR Protocol error: too big request\r\n')

  def test_resets_leave_nothing_behind(self):
    with Server() as server, server.connect() as other:
      other.ask('PING')
      before = server.descriptors()
      for _ in range(200):
        client = server.connect()
        client.send(request('ECHO', b'x' * 10000) * 10 + b'*1\r\n$10')
        client.reset()
      wait_until('all are gone', lambda: other.info()['connected_clients'] == '1')
      self.assertLess(int(other.info()['client_buffers']), 64 * 1024)
      wait_until('all are closed', lambda: server.descriptors() == before)


class Life(unittest.TestCase):
  def test_a_signal_ends_it(self):
    for number in (signal.SIGINT, signal.SIGTERM):
      with Server() as server:
        server.tell_to_end(number)

  def test_a_signal_lets_clients_finish(self):
    with Server('--drain', '10000') as server, server.connect() as client:
      client.ask('PING')
      server.tell_to_end()
      self.assertEqual(client.ask('PING'), b'PONG')
      self.assertEqual(client.ask('QUIT'), b'OK')
      self.assertEqual(client.receive_all(), b'')

  def test_a_signal_cuts_clients_that_do_not_finish(self):
    with Server('--drain', '50') as server, server.connect() as client:
      client.ask('PING')
      server.tell_to_end()
      with self.assertRaises(ConnectionResetError):
        client.receive_all()

  def test_a_signal_cuts_clients_that_do_not_read(self):
    with Server('--drain', '50') as server, server.connect() as client:
      client.ask('SET', 'large', b'x' * MIB)
      client.send(request('GET', 'large') * 100)
      client.receive(1000)
      server.tell_to_end()
      server.process.wait(20)
      with self.assertRaises(ConnectionResetError):
        while client.socket.recv(MIB):
          pass

  def run_kv(self, *args):
    return subprocess.run([KV, *args], text=True, capture_output=True)

  def test_a_port_that_is_taken_is_named(self):
    with Server() as server:
      second = self.run_kv('%s:%d' % server.address)
      self.assertEqual(second.returncode, 1)
      self.assertIn('%s:%d is taken' % server.address, second.stderr)
      self.assertEqual(second.stdout, '')

  def test_options_that_make_no_sense_are_refused(self):
    for args in (['--idle', 'x'], ['--nonsense'], ['--drain', '-1'], ['a', 'b']):
      self.assertEqual(self.run_kv(*args).returncode, 2)
    self.assertEqual(self.run_kv('nonsense').returncode, 1)
    self.assertEqual(self.run_kv('--help').returncode, 0)


unittest.main(verbosity=2)
