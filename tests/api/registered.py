#!/usr/bin/env python3
"""Every tests/SUITE/test_NAME.c and tests/stress/stress_NAME.c is in the tables
of tests/meson.build: none is forgotten.

usage: registered.py SOURCE_ROOT SUITE/NAME...
"""
import pathlib
import sys


def main(root, *registered):
  tests = pathlib.Path(root) / 'tests'
  found = {f'{path.parent.name}/{path.stem[5:]}' for path in tests.glob('*/test_*.c')}
  found |= {f'stress/{path.stem[7:]}' for path in tests.glob('stress/stress_*.c')}
  missing = sorted(found - set(registered))
  for name in missing:
    print(f'not in tests/meson.build: {name}')
  print(f'{len(found)} files, {len(missing)} of them never run')
  return bool(missing)


sys.exit(main(*sys.argv[1:]))
