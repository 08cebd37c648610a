#!/usr/bin/env python3
"""The pages of conformance are true.

docs/conformance.md: each row of the specification has a test or a reason why
not, each test that it names exists, and it names each test in tests/conformance.
docs/conformance-tasks.md and -sync.md: each test that they name exists in
tests/loop, each line without one has a reason, and the first names each test
of the suites that were written for it.
docs/conformance-net.md: each test that it names exists in tests/net, each line
without one has a reason, and each call of the network that suspends is there.

usage: table.py SOURCE_ROOT
"""
import pathlib
import re
import sys

ROWS = [str(row) for row in range(1, 84)]
TASK_ROWS = [f'T{row}' for row in range(1, 20)]

NET_HEADERS = ['dns', 'sendfile', 'serve', 'stream', 'tcp', 'tls', 'udp', 'unix']

# Suites in which every test states a fact of docs/conformance-tasks.md.
TASK_SUITES = {'cancellation', 'eager', 'taskgroups', 'taskgroups_block', 'timeouts'}


def tests(folder):
  """'suite::name' of every test in a folder."""
  found = []
  for path in sorted(folder.glob('test_*.c*')):
    text = path.read_text(encoding='utf-8')
    found += ['::'.join(pair)
              for pair in re.findall(r'^(?:Test|[A-Z]+_TEST)\((\w+),\s*(\w+)', text, re.M)]
    # A macro of the file's own: its suite is the file's.
    found += [f'{path.stem.removeprefix("test_")}::{name}'
              for name in re.findall(r'^[A-Z]+_TEST\((\w+)\)', text, re.M)]
    found += ['::'.join(pair) + '_comes_out_as_the_model_says'
              for pair in re.findall(r'^INTERLEAVE\((\w+),\s*(\w+)', text, re.M)]
  return found


def table_rows(path, count):
  """The cells of the rows of all tables with so many columns, without their heads."""
  found = []
  for line in path.read_text(encoding='utf-8').splitlines():
    cells = [cell.strip() for cell in line.split('|')[1:-1]]
    if len(cells) == count and re.fullmatch(r'-+', cells[0]):
      found.pop()
    elif len(cells) == count:
      found.append(cells)
  return found


def check_specification(root, have, have_loop, problems):
  """docs/conformance.md. Returns how many rows have a test, and how many rows there are."""
  named = set()
  rows = {}
  for what, where in table_rows(root / 'docs' / 'conformance.md', 2):
    names = re.findall(r'`(\w+::\w+)`', where)
    named.update(names)
    if not names and not re.match(r'none: \w', where):
      problems.append(f'neither a test nor a reason: {what}')
    if not re.fullmatch(r'T?\d+', what):
      continue
    if what in rows:
      problems.append(f'row {what} is there twice')
    rows[what] = names
    if what in ROWS:
      problems += [f'row {what} has a test of another: {name}' for name in names
                   if not name.startswith(f'conformance::row_{int(what):02}_')]
    else:
      problems += [f'row {what} has a test that is not in tests/loop: {name}' for name in names
                   if name not in have_loop]

  specification = (root / 'docs' / 'semantics.md').read_text(encoding='utf-8')
  for row in ROWS + TASK_ROWS:
    if row not in rows:
      problems.append(f'row {row} is missing')
    if len(re.findall(rf'^\| {row} \|', specification, re.M)) != 1:
      problems.append(f'row {row} is not in docs/semantics.md, or twice')
  problems += [f'no such row: {row}' for row in rows if row not in ROWS + TASK_ROWS]
  problems += [f'no such test: {name}' for name in sorted(named - set(have) - set(have_loop))]
  problems += [f'not in docs/conformance.md: {name}' for name in have if name not in named]
  return sum(bool(names) for names in rows.values()), len(rows)


def names_in(cell, problems):
  """'suite::name' of each test in a cell: 'suite/name, name, suite/name'."""
  found = []
  suite = None
  for part in filter(None, re.split(r',\s*', cell)):
    match = re.fullmatch(r'(?:(\w+)/)?(\w+)', part)
    if not match or not (match[1] or suite):
      problems.append(f'no name of a test: {part}')
      continue
    suite = match[1] or suite
    found.append(f'{suite}::{match[2]}')
  return found


def check_page(path, have_loop, problems):
  """A page of three columns: theirs, ours, the fact or the reason. Returns all that it names."""
  named = []
  for theirs, ours, fact in table_rows(path, 3):
    names = names_in(ours, problems)
    named += names
    if not names and not re.match(r'no: \S', fact):
      problems.append(f'{path.name}: neither a test nor a reason: {theirs}')
  suites = {name.split('::')[0] for name in have_loop}
  for suite, name in re.findall(r'\b(\w+)/(\w+)', path.read_text(encoding='utf-8')):
    if suite in suites:
      named.append(f'{suite}::{name}')
  problems += [f'{path.name}: no such test: {name}' for name in sorted(set(named) - set(have_loop))]
  return set(named)


def check_calls(root, problems):
  """Each public call of net/ that suspends is in a title of docs/conformance-net.md."""
  page = (root / 'docs' / 'conformance-net.md').read_text(encoding='utf-8')
  titles = ' '.join(re.findall(r'^## (.*)$', page, re.M))
  named = set()
  for word in re.findall(r'\w+', titles):
    if word.startswith('cede_'):
      named.add(word)
      family = re.match(r'cede_[a-z]+', word)[0]
    elif word.startswith('_'):
      named.add(family + word)
  for header in NET_HEADERS:
    text = (root / 'include' / 'cede' / f'{header}.h').read_text(encoding='utf-8')
    for name in re.findall(r'\bCEDE_SUSPENDS\b[^;]*?\b(cede_\w+)\(', text):
      if name not in named:
        problems.append(f'conformance-net.md: {name}() of <cede/{header}.h> is in no title')


def main(root):
  root = pathlib.Path(root)
  have = tests(root / 'tests' / 'conformance')
  have_loop = tests(root / 'tests' / 'loop')
  problems = []

  tested, count = check_specification(root, have, have_loop, problems)
  facts = check_page(root / 'docs' / 'conformance-tasks.md', have_loop, problems)
  facts_sync = check_page(root / 'docs' / 'conformance-sync.md', have_loop, problems)
  have_net = tests(root / 'tests' / 'net')
  facts_net = check_page(root / 'docs' / 'conformance-net.md', have_net, problems)
  check_calls(root, problems)
  problems += [f'not in docs/conformance-tasks.md: {name}' for name in have_loop
               if name.split('::')[0] in TASK_SUITES and name not in facts]
  for names in have, have_loop, have_net:
    problems += [f'two tests of one name: {name}' for name in sorted(set(names))
                 if names.count(name) > 1]
  for problem in problems:
    print(problem)
  print(f'{tested} of {count} rows, {len(have)} tests; {len(facts | facts_sync)} tests in'
        f' tests/loop named, {len(facts_net)} in tests/net; {len(problems)} problems')
  return bool(problems) or not have or not facts or not facts_sync or not facts_net


sys.exit(main(*sys.argv[1:]))
