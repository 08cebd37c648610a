#!/usr/bin/env python3
"""The program echo, over sockets.

usage: echo_client.py ECHO
"""
import signal
import subprocess
import sys
import unittest

from program import Program, wait_until

ECHO = sys.argv.pop(1)


class Echo(unittest.TestCase):
  def test_what_is_sent_comes_back(self):
    with Program(ECHO) as echo, echo.connect() as client:
      for size in (1, 4096, 4097, 1000000):
        data = bytes(i % 251 for i in range(size))
        client.send(data)
        self.assertEqual(client.receive(size), data)

  def test_a_half_closed_client_gets_everything(self):
    with Program(ECHO) as echo, echo.connect() as client:
      client.send(b'x' * 100000)
      client.end_sending()
      self.assertEqual(client.receive_all(), b'x' * 100000)

  def test_clients_do_not_wait_for_each_other(self):
    with Program(ECHO) as echo:
      clients = [echo.connect() for _ in range(50)]
      for client in reversed(clients):
        client.send(b'hello')
        self.assertEqual(client.receive(5), b'hello')
        client.close()

  def test_resets_leave_nothing_behind(self):
    with Program(ECHO) as echo:
      with echo.connect() as client:
        client.send(b'x')
        client.receive(1)
        before = echo.descriptors()
      for _ in range(100):
        client = echo.connect()
        client.send(b'x' * 1000)
        client.reset()
      wait_until('all descriptors closed', lambda: echo.descriptors() < before)

  def test_an_idle_client_is_closed(self):
    with Program(ECHO, '--idle', '50') as echo, echo.connect() as client:
      self.assertEqual(client.receive_all(), b'')

  def test_a_signal_lets_clients_finish(self):
    for number in (signal.SIGINT, signal.SIGTERM):
      with Program(ECHO, '--drain', '10000') as echo, echo.connect() as client:
        client.send(b'a')
        client.receive(1)
        echo.tell_to_end(number)
        client.send(b'b')
        self.assertEqual(client.receive(1), b'b')
        client.end_sending()
        self.assertEqual(client.receive_all(), b'')

  def test_a_signal_cuts_clients_that_do_not_finish(self):
    with Program(ECHO, '--drain', '50') as echo, echo.connect() as client:
      client.send(b'a')
      client.receive(1)
      echo.tell_to_end()
      with self.assertRaises(ConnectionResetError):
        client.receive_all()

  def test_workers_serve_together_and_end_together(self):
    with Program(ECHO, '--workers', '2', '--drain', '10000') as echo:
      self.assertEqual(echo.threads(), 2)
      with echo.connect() as client:
        client.send(b'hello')
        self.assertEqual(client.receive(5), b'hello')

  def test_a_port_that_is_taken_is_an_error(self):
    with Program(ECHO) as echo:
      address = '%s:%d' % echo.address
      second = subprocess.run([ECHO, address], text=True, capture_output=True)
      self.assertEqual(second.returncode, 1)
      self.assertEqual(second.stderr, f'echo: {address}: address already in use\n')


unittest.main(verbosity=2)
