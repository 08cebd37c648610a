#!/usr/bin/env python3
"""docs/conformance.md is true: each row of the specification has a test or a
reason why not, each test that it names exists, and it names each test there is.

usage: table.py SOURCE_ROOT
"""
import pathlib
import re
import sys

ROWS = 83


def tests(root):
  """'suite::name' of every test in tests/conformance."""
  found = []
  for path in sorted((root / 'tests' / 'conformance').glob('test_*.c*')):
    text = path.read_text(encoding='utf-8')
    found += ['::'.join(pair) for pair in re.findall(r'^Test\((\w+),\s*(\w+)', text, re.M)]
  return found


def main(root):
  root = pathlib.Path(root)
  lines = (root / 'docs' / 'conformance.md').read_text(encoding='utf-8').splitlines()
  have = tests(root)
  named = set()
  rows = {}
  problems = []

  for line in lines:
    cells = [cell.strip() for cell in line.split('|')[1:-1]]
    if len(cells) != 2 or re.fullmatch(r'-+', cells[0]) or cells[1] == 'Tests':
      continue
    what, where = cells
    names = re.findall(r'`(\w+::\w+)`', where)
    named.update(names)
    if not names and not re.match(r'none: \w', where):
      problems.append(f'neither a test nor a reason: {what}')
    if what.isdigit():
      if int(what) in rows:
        problems.append(f'row {what} is there twice')
      rows[int(what)] = names
      problems += [f'row {what} has a test of another: {name}' for name in names
                   if not name.startswith(f'conformance::row_{int(what):02}_')]

  problems += [f'row {row} is missing' for row in range(1, ROWS + 1) if row not in rows]
  problems += [f'no such row: {row}' for row in rows if not 1 <= row <= ROWS]
  problems += [f'no such test: {name}' for name in sorted(named - set(have))]
  problems += [f'not in docs/conformance.md: {name}' for name in have if name not in named]
  problems += [f'two tests of one name: {name}' for name in sorted(set(have))
               if have.count(name) > 1]
  for problem in problems:
    print(problem)
  tested = sum(bool(names) for names in rows.values())
  print(f'{tested} of {len(rows)} rows, {len(have)} tests, {len(problems)} problems')
  return bool(problems) or not have


sys.exit(main(*sys.argv[1:]))
