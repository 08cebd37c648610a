#!/usr/bin/env python3
"""The program http, over sockets: what clients do, and what they should not do.

usage: http_client.py HTTP
"""
import email.utils
import os
import random
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from program import PATIENCE, Connection, Program, wait_until

HTTP = sys.argv.pop(1)
KIB = 1 << 10
MIB = 1 << 20


class Answer:
  def __init__(self, status, version, fields, body):
    self.status, self.version, self.fields, self.body = status, version, fields, body

  def __repr__(self):
    return f'{self.status} {self.fields} {self.body[:100]!r}'


class Client(Connection):
  def read_line(self):
    line = self.file.readline()
    assert line.endswith(b'\r\n'), f'end of file after {line!r}'
    return line[:-2]

  def read_chunks(self):
    body = b''
    while True:
      size = int(self.read_line(), 16)
      body += self.receive(size)
      assert self.read_line() == b''
      if size == 0:
        return body

  def read_answer(self, method='GET'):
    """Reads as strictly as one can."""
    version, status, _ = self.read_line().decode().split(' ', 2)
    fields = {}
    while line := self.read_line().decode():
      name, value = line.split(': ', 1)
      assert name not in fields, f'{name} twice'
      fields[name] = value
    status = int(status)
    if status == 100:
      return Answer(status, version, fields, b'')
    assert 'Date' in fields
    if method == 'HEAD' or status in (204, 304):
      body = b''
    elif 'Transfer-Encoding' in fields:
      assert fields['Transfer-Encoding'] == 'chunked' and 'Content-Length' not in fields
      body = self.read_chunks()
    elif 'Content-Length' in fields:
      body = self.receive(int(fields['Content-Length']))
    else:
      assert fields['Connection'] == 'close'
      body = self.receive_all()
    return Answer(status, version, fields, body)

  def ask(self, text, method='GET'):
    self.send(text)
    return self.read_answer(method)

  def get(self, path, *fields, method='GET'):
    return self.ask(request(method, path, *fields), method)

  def is_at_end(self):
    return self.receive_all() == b''


def request(method, path, *fields, version='HTTP/1.1', body=b''):
  lines = [f'{method} {path} {version}', 'Host: test', *fields]
  if body:
    lines.append(f'Content-Length: {len(body)}')
  return '\r\n'.join(lines).encode() + b'\r\n\r\n' + body


def chunks(*pieces):
  return b''.join(b'%x\r\n%s\r\n' % (len(piece), piece) for piece in (*pieces, b''))


CHUNKED = 'Transfer-Encoding: chunked'
HELLO = request('GET', '/hello')


def cert(name):
  return os.path.join(os.path.dirname(__file__), '..', 'support', 'certs', name)


def has_tls():
  got = subprocess.run([HTTP, '--tls', '/nowhere', '/nowhere'], capture_output=True, text=True)
  return 'not supported' not in got.stderr


class Server(Program):
  def __init__(self, *options, **how):
    super().__init__(HTTP, *options, **how)
    for _ in range(3):  # how to talk to it, how to end it
      self.process.stdout.readline()
    self.url = 'http://%s:%d' % self.address

  def connect(self):
    return Client(self.address)

  def is_alive(self):
    with self.connect() as client:
      return client.get('/hello').body == b'Hello, world!\n'


class Requests(unittest.TestCase):
  def test_many_requests_go_over_one_connection(self):
    with Server() as server, server.connect() as client:
      for _ in range(100):
        answer = client.get('/hello')
        self.assertEqual((answer.status, answer.version), (200, 'HTTP/1.1'))
        self.assertEqual(answer.body, b'Hello, world!\n')
        self.assertNotIn('Connection', answer.fields)
        date = email.utils.parsedate_to_datetime(answer.fields['Date'])
        self.assertLess(abs(date.timestamp() - time.time()), 60)

  def test_a_pipeline_is_answered_in_order(self):
    with Server() as server, server.connect() as client:
      client.send(b''.join(request('POST', '/echo', body=b'%d' % i) + HELLO for i in range(2000)))
      for i in range(2000):
        self.assertEqual(client.read_answer().body, b'%d' % i)
        self.assertEqual(client.read_answer().body, b'Hello, world!\n')

  def test_a_pipeline_to_a_client_that_does_not_read_waits(self):
    with Server() as server, server.connect() as client:
      before = server.memory()
      client.socket.settimeout(1)
      sent = 0
      with self.assertRaises(TimeoutError):
        while sent < 1000 * MIB:
          sent += client.socket.send(HELLO * 1000)
      self.assertLess(server.memory() - before, 4 * MIB)
      client.reset()
      self.assertTrue(server.is_alive())

  def test_a_request_may_come_byte_by_byte(self):
    with Server() as server, server.connect() as client:
      text = (request('GET', '/hello', 'X-Empty:', 'X-Y: a b ') +
              request('POST', '/echo', 'Content-Type: a/b', body=b'body') +
              request('POST', '/echo', CHUNKED) + chunks(b'abc', b'defg') + HELLO)
      for i in range(len(text)):
        client.send(text[i:i + 1])
      self.assertEqual(client.read_answer().body, b'Hello, world!\n')
      answer = client.read_answer()
      self.assertEqual((answer.body, answer.fields['Content-Type']), (b'body', 'a/b'))
      self.assertEqual(client.read_answer().body, b'abcdefg')
      self.assertEqual(client.read_answer().body, b'Hello, world!\n')

  def test_a_request_may_be_cut_anywhere(self):
    text = request('POST', '/echo', 'X-Y: z', CHUNKED) + chunks(b'hello', b'x') + HELLO
    with Server() as server, server.connect() as client:
      for i in range(1, len(text)):
        client.send(text[:i])
        time.sleep(0.001)
        client.send(text[i:])
        self.assertEqual(client.read_answer().body, b'hellox')
        self.assertEqual(client.read_answer().status, 200)

  def test_head_is_get_without_its_body(self):
    with Server() as server, server.connect() as client:
      got, asked = client.get('/hello'), client.get('/hello', method='HEAD')
      del got.fields['Date'], asked.fields['Date']
      self.assertEqual(got.fields, asked.fields)
      self.assertEqual(client.get('/nowhere', method='HEAD').status, 404)
      self.assertEqual(client.get('/hello').status, 200)

  def test_the_client_says_when_it_is_the_last_request(self):
    with Server() as server:
      for text in (request('GET', '/hello', 'Connection: close'),
                   request('GET', '/hello', version='HTTP/1.0')):
        with server.connect() as client:
          answer = client.ask(text + HELLO)
          self.assertEqual((answer.status, answer.fields['Connection']), (200, 'close'))
          self.assertTrue(client.is_at_end())

  def test_http_1_0_may_keep_its_connection(self):
    with Server() as server, server.connect() as client:
      for _ in range(2):
        answer = client.ask(request('GET', '/hello', 'Connection: keep-alive', version='HTTP/1.0'))
        self.assertEqual((answer.status, answer.fields['Connection']), (200, 'keep-alive'))

  def test_a_half_closed_client_gets_its_answers(self):
    with Server() as server, server.connect() as client:
      client.send(HELLO * 3 + b'GET /hel')
      client.end_sending()
      for _ in range(3):
        self.assertEqual(client.read_answer().status, 200)
      self.assertTrue(client.is_at_end())

  def test_a_body_that_ends_before_it_began_is_the_clients_fault(self):
    with Server() as server:
      for length in ('Content-Length: 3', CHUNKED):
        with server.connect() as client:
          client.send(request('POST', '/echo', length))
          client.end_sending()
          self.assertEqual(client.read_answer().status, 400)
          self.assertTrue(client.is_at_end())

  def test_a_target_may_be_absolute_and_have_a_query(self):
    with Server() as server, server.connect() as client:
      for target in ('http://test/hello', '/hello?a=/b?c', 'http://test/hello?x', '/hello'):
        self.assertEqual(client.get(target).status, 200, target)
      self.assertEqual(client.get('http://test').status, 404)

  def test_an_upgrade_that_is_not_known_is_passed_over(self):
    with Server() as server, server.connect() as client:
      client.send(request('GET', '/hello', 'Connection: Upgrade', 'Upgrade: h2c') + HELLO)
      self.assertEqual([client.read_answer().status for _ in range(2)], [200, 200])

  def test_empty_lines_before_a_request_are_passed_over(self):
    with Server() as server, server.connect() as client:
      client.send(b'\r\n' + HELLO + b'\r\n\r\n' + HELLO)
      self.assertEqual([client.read_answer().status for _ in range(2)], [200, 200])


class Bodies(unittest.TestCase):
  def test_a_large_body_comes_back_as_it_was_sent(self):
    body = random.Random(1).randbytes(3 * MIB)
    pieces = [body[i:i + 70001] for i in range(0, len(body), 70001)]
    with Server() as server, server.connect() as client:
      for text in (request('POST', '/echo', body=body),
                   request('POST', '/echo', CHUNKED) + chunks(*pieces)):
        thread = threading.Thread(target=client.send, args=(text,))
        thread.start()
        answer = client.read_answer()
        thread.join()
        self.assertTrue(answer.body == body)
        self.assertEqual('Transfer-Encoding' in answer.fields, b'chunked' in text[:100])

  def test_an_empty_body_is_one(self):
    with Server() as server, server.connect() as client:
      self.assertEqual(client.ask(request('POST', '/echo', 'Content-Length: 0')).body, b'')
      self.assertEqual(client.ask(request('POST', '/echo', CHUNKED) + chunks()).body, b'')
      self.assertEqual(client.get('/hello').status, 200)

  def test_extensions_and_trailers_are_passed_over(self):
    with Server() as server, server.connect() as client:
      text = b'3;a=b\r\nabc\r\n0\r\nX-Trailer: x\r\nHost: y\r\n\r\n'
      self.assertEqual(client.ask(request('POST', '/echo', CHUNKED) + text).body, b'abc')
      self.assertEqual(client.get('/hello').status, 200)

  def test_who_waits_to_be_asked_is_asked(self):
    with Server() as server, server.connect() as client:
      for _ in range(2):
        answer = client.ask(request('POST', '/echo', 'Expect: 100-continue', 'Content-Length: 5'))
        self.assertEqual((answer.status, answer.fields), (100, {}))
        self.assertEqual(client.ask(b'hello').body, b'hello')

  def test_who_does_not_wait_is_not_asked(self):
    with Server() as server, server.connect() as client:
      answer = client.ask(request('POST', '/echo', 'Expect: 100-Continue', body=b'hello'))
      self.assertEqual(answer.body, b'hello')

  def test_who_is_not_asked_is_told_why(self):
    with Server('--body', '10') as server:
      for path, length, status in (('/echo', 11, 413), ('/hello', 5, 405)):
        with server.connect() as client:
          text = request('POST', path, 'Expect: 100-continue', f'Content-Length: {length}')
          self.assertEqual(client.ask(text).status, status)
          self.assertTrue(client.is_at_end())  # nobody knows whether the body comes

  def test_a_body_that_nobody_reads_is_not_in_the_way(self):
    with Server() as server, server.connect() as client:
      client.send(request('POST', '/hello', body=b'x' * 50000) + HELLO)
      self.assertEqual([client.read_answer().status for _ in range(2)], [405, 200])
    with Server() as server, server.connect() as client:
      client.send(request('POST', '/hello', body=b'x' * 500000) + HELLO)
      self.assertEqual(client.read_answer().status, 405)
      self.assertTrue(client.is_at_end())

  def test_a_body_has_a_limit(self):
    with Server('--body', '1000') as server:
      with server.connect() as client:
        self.assertEqual(client.ask(request('POST', '/echo', body=b'x' * 1000)).status, 200)
        self.assertEqual(client.ask(request('POST', '/echo', CHUNKED) +
                                    chunks(b'x' * 500, b'x' * 500)).status, 200)
        answer = client.ask(request('POST', '/echo', body=b'x' * 1001))
        self.assertEqual((answer.status, answer.fields['Connection']), (413, 'close'))
        self.assertTrue(client.is_at_end())
      with server.connect() as client:
        self.assertEqual(client.ask(request('POST', '/echo', CHUNKED) + chunks(b'x' * 1001)).status,
                         413)
      with server.connect() as client:  # too late to say so: the answer does not look whole
        client.send(request('POST', '/echo', CHUNKED) + b'3e8\r\n' + b'x' * 1000 + b'\r\n')
        self.assertTrue(client.read_line().startswith(b'HTTP/1.1 200'))
        client.send(chunks(b'x'))
        got = client.receive_all_or_reset()
        self.assertFalse(got.endswith(b'0\r\n\r\n'), got)


  def test_a_fault_behind_a_good_answer_is_told_all_the_same(self):
    for limit, body, status in (('20000', b'x', 400), ('200', b'', 408)):
      with Server('--body-time', limit) as server, server.connect() as client:
        client.send(HELLO + request('POST', '/echo', CHUNKED))
        self.assertEqual(client.read_answer().status, 200)
        client.send(body)
        self.assertEqual(client.read_answer().status, status)
        self.assertTrue(client.is_at_end())


class Nonsense(unittest.TestCase):
  def expect(self, server, text, status):
    with server.connect() as client:
      try:
        client.send(text)
      except ConnectionError:
        pass
      answer = client.read_answer()
      self.assertEqual(answer.status, status, text[:200])
      self.assertEqual(answer.fields['Connection'], 'close')
      self.assertTrue(client.is_at_end(), text[:200])

  def test_each_fault_has_its_status(self):
    cases = [
      (b'GET /hello HTTP/1.1\r\n\r\n', 400),  # no Host
      (b'GET /hello HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n', 400),
      (b'GET /hello HTTP/1.1\r\nHost: a/b\r\n\r\n', 400),
      (b'GET /hello HTTP/1.1\r\nHost: a@b\r\n\r\n', 400),
      (b'GET /hello HTTP/1.1\r\nHost: a b\r\n\r\n', 400),
      (b'GET  HTTP/1.1\r\nHost: a\r\n\r\n', 400),
      (b'GET /hello\r\nHost: a\r\n\r\n', 505),  # HTTP/0.9
      (b'GET /a b HTTP/1.1\r\nHost: a\r\n\r\n', 400),
      (b'GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n', 400),
      (b'get /hello HTTP/1.1\r\nHost: a\r\n\r\n', 400),
      (b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 400),  # TLS
      (b'FLY /hello HTTP/1.1\r\nHost: a\r\n\r\n', 501),
      (b'CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n', 501),
      (b'GET /hello HTTP/2.0\r\nHost: a\r\n\r\n', 505),
      (b'GET /hello HTTP/0.9\r\nHost: a\r\n\r\n', 505),
      (b'GET /hello HTTP/1.2\r\nHost: a\r\n\r\n', 505),
      (b'GET /hello HTTP/9.9\r\nHost: a\r\n\r\n', 505),
      (b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 505),
      (request('GET', '/hello', 'Expect: more'), 417),
      (request('POST', '/echo', 'Transfer-Encoding: gzip, chunked') + chunks(b'x'), 501),
      (request('POST', '/echo', 'Transfer-Encoding: gzip'), 400),
      (request('POST', '/echo', 'Transfer-Encoding: identity'), 400),
      (request('POST', '/echo', CHUNKED, version='HTTP/1.0') + chunks(b'x'), 400),
    ]
    with Server() as server:
      for text, status in cases:
        self.expect(server, text, status)
        # A reset would take the answer with it when the client is still sending.
        self.expect(server, text + b'y' * 300000, status)
      self.assertTrue(server.is_alive())

  def test_what_proxies_may_understand_otherwise_is_refused(self):
    body = request('GET', '/smuggled')
    cases = [
      request('POST', '/echo', CHUNKED, 'Content-Length: 5') + chunks(b'x'),
      request('POST', '/echo', 'Content-Length: 5', CHUNKED) + chunks(b'x'),
      request('POST', '/echo', 'Content-Length: 5', 'Content-Length: 6') + b'hello!',
      request('POST', '/echo', 'Content-Length: 5', 'Content-Length: 5') + b'hello',
      request('POST', '/echo', 'Content-Length: 5, 5') + b'hello',
      request('POST', '/echo', 'Content-Length: +5') + b'hello',
      request('POST', '/echo', 'Content-Length: -5') + b'hello',
      request('POST', '/echo', 'Content-Length: 0x5') + b'hello',
      request('POST', '/echo', 'Content-Length: 5 5') + b'hello',
      request('POST', '/echo', 'Content-Length: ') + b'hello',
      request('POST', '/echo', 'Content-Length: 99999999999999999999999') + b'hello',
      request('POST', '/echo', 'Content-Length : 5') + b'hello',
      request('POST', '/echo', 'Transfer-Encoding : chunked') + chunks(b'x'),
      request('POST', '/echo', 'Transfer-Encoding: chunked, identity') + chunks(b'x'),
      request('POST', '/echo', 'Transfer-Encoding: xchunked') + chunks(b'x'),
      request('POST', '/echo', 'Transfer-Encoding: \x0bchunked') + chunks(b'x'),
      request('POST', '/echo', CHUNKED, CHUNKED) + chunks(b'x'),
      request('POST', '/echo', CHUNKED, 'Transfer-Encoding: identity') + chunks(b'x'),
      request('POST', '/echo', 'X: y\r\n Transfer-Encoding: chunked') + chunks(b'x'),  # folded
      request('POST', '/echo', 'Transfer-Encoding:\r\n chunked') + chunks(b'x'),
      request('POST', '/echo', 'X: a\rTransfer-Encoding: chunked') + chunks(b'x'),  # a CR alone
      request('POST', '/echo', 'X: a\nTransfer-Encoding: chunked') + chunks(b'x'),  # a LF alone
      request('POST', '/echo', 'X: a\0b', 'Content-Length: 5') + b'hello',
      request('POST', '/echo', 'X', 'Content-Length: 5') + b'hello',
      request('POST', '/echo', ': x', 'Content-Length: 5') + b'hello',
      request('POST', '/echo', 'X(y): x', 'Content-Length: 5') + b'hello',
      b'POST /echo HTTP/1.1\nHost: a\nContent-Length: 5\n\nhello',
      b'POST /echo HTTP/1.1\nHost: a\r\nContent-Length: 5\r\n\r\nhello',
      b'POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\nhello',
      b'POST /echo HTTP/1.1\r\n Host: a\r\nContent-Length: 5\r\n\r\nhello',
    ]
    bad_chunks = [
      b'-1\r\nx\r\n0\r\n\r\n', b'0x1\r\nx\r\n0\r\n\r\n', b'\r\n', b'g\r\n', b' 1\r\nx\r\n0\r\n\r\n',
      b'1 \r\nx\r\n0\r\n\r\n', b'1\nx\r\n0\r\n\r\n', b'1\rx\r\n0\r\n\r\n', b'1\r\nxy\r\n0\r\n\r\n', b'1\r\nx0\r\n\r\n',
      b'1\r\nx\n0\r\n\r\n', b'fffffffffffffffff\r\nx', b'1;a\nb\r\nx\r\n0\r\n\r\n',
      b'1\r\nx\r\n0\r\n\n', b'1\r\nx\r\n0\r\nX: y\r\n\n', b'1\r\nx\r\n0\r\nX: y\r\n z\r\n\r\n',
    ]
    with Server() as server:
      for text in cases:
        with server.connect() as client:
          client.send(text + body)
          answer = client.read_answer()
          self.assertIn(answer.status, (400, 501), text)
          self.assertTrue(client.is_at_end(), text)
      for text in bad_chunks:
        with server.connect() as client:
          client.send(request('POST', '/echo', CHUNKED) + text + body)
          with self.assertRaises((AssertionError, ValueError, ConnectionError), msg=text):
            answer = client.read_answer()
            self.assertEqual(answer.status, 200, text)
          self.assertNotIn(b'HTTP/1.1 404', client.receive_all_or_reset(), text)

  def test_a_head_has_limits(self):
    with Server() as server:
      with server.connect() as client:
        self.assertEqual(client.get('/' + 'a' * 8000).status, 404)
        self.assertEqual(client.get('/hello', 'X: ' + 'y' * 60000).status, 200)
        fields = [f'X-{i}: {i}' for i in range(99)]
        self.assertEqual(client.get('/hello', *fields).status, 200)
        self.assertEqual(client.get('/hello').status, 200)
      self.expect(server, request('GET', '/' + 'a' * 9000), 414)
      self.expect(server, b'GET /' + b'a' * MIB, 414)
      self.expect(server, request('GET', '/hello', 'X: ' + 'y' * 65536), 431)
      self.expect(server, request('GET', '/hello', 'X' * 65536 + ': y'), 431)
      self.expect(server, HELLO[:-2] + b'X: ' + b'y' * MIB, 431)
      self.expect(server, request('GET', '/hello', *fields, 'Y: z'), 431)
      self.expect(server, b'\r\n' * 40000, 431)
      before = server.memory()
      for _ in range(200):
        self.expect(server, request('GET', '/hello', 'X: ' + 'y' * 65536), 431)
      if not server.is_sanitized():
        self.assertLess(server.memory() - before, MIB)

  def test_what_is_around_a_body_has_a_limit(self):
    with Server() as server:
      for endless in (b'1;' + b'x' * MIB, b'0\r\nX: ' + b'y' * MIB, b'0\r\n' + b'X: y\r\n' * MIB):
        with server.connect() as client:
          try:
            client.send(request('POST', '/echo', CHUNKED) + endless)
          except ConnectionError:
            pass
          self.assertNotIn(b'\r\n0\r\n\r\n', client.receive_all_or_reset())
      self.assertTrue(server.is_alive())

  def test_random_bytes_do_no_harm(self):
    chance = random.Random(42)
    words = [b'GET', b'POST', b' ', b'/', b'hello', b'echo', b' HTTP/1.1', b'\r\n', b'\r\n\r\n', b':',
             b'Host', b': a', b'Transfer-Encoding: chunked', b'Content-Length: 3', b'\0', b'\xff', b'0',
             b'5', b'\n', b'\r', b'Range: bytes=', b'%', b'..']
    with Server() as server:
      for _ in range(300):
        with server.connect() as client:
          client.send(b''.join(chance.choice(words) for _ in range(chance.randrange(1, 60))))
          client.end_sending()
          client.receive_all_or_reset()
      self.assertTrue(server.is_alive())


class Deadlines(unittest.TestCase):
  def test_a_head_must_come_in_time_however_busy_its_client_is(self):
    with Server('--head-time', '500') as server, server.connect() as client:
      self.assertEqual(client.get('/hello').status, 200)
      begun = time.monotonic()
      client.send(b'GET /hello HTTP/1.1\r\nHost: a\r\n')
      with self.assertRaises(ConnectionError):
        while time.monotonic() < begun + PATIENCE:
          client.send(b'X: y\r\n')
          client.socket.settimeout(0.05)
          try:
            if client.socket.recv(1, socket.MSG_PEEK):
              break
          except TimeoutError:
            pass
        client.socket.settimeout(PATIENCE)
        answer = client.read_answer()
        self.assertEqual((answer.status, answer.fields['Connection']), (408, 'close'))
        self.assertGreater(time.monotonic(), begun + 0.4)
        while True:  # it is closed for good
          client.send(b'x')
          time.sleep(0.05)
          if time.monotonic() > begun + PATIENCE:
            break

  def test_a_connection_may_rest_longer_than_a_head_may_take(self):
    with Server('--head-time', '100') as server, server.connect() as client:
      self.assertEqual(client.get('/hello').status, 200)
      time.sleep(0.4)
      self.assertEqual(client.get('/hello').status, 200)

  def test_a_body_must_come_in_time(self):
    with Server('--body-time', '200') as server, server.connect() as client:
      answer = client.ask(request('POST', '/echo', 'Content-Length: 5'))
      self.assertEqual(answer.status, 408)
      self.assertTrue(client.is_at_end())

  def test_a_connection_that_rests_too_long_is_closed(self):
    with Server('--idle', '800') as server:
      with server.connect() as client:
        self.assertEqual(client.get('/hello').status, 200)
        self.assertTrue(client.is_at_end())
      with server.connect() as client:
        self.assertTrue(client.is_at_end())


class Ends(unittest.TestCase):
  def test_connections_that_rest_are_closed_and_the_others_finish(self):
    with Server('--drain', '20000') as server:
      with server.connect() as resting, server.connect() as new, server.connect() as busy:
        self.assertEqual(resting.get('/hello').status, 200)
        busy.send(b'GET /hel')
        wait_until('it is served', server.is_alive)
        server.tell_to_end()
        self.assertTrue(resting.is_at_end())
        self.assertTrue(new.is_at_end())
        answer = busy.ask(b'lo HTTP/1.1\r\nHost: a\r\n\r\n' + HELLO)
        self.assertEqual((answer.status, answer.fields['Connection']), (200, 'close'))
        self.assertTrue(busy.is_at_end())

  def test_who_does_not_finish_is_cut(self):
    with Server('--drain', '100') as server, server.connect() as client:
      client.send(request('POST', '/echo', 'Content-Length: 5') + b'he')
      wait_until('it is served', server.is_alive)
      server.tell_to_end(signal.SIGTERM)
      client.receive_all_or_reset()

  def test_connections_that_rest_have_next_to_nothing(self):
    count = 300
    with Server() as server:
      if server.is_sanitized():
        self.skipTest('its stacks are larger')
      before = server.memory()
      clients = [server.connect() for _ in range(count)]
      for client in clients:
        client.send(HELLO)
      for client in clients:
        self.assertEqual(client.read_answer().status, 200)
      self.assertLess((server.memory() - before) / count, 12 * KIB)
      for client in clients:
        client.close()

  def test_workers_share_a_port_and_an_end(self):
    with socket.socket() as chooser:
      chooser.bind(('127.0.0.1', 0))
      address = '127.0.0.1:%d' % chooser.getsockname()[1]
    with Server('--workers', '3', at=address) as server:
      self.assertGreaterEqual(server.threads(), 3)
      clients = [server.connect() for _ in range(30)]
      for client in clients:
        self.assertEqual(client.get('/hello').status, 200)
      server.tell_to_end(signal.SIGTERM)
      for client in clients:
        self.assertTrue(client.is_at_end())
        client.close()

  def test_bad_options_are_refused(self):
    for options in (['--body', 'x'], ['--nonsense'], ['a', 'b'], ['--root', '/nowhere'],
                    ['nonsense'], ['--workers', '2', '127.0.0.1:0']):
      got = subprocess.run([HTTP, *options], capture_output=True, text=True, timeout=PATIENCE)
      self.assertNotEqual(got.returncode, 0, options)
      self.assertNotEqual(got.stderr, '', options)


class Files(unittest.TestCase):
  @classmethod
  def setUpClass(cls):
    cls.outside = tempfile.mkdtemp()
    cls.root = os.path.join(cls.outside, 'root')
    cls.big = random.Random(2).randbytes(5 * MIB)
    cls.put('../secret', b'secret')
    cls.put('index.html', b'<p>home')
    cls.put('a b.txt', b'0123456789')
    cls.put('empty', b'')
    cls.put('big.bin', cls.big)
    cls.put('dir/index.html', b'<p>dir')
    cls.put('bare/x.json', b'{}')
    cls.put('.hidden', b'hidden')
    cls.put('.git/config', b'hidden')
    cls.put('.well-known/x', b'known')
    os.symlink('../secret', os.path.join(cls.root, 'link-out'))
    os.symlink('/etc/passwd', os.path.join(cls.root, 'link-away'))
    os.symlink('..', os.path.join(cls.root, 'link-up'))
    os.symlink('loop', os.path.join(cls.root, 'loop'))
    os.mkfifo(os.path.join(cls.root, 'fifo'))

  @classmethod
  def tearDownClass(cls):
    shutil.rmtree(cls.outside)

  @classmethod
  def put(cls, name, data):
    path = os.path.join(cls.root, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'wb') as file:
      file.write(data)

  def server(self, *options):
    return Server('--root', self.root, *options)

  def test_files_come_with_their_types(self):
    with self.server() as server, server.connect() as client:
      for path, body, kind in (('/', b'<p>home', 'text/html; charset=utf-8'),
                               ('/index.html?x', b'<p>home', 'text/html; charset=utf-8'),
                               ('/a%20b.txt', b'0123456789', 'text/plain; charset=utf-8'),
                               ('/empty', b'', 'application/octet-stream'),
                               ('/dir/', b'<p>dir', 'text/html; charset=utf-8'),
                               ('//dir//index.html', b'<p>dir', 'text/html; charset=utf-8'),
                               ('/bare/x.json', b'{}', 'application/json'),
                               ('/.well-known/x', b'known', 'application/octet-stream'),
                               ('/big.bin', self.big, 'application/octet-stream')):
        answer = client.get(path)
        self.assertEqual(answer.status, 200, path)
        self.assertTrue(answer.body == body, path)
        self.assertEqual(answer.fields['Content-Type'], kind)

  def test_a_directory_is_redirected_to_or_not_there(self):
    with self.server() as server, server.connect() as client:
      answer = client.get('/dir')
      self.assertEqual((answer.status, answer.fields['Location']), (301, '/dir/'))
      self.assertEqual(client.get('/bare/').status, 404)
      self.assertEqual(client.get('//dir').status, 404)  # "//dir/" would be a host's name

  def test_nothing_outside_is_served(self):
    with self.server() as server, server.connect() as client:
      for path in ('/../secret', '/dir/../../secret', '/%2e%2e/secret', '/..%2fsecret', '/%2e%2e%2fsecret',
                   '/dir/..', '/.', '/./index.html', '/link-out', '/link-away', '/link-up/secret',
                   '/link-up/root/index.html', '/loop', '/.hidden', '/.git/config', '/%2egit/config',
                   '/fifo', '/big.bin/x', '/index.html/', '/nowhere'):
        self.assertEqual(client.get(path).status, 404, path)
      for path in ('/%', '/%2', '/%zz', '/a%00b'):
        self.assertEqual(client.get(path).status, 400, path)
      self.assertEqual(client.get('/' + 'a' * 2000).status, 414)
      self.assertEqual(client.ask(request('PUT', '/a', body=b'x')).status, 405)

  def test_a_part_can_be_asked_for(self):
    with self.server() as server, server.connect() as client:
      for text, body, where in (('0-0', b'0', '0-0'), ('2-4', b'234', '2-4'), ('8-', b'89', '8-9'),
                                ('-3', b'789', '7-9'), ('-30', b'0123456789', '0-9'),
                                ('5-100', b'56789', '5-9')):
        answer = client.get('/a%20b.txt', 'Range: bytes=' + text)
        self.assertEqual((answer.status, answer.body), (206, body), text)
        self.assertEqual(answer.fields['Content-Range'], f'bytes {where}/10')
      for text in ('10-', '100-200', '-0'):
        answer = client.get('/a%20b.txt', 'Range: bytes=' + text)
        self.assertEqual((answer.status, answer.body), (416, b''), text)
        self.assertEqual(answer.fields['Content-Range'], 'bytes */10')
      for text in ('bytes=0-1,3-4', 'bytes=4-2', 'bytes=a-b', 'bytes=-', 'bytes=1', 'lines=1-2', 'x'):
        self.assertEqual(client.get('/a%20b.txt', 'Range: ' + text).status, 200, text)
      answer = client.get('/big.bin', 'Range: bytes=1000000-3999999')
      self.assertTrue(answer.body == self.big[1000000:4000000])

  def test_what_the_client_has_is_not_sent_again(self):
    with self.server() as server, server.connect() as client:
      first = client.get('/a%20b.txt')
      etag, date = first.fields['ETag'], first.fields['Last-Modified']
      old = 'Sun, 06 Nov 1994 08:49:37 GMT'
      for field in (f'If-None-Match: {etag}', f'If-None-Match: "x", W/{etag}', 'If-None-Match: *',
                    f'If-Modified-Since: {date}'):
        answer = client.get('/a%20b.txt', field)
        self.assertEqual((answer.status, answer.fields['ETag']), (304, etag), field)
        self.assertNotIn('Content-Length', answer.fields)
      for fields in (['If-None-Match: "x"'], [f'If-Modified-Since: {old}'], ['If-Modified-Since: x'],
                     ['If-None-Match: "x"', f'If-Modified-Since: {date}'], [f'If-Match: {etag}']):
        self.assertEqual(client.get('/a%20b.txt', *fields).status, 200, fields)
      for field in ('If-Match: "x"', f'If-Unmodified-Since: {old}'):
        self.assertEqual(client.get('/a%20b.txt', field).status, 412, field)
      for condition, status in ((etag, 206), (date, 206), ('"x"', 200), (old, 200), ('W/' + etag, 200)):
        answer = client.get('/a%20b.txt', 'Range: bytes=1-2', f'If-Range: {condition}')
        self.assertEqual(answer.status, status, condition)

  def test_a_client_that_leaves_takes_nothing_with_it(self):
    with self.server() as server:
      server.is_alive()
      before = server.descriptors()
      for _ in range(20):
        with server.connect() as client:
          client.send(request('GET', '/big.bin') * 3)
          client.receive(1000)
          client.reset()
      wait_until('all descriptors are closed', lambda: server.descriptors() <= before)
      self.assertTrue(server.is_alive())

  def test_a_pipeline_of_files_and_answers_is_in_order(self):
    with self.server() as server, server.connect() as client:
      client.send((request('GET', '/a%20b.txt') + HELLO + request('GET', '/big.bin', 'Range: bytes=5-20000') +
                   request('HEAD', '/big.bin') + request('GET', '/nowhere')) * 10)
      for _ in range(10):
        self.assertEqual(client.read_answer().body, b'0123456789')
        self.assertEqual(client.read_answer().body, b'Hello, world!\n')
        self.assertEqual(client.read_answer().body, self.big[5:20001])
        self.assertEqual(client.read_answer('HEAD').fields['Content-Length'], str(len(self.big)))
        self.assertEqual(client.read_answer().status, 404)

  def test_without_a_root_there_are_no_files(self):
    with Server() as server, server.connect() as client:
      self.assertEqual(client.get('/').status, 404)


class Encrypted(unittest.TestCase):
  def server(self, *options):
    return Server('--tls', cert('server.pem'), cert('server.key'), *options)

  def connect(self, server):
    context = ssl.create_default_context(cafile=cert('ca.pem'))
    client = server.connect()
    client.socket = context.wrap_socket(client.socket, server_hostname='localhost')
    client.file = client.socket.makefile('rb')
    return client

  def setUp(self):
    if not has_tls():
      self.skipTest('built without TLS')

  def test_all_is_as_in_plain_text(self):
    body = random.Random(4).randbytes(MIB)
    with tempfile.TemporaryDirectory() as root, self.server('--root', root) as server:
      with open(os.path.join(root, 'file'), 'wb') as file:
        file.write(body)
      with self.connect(server) as client:
        for _ in range(3):
          self.assertEqual(client.get('/hello').body, b'Hello, world!\n')
        self.assertEqual(client.ask(request('POST', '/echo', body=b'x' * 30000)).body, b'x' * 30000)
        self.assertTrue(client.get('/file').body == body)
        self.assertTrue(client.get('/file', 'Range: bytes=7-99999').body == body[7:100000])
        client.send(HELLO * 100)
        for _ in range(100):
          self.assertEqual(client.read_answer().status, 200)
        answer = client.get('/hello', 'Connection: close')
        self.assertEqual(answer.fields['Connection'], 'close')
        self.assertTrue(client.is_at_end())  # with close_notify, or this raises

  def test_plain_text_is_no_handshake(self):
    with self.server() as server:
      with server.connect() as client:
        client.send(HELLO)
        self.assertNotIn(b'HTTP', client.receive_all_or_reset())
      with self.connect(server) as client:
        self.assertEqual(client.get('/hello').status, 200)

  def test_curl_takes_the_connection_again(self):
    with self.server() as server:
      url = 'https://%s:%d/hello' % server.address
      got = subprocess.run(['curl', '--silent', '--show-error', '--fail', '--cacert', cert('ca.pem'),
                            '--write-out', '%{num_connects}', url, url], capture_output=True)
      self.assertEqual((got.returncode, got.stderr), (0, b''))
      self.assertEqual(got.stdout, b'Hello, world!\n1Hello, world!\n0')

  def test_a_certificate_that_is_not_there_is_said(self):
    got = subprocess.run([HTTP, '--tls', '/nowhere', '/nowhere'], capture_output=True, text=True)
    self.assertEqual(got.returncode, 2)
    self.assertIn('/nowhere', got.stderr)


class Programs(unittest.TestCase):
  """Clients that others have written."""

  def curl(self, *arguments, data=None):
    got = subprocess.run(['curl', '--silent', '--show-error', '--fail', '--max-time', str(PATIENCE), *arguments],
                         input=data, capture_output=True)
    self.assertEqual(got.returncode, 0, got.stderr)
    return got.stdout

  def test_curl(self):
    body = random.Random(3).randbytes(2 * MIB)
    with tempfile.TemporaryDirectory() as root, Server('--root', root) as server:
      with open(os.path.join(root, 'file'), 'wb') as file:
        file.write(body)
      self.assertEqual(self.curl(server.url + '/hello'), b'Hello, world!\n')
      self.assertIn(b'Content-Length: 2097152', self.curl('--head', server.url + '/file'))
      self.assertTrue(self.curl(server.url + '/file') == body)
      self.assertTrue(self.curl('--range', '10-99', server.url + '/file') == body[10:100])
      self.assertTrue(self.curl('--data-binary', '@-', server.url + '/echo', data=body) == body)
      self.assertTrue(self.curl('-H', CHUNKED, '--data-binary', '@-', server.url + '/echo',
                                data=body) == body)
      got = self.curl('--http2', server.url + '/hello')  # which it offers by an Upgrade
      self.assertEqual(got, b'Hello, world!\n')
      got = self.curl('--write-out', '%{num_connects}', *[server.url + '/hello'] * 3)
      self.assertEqual(got, b'Hello, world!\n1Hello, world!\n0Hello, world!\n0')

  def test_wrk(self):
    with tempfile.TemporaryDirectory() as root, Server('--root', root) as server:
      with open(os.path.join(root, 'file'), 'wb') as file:
        file.write(b'x' * 20000)
      for path in ('/hello', '/file'):
        got = subprocess.run(['wrk', '-t1', '-c20', '-d1', '--timeout', '30s', server.url + path], capture_output=True, text=True,
                             timeout=60, check=True).stdout
        self.assertIn('Requests/sec', got)
        self.assertNotIn('Socket errors', got)
        self.assertNotIn('Non-2xx', got)

  def test_a_log_is_a_line_a_request_whatever_is_asked_for(self):
    with Server('--log') as server:
      with server.connect() as client:
        client.get('/hello')
        client.get('/"')
        client.ask(b'x\n')
      server.tell_to_end()
      server.process.wait(PATIENCE)
      lines = server.process.stdout.read().splitlines()
      self.assertEqual([line.split(' ', 1)[1] for line in lines],
                       ['"GET /hello HTTP/1.1" 200 14', '"GET /? HTTP/1.1" 404 15', '"- - HTTP/1.0" 400 17'])


if __name__ == '__main__':
  unittest.main()
