#!/usr/bin/env python3
"""The program ws_echo, over sockets.

usage: ws_echo_client.py WS_ECHO
"""
import os
import struct
import sys
import unittest

from program import Connection, Program

WS_ECHO = sys.argv.pop(1)
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10

# The example of RFC 6455, 1.3.
KEY, ACCEPT = b'dGhlIHNhbXBsZSBub25jZQ==', b's3pPLMBiTxaQ9kYGzzhZRbK+xOo='


def handshake(*fields):
  lines = [b'GET /chat HTTP/1.1', b'Host: test', b'Upgrade: websocket', b'Connection: Upgrade', *fields]
  return b'\r\n'.join(lines) + b'\r\n\r\n'


def frame(opcode, payload=b'', is_last=True):
  mask = os.urandom(4)
  size = len(payload)
  head = bytes([(0x80 if is_last else 0) | opcode])
  if size < 126:
    head += bytes([0x80 | size])
  elif size < 65536:
    head += struct.pack('!BH', 0x80 | 126, size)
  else:
    head += struct.pack('!BQ', 0x80 | 127, size)
  return head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


class Client(Connection):
  def shake_hands(self):
    self.send(handshake(b'Sec-WebSocket-Version: 13', b'Sec-WebSocket-Key: ' + KEY))
    head = b''
    while not head.endswith(b'\r\n\r\n'):
      head += self.file.readline()
    assert head.startswith(b'HTTP/1.1 101 '), head
    assert b'\r\nSec-WebSocket-Accept: ' + ACCEPT + b'\r\n' in head, head
    return self

  def read_frame(self):
    first, size = self.receive(2)
    assert first & 0x80 and not size & 0x80
    if size == 126:
      size, = struct.unpack('!H', self.receive(2))
    elif size == 127:
      size, = struct.unpack('!Q', self.receive(8))
    return first & 15, self.receive(size)


class Server(Program):
  def __init__(self):
    super().__init__(WS_ECHO)

  def connect(self):
    return Client(self.address)

  def open(self):
    return self.connect().shake_hands()


class WebSocket(unittest.TestCase):
  def test_messages_come_back(self):
    with Server() as server, server.open() as client:
      for opcode in (TEXT, BINARY):
        for size in (0, 1, 125, 126, 65535, 65536, 300000):
          client.send(frame(opcode, b'x' * size))
          self.assertEqual(client.read_frame(), (opcode, b'x' * size))

  def test_many_at_once_come_back_in_order(self):
    with Server() as server, server.open() as client:
      client.send(b''.join(frame(TEXT, b'%d' % i) for i in range(1000)))
      for i in range(1000):
        self.assertEqual(client.read_frame(), (TEXT, b'%d' % i))

  def test_a_message_may_come_in_pieces_and_byte_by_byte(self):
    with Server() as server, server.open() as client:
      text = frame(TEXT, b'hel', is_last=False) + frame(PING, b'?') + frame(0, b'lo')
      for i in range(len(text)):
        client.send(text[i:i + 1])
      self.assertEqual(client.read_frame(), (PONG, b'?'))
      self.assertEqual(client.read_frame(), (TEXT, b'hello'))

  def test_an_end_is_answered(self):
    with Server() as server, server.open() as client:
      client.send(frame(TEXT, b'last') + frame(CLOSE, struct.pack('!H', 1000)))
      self.assertEqual(client.read_frame(), (TEXT, b'last'))
      self.assertEqual(client.read_frame(), (CLOSE, struct.pack('!H', 1000)))
      self.assertEqual(client.receive_all(), b'')

  def test_what_is_wrong_is_said_before_the_end(self):
    cases = [
      (frame(3, b'x'), 1002),  # no such kind of frame
      (frame(TEXT, b'\xff'), 1007),  # not UTF-8
      (b'\x81\x01x', 1002),  # not masked
      (frame(BINARY, b'x' * (1 << 20)) + frame(BINARY, b'x' * ((1 << 20) + 1)), 1009),
    ]
    with Server() as server:
      for text, code in cases:
        with server.open() as client:
          client.send(text)
          kind, payload = client.read_frame()
          if kind == BINARY:
            kind, payload = client.read_frame()
          self.assertEqual((kind, payload[:2]), (CLOSE, struct.pack('!H', code)))
          self.assertEqual(client.receive_all_or_reset(), b'')

  def test_what_is_no_handshake_is_refused(self):
    cases = [
      b'POST / HTTP/1.1\r\n\r\n',
      b'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
      handshake(b'Sec-WebSocket-Version: 13'),
      handshake(b'Sec-WebSocket-Key: ' + KEY),
      handshake(b'Sec-WebSocket-Version: 8', b'Sec-WebSocket-Key: ' + KEY),
      handshake(b'Sec-WebSocket-Version: 13', b'Sec-WebSocket-Key: x'),
      handshake(*[b'X: y'] * 200),
    ]
    with Server() as server:
      for text in cases:
        with server.connect() as client:
          client.send(text)
          self.assertTrue(client.receive_all().startswith(b'HTTP/1.1 426 '), text)

  def test_a_client_that_does_not_read_is_waited_for(self):
    with Server() as server, server.open() as client, server.open() as other:
      client.socket.settimeout(1)
      with self.assertRaises(TimeoutError):
        for _ in range(1000):
          client.send(frame(BINARY, b'x' * 100000))
      other.send(frame(TEXT, b'hello'))
      self.assertEqual(other.read_frame(), (TEXT, b'hello'))
      client.reset()


if __name__ == '__main__':
  unittest.main()
