#!/usr/bin/env python3
"""examples/dns_fanout.c, with names that need no network.

usage: dns_fanout.py PROGRAM
"""
import subprocess
import sys


def run(program, *args):
  done = subprocess.run([program, *args], text=True, timeout=60, stdout=subprocess.PIPE,
                        stderr=subprocess.PIPE)
  return done.returncode, done.stdout.splitlines(), done.stderr


def is_localhost(line):
  return line in ('localhost  127.0.0.1:0', 'localhost  [::1]:0')


def is_failure(line, name):
  """It may fail fast or run into the deadline, as the host is set up."""
  return line.startswith(name + '  ') and '127.' not in line and '::1' not in line


def main(program):
  code, out, err = run(program, '127.0.0.1', '::1', 'localhost')
  assert (code, err) == (0, ''), (code, err)
  assert '127.0.0.1  127.0.0.1:0' in out and '::1  [::1]:0' in out, out
  assert any(map(is_localhost, out)), out

  # A name that there is not (RFC 6761) is said to be none; the others are found.
  code, out, err = run(program, '--deadline', '2000', 'localhost', 'name.invalid', 'no name')
  assert code in (0, 1), (code, err)
  assert any(map(is_localhost, out)), out
  assert any(is_failure(line, 'name.invalid') for line in out), out
  assert 'no name  invalid argument' in out, out
  assert (code == 0) == (err == ''), (code, err)

  # The first answer wins: what is numeric is there at once.
  code, out, err = run(program, '--first', 'name.invalid', '127.0.0.1', 'localhost')
  assert (code, out, err) == (0, ['127.0.0.1  127.0.0.1:0'], ''), (code, out, err)
  code, out, err = run(program, '--first', 'localhost')
  assert code == 0 and out and all(map(is_localhost, out)), (code, out, err)

  # A failure is no answer, and no name is none either.
  code, out, err = run(program, '--first', 'no name', '::1')
  assert (code, out, err) == (0, ['::1  [::1]:0'], ''), (code, out, err)
  code, out, err = run(program, '--first', '--deadline', '3000', 'name.invalid', 'localhost')
  assert code == 0 and out and all(map(is_localhost, out)), (code, out, err)
  code, out, err = run(program, '--first', '--deadline', '500', 'name.invalid')
  assert code == 1 and out == [] and err.startswith('dns_fanout: '), (code, out, err)

  code, out, err = run(program, '127.1')
  assert code == 1 and out == ['127.1  invalid argument'], (code, out, err)
  code, out, err = run(program)
  assert code == 2 and err.startswith('usage: '), (code, err)
  code, out, err = run(program, '--none')
  assert code == 2, (code, err)


main(*sys.argv[1:])
