#!/usr/bin/env python3
"""The example supervise: restarts a command, stops it with a grace.

usage: supervise.py PROGRAM
"""
import signal
import subprocess
import sys

PROGRAM = sys.argv[1]


def start(*args):
  return subprocess.Popen([PROGRAM, *args], stdout=subprocess.PIPE, text=True)


def expect(process, line):
  got = process.stdout.readline().rstrip('\n')
  assert got.startswith(line), f'{got!r}, not {line!r}'


def expect_both(process):
  """The command and the supervisor write at the same time: in any order."""
  lines = sorted(process.stdout.readline() for _ in range(2))
  assert lines[0].startswith('started ') and lines[1] == 'up\n', lines


def restarts_what_ends():
  with start('--pause', '1', 'sh', '-c', 'exit 3') as process:
    for _ in range(4):
      expect(process, 'started ')
      expect(process, 'exited with 3')
    process.send_signal(signal.SIGINT)
    process.stdout.read()
    assert process.wait(20) == 0


def stops_by_a_signal():
  with start('sh', '-c', 'trap "echo bye; exit 0" TERM; echo up; while :; do sleep 0.01; done') as process:
    expect_both(process)
    process.send_signal(signal.SIGTERM)
    assert sorted(process.stdout.read().split()) == ['bye', 'stopping']
    assert process.wait(20) == 0


def kills_what_ignores_it():
  with start('--grace', '10', 'sh', '-c', 'trap "" TERM; echo up; sleep 30; sleep 30') as process:
    expect_both(process)
    process.send_signal(signal.SIGTERM)
    assert process.stdout.read() == 'stopping\n'
    assert process.wait(20) == 0


def says_what_it_cannot_start():
  done = subprocess.run([PROGRAM, '/nonexistent/program'], capture_output=True, text=True, timeout=20)
  assert done.returncode == 1 and 'no such file' in done.stderr, done
  assert subprocess.run([PROGRAM], capture_output=True, timeout=20).returncode == 2


for test in (restarts_what_ends, stops_by_a_signal, kills_what_ignores_it, says_what_it_cannot_start):
  test()
  print('ok', test.__name__)
