#!/usr/bin/env python3
"""The program chat, over sockets: several members, some of whom behave badly, and nc.

usage: chat_client.py CHAT
"""
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import unittest

from program import PATIENCE, Connection, Program, wait_until

CHAT = sys.argv.pop(1)

# AddressSanitizer keeps what was freed for a while: not here, where memory is measured.
os.environ['ASAN_OPTIONS'] = os.environ.get('ASAN_OPTIONS', '') + ':quarantine_size_mb=1'

MIB = 1 << 20
LINE_SIZE = 512
MEMBERS_MAX = 100


class Member(Connection):
  """Who has read who it is."""

  def __init__(self, address):
    super().__init__(address)
    line = self.line()
    assert line.startswith('* you are guest'), line
    self.name = line.split()[3].rstrip(';')

  def line(self):
    line = self.file.readline()
    assert line.endswith(b'\n'), f'end of file after {line!r}'
    return line[:-1].decode()

  def line_until(self, wanted):
    """Reads until that line; what came before it."""
    before = []
    while (line := self.line()) != wanted:
      before.append(line)
    return before

  def say(self, *lines):
    self.send(''.join(line + '\n' for line in lines).encode())

  def ask(self, line):
    self.say(line)
    return self.line()


class Room(Program):
  """Whoever was let in goes when the block is left."""

  def __init__(self, *options):
    super().__init__(CHAT, *options)
    self.connections = []

  def __exit__(self, *exception):
    for connection in self.connections:
      connection.close()
    super().__exit__(*exception)

  def connect(self, kind=Connection):
    self.connections.append(kind(self.address))
    return self.connections[-1]

  def guest(self):
    return self.connect(Member)

  def join(self, *names):
    """Members of that name, who have heard of each other; nobody else must be there."""
    members = []
    for name in names:
      member = self.guest()
      for other in members:
        other.line_until(f'* {member.name} has come')
      member.say(f'/nick {name}')
      for each in members + [member]:
        each.line_until(f'* {member.name} is now {name}')
      member.name = name
      members.append(member)
    return members


class Chat(unittest.TestCase):
  def test_what_one_says_all_others_read_in_order(self):
    with Room() as room:
      ann, bob, cleo = room.join('ann', 'bob', 'cleo')
      ann.say('one', '', 'two\r', 'thr\tee')
      bob.line_until('ann: one')
      bob.say('four')
      for member in bob, cleo:
        lines = [member.line() for _ in range(3 if member is cleo else 2)]
        self.assertEqual([line for line in lines if line.startswith('ann')][-2:],
                         ['ann: two', 'ann: thr?ee'] if member is bob else lines[-2:])
      self.assertEqual(ann.line(), 'bob: four')

  def test_comings_and_goings_are_told(self):
    with Room() as room:
      ann, bob, cleo = room.join('ann', 'bob', 'cleo')
      bob.say('/quit')
      self.assertEqual(bob.line(), '* goodbye: quit')
      bob.end_sending()
      self.assertEqual(bob.receive_all(), b'')
      self.assertEqual(ann.line(), '* bob has left: quit')
      cleo.line_until('* bob has left: quit')
      cleo.reset()
      self.assertEqual(ann.line(), '* cleo has left: connection reset by peer')
      self.assertEqual(ann.ask('/who'), '* ann')

  def test_names(self):
    with Room() as room:
      ann, bob = room.join('ann', 'bob')
      self.assertEqual(ann.ask('/who'), '* bob ann')
      self.assertEqual(ann.ask('/nick bob'), '* bob is taken')
      for wrong in ('', 'x' * 17, 'a b', 'a:', '*', 'é'):
        self.assertEqual(ann.ask(f'/nick {wrong}'), '* a name has 1 to 16 letters or digits')
      self.assertEqual(ann.ask('/nick ' + 'x' * 16), '* ann is now ' + 'x' * 16)
      self.assertEqual(ann.ask('/help'), '* /nick NAME, /who, /quit')
      self.assertEqual(ann.ask('/nick ann'), '* ' + 'x' * 16 + ' is now ann')
      bob.say('/nick guest9')
      for _ in range(9):  # nobody gets a name that somebody has taken
        with room.connect() as next_guest:
          self.assertNotIn(b'you are guest9;', next_guest.file.readline())

  def test_a_line_may_come_in_pieces_and_many_in_one(self):
    with Room() as room:
      ann, bob = room.join('ann', 'bob')
      for byte in b'in pieces\n':
        ann.send(bytes([byte]))
      self.assertEqual(bob.line(), 'ann: in pieces')
      ann.send(b'a\nb\nc')  # the last without its end, which comes with the end of file
      ann.end_sending()
      self.assertEqual([bob.line() for _ in range(4)],
                       ['ann: a', 'ann: b', 'ann: c', '* ann has left: gone'])
      self.assertEqual(ann.receive_all(), b'* goodbye: gone\n')

  def test_the_longest_line_and_a_longer_one(self):
    with Room() as room:
      ann, bob = room.join('ann', 'bob')
      ann.say('x' * (LINE_SIZE - 1))
      self.assertEqual(bob.line(), 'ann: ' + 'x' * (LINE_SIZE - 1))
      for end in ('', '\n', 'x' * MIB):
        cleo = room.guest()
        cleo.send(b'x' * LINE_SIZE + end.encode())
        self.assertEqual(cleo.line(), '* goodbye: too long a line')
        cleo.end_sending()
        self.assertEqual(cleo.receive_all(), b'')
        bob.line_until(f'* {cleo.name} has left: too long a line')

  def test_bytes_that_are_no_text_do_no_harm(self):
    chance = random.Random(5)
    with Room() as room:
      ann, bob = room.join('ann', 'bob')
      ann.send(b'\0\1\x1b[2J\x7f\n')
      self.assertEqual(bob.line(), 'ann: ???[2J?')
      ann.send('a\u009b2Jb\u0085 \u00e4\u00a0\u4e00\n'.encode())
      self.assertEqual(bob.file.readline(),
                       b'ann: a\xc2?2Jb\xc2? ' + '\u00e4\u00a0\u4e00\n'.encode())
      for _ in range(50):
        with room.connect() as guest:
          guest.send(chance.randbytes(400) + b'\n' + chance.randbytes(50))
          guest.end_sending()
          guest.receive_all()
      bob.file.read1(MIB)
      ann.say('still there')
      while b'ann: still there' not in bob.file.readline():
        pass

  def test_a_half_line_does_not_hold_up_anybody(self):
    with Room() as room:
      ann, bob, cleo = room.join('ann', 'bob', 'cleo')
      ann.send(b'half a li')
      bob.say('hello')
      self.assertEqual(cleo.line(), 'bob: hello')
      ann.send(b'ne\n')
      cleo.line_until('ann: half a line')


class BadMembers(unittest.TestCase):
  def test_who_says_nothing_is_told_and_dismissed(self):
    with Room('--idle', '200') as room:
      ann = room.guest()
      ann.send(b'half a line')  # and who does not come to the end of a line
      self.assertEqual(ann.line(), '* goodbye: silent for too long')
      ann.end_sending()
      self.assertEqual(ann.receive_all(), b'')

  def test_who_never_reads_is_dismissed_and_holds_nobody_up(self):
    with Room() as room:
      ann, = room.join('ann')
      before = room.memory()
      lazy = socket.socket()
      lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
      lazy.connect(room.address)
      name = ann.line().split()[1]
      end, seen = time.monotonic() + PATIENCE, []
      while f'* {name} has left: reads too slowly' not in seen:
        guest = room.guest()
        guest.say(*['x' * (LINE_SIZE - 1)] * 10, '/quit')
        guest.end_sending()
        guest.receive_all()
        seen = ann.line_until(f'* {guest.name} has left: quit')
        self.assertEqual(len([line for line in seen if line.startswith(guest.name)]), 10)
        self.assertLess(time.monotonic(), end)
      self.assertLess(room.memory() - before, 4 * MIB)
      lazy.close()

  def test_who_floods_is_held_to_a_pace_and_others_are_heard(self):
    with Room() as room:
      ann, bob, flood = room.join('ann', 'bob', 'flood')
      flood.socket.settimeout(0.2)
      before = room.memory()
      with self.assertRaises(TimeoutError):  # it is not read any faster than it may speak
        while True:
          flood.say(*['again and again'] * 1000)
      ann.say('hello')
      self.assertLess(len(bob.line_until('ann: hello')), 40)
      self.assertLess(room.memory() - before, MIB)

  def test_more_than_fit_in_wait_until_there_is_room(self):
    with Room() as room:
      members = [room.connect() for _ in range(MEMBERS_MAX)]
      for member in members:
        self.assertIn(b'* you are guest', member.file.readline())
      waiting = room.connect()
      waiting.socket.settimeout(0.2)
      with self.assertRaises(TimeoutError):
        waiting.socket.recv(1)
      waiting.socket.settimeout(PATIENCE)
      members.pop().reset()
      self.assertIn(b'* you are guest', waiting.socket.recv(100))

  def test_all_who_speak_at_once_are_heard_by_all(self):
    with Room() as room:
      members = [room.guest() for _ in range(MEMBERS_MAX)]
      for member in members:
        member.send(b'hello\n' * 10)
      for member in members:
        heard = 0
        while heard < 10 * (MEMBERS_MAX - 1):
          line = member.line()
          heard += line.endswith(': hello')
          self.assertNotIn('left', line)

  def test_resets_leave_nothing_behind(self):
    with Room() as room:
      ann, = room.join('ann')
      room.guest().reset()
      ann.line_until('* guest2 has left: connection reset by peer')
      before = room.descriptors()
      for _ in range(100):
        guest = room.connect()
        guest.send(b'/nick x\nhello\nhel')
        guest.reset()
      wait_until('all are closed', lambda: room.descriptors() <= before)


class Life(unittest.TestCase):
  def test_a_signal_says_goodbye(self):
    for number in (signal.SIGINT, signal.SIGTERM):
      with Room('--drain', '10000') as room:
        ann, bob = room.join('ann', 'bob')
        ann.say('last words')
        self.assertEqual(bob.line(), 'ann: last words')
        room.tell_to_end(number)
        for member in ann, bob:
          self.assertEqual(member.line(), '* goodbye: the server ends')
          member.end_sending()
          self.assertEqual(member.receive_all(), b'')

  def test_a_signal_does_not_wait_for_who_does_not_leave(self):
    with Room('--drain', '100') as room:
      ann, = room.join('ann')
      room.tell_to_end()
      self.assertEqual(ann.line(), '* goodbye: the server ends')
      room.process.wait(PATIENCE)

  @unittest.skipUnless(shutil.which('nc'), 'needs nc')
  def test_nc_is_a_member(self):
    with Room() as room:
      ann, = room.join('ann')
      nc = subprocess.Popen(['nc', '-N', *map(str, room.address)], text=True,
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
      self.assertEqual(nc.stdout.readline(), '* you are guest2; /nick NAME, /who, /quit\n')
      self.assertEqual(ann.line(), '* guest2 has come')
      nc.stdin.write('hello\n')
      nc.stdin.flush()
      self.assertEqual(ann.line(), 'guest2: hello')
      ann.say('hello to you')
      self.assertEqual(nc.stdout.readline(), 'ann: hello to you\n')
      out, _ = nc.communicate('/quit\n', timeout=PATIENCE)
      self.assertEqual((out, nc.returncode), ('* goodbye: quit\n', 0))
      self.assertEqual(ann.line(), '* guest2 has left: quit')


unittest.main(verbosity=2)
