#!/usr/bin/env python3
"""The pages of conformance are true.

docs/conformance.md: each row of the specification has a test or a reason why
not, each test that it names exists, and it names each test in tests/conformance.
docs/conformance-tasks.md and -sync.md: each test that they name exists in
tests/loop, each line without one has a reason, and the first names each test
of the suites that were written for it.
docs/conformance-net.md: each call of the network's headers that suspends or can fail
has a row; each code that its comment there states is in the row, with a test that names
it; each column has tests or a reason why not; and each of those tests exists and makes
the call. That is read in the text of the tests: the functions, macros and tables that
one names, in its own file and in those of tests/ that it includes, and what those name.

usage: table.py SOURCE_ROOT
"""
import itertools
import pathlib
import re
import sys

ROWS = [str(row) for row in range(1, 84)]
TASK_ROWS = [f'T{row}' for row in range(1, 20)]

# Suites in which every test states a fact of docs/conformance-tasks.md.
TASK_SUITES = {'cancellation', 'eager', 'taskgroups', 'taskgroups_block', 'timeouts'}

# The headers of docs/conformance-net.md, and which of their calls are meant.
NET_HEADERS = {name: r'cede_\w+' for name in (
  'stream', 'tcp', 'unix', 'udp', 'dns', 'tls', 'serve', 'sendfile', 'address')}
NET_HEADERS['uv'] = r'cede_stream_\w+'
NET_HEADERS['testing'] = r'cede_test_(?:check_)?stream'

# They answer a question, and can't fail.
NET_QUESTIONS = {'cede_address_is_equal', 'cede_address_is_ipv6', 'cede_serve_is_draining'}

# The columns of the page behind the call, and the code that tests in a column stand for.
NET_COLUMNS = {'success': None, 'errors': None, 'cancelled': 'EXIT', 'the peer closes': None,
               'closed by another task': 'ECANCELED', 'no memory': 'ENOMEM'}


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


class Program:
  """A file of tests: what each test of it names, and what that names, as far as it is in tests/."""

  COMMENT = re.compile(r'/\*.*?\*/|//[^\n]*', re.S)
  PARTS = (re.compile(r'^#define[ \t]+(\w+)(?:\\\n|[^\n])*', re.M),
           re.compile(r'^([a-z]\w*)\([^;{}]*?\)\n\{.*?^\}', re.M | re.S),
           re.compile(r'^(?:static|const|struct|enum)\b[^;({=]*?\b(\w+)(?:\[[^\]]*\])?\s*='
                      r'\s*\{.*?\};', re.M | re.S))
  TEST = re.compile(r'^(Test|[A-Z][A-Z_]+)\(([^()]*)\)(?:\n\{.*?^\})?', re.M | re.S)

  def __init__(self, root, path):
    self.root = root
    self.parts = {'cede_test_check_stream': ' '.join(
      part.read_text(encoding='utf-8') for part in sorted((root / 'net').glob('testing_check*.c')))}
    self.tests = {}
    for part in self.files(path, set()):
      for match in itertools.chain(*(pattern.finditer(part) for pattern in self.PARTS)):
        self.parts[match[1]] = self.parts.get(match[1], '') + match[0]
    text = self.COMMENT.sub('', path.read_text(encoding='utf-8'))
    if path.parent.name == 'scenarios':
      self.tests = {f'scenarios_{path.stem}::{name}': entry for entry, name in
                    re.findall(r'^\t(\{ "(\w+)",[^}]*\})', text, re.M)}
      return
    suite = re.search(r'^TestSuite\((\w+)', text, re.M)
    for match in self.TEST.finditer(text) if suite else ():
      words = re.split(r',\s*', match[2].strip())
      if match[1] != 'TestSuite':
        name = words[1] if words[0] == suite[1] and len(words) > 1 else words[0]
        self.tests[f'{suite[1]}::{name}'] = match[0]

  def files(self, path, seen):
    seen.add(path)
    text = path.read_text(encoding='utf-8')
    yield self.COMMENT.sub('', text)
    for name in re.findall(r'^#include "(tests/[^"]+)"', text, re.M):
      if self.root / name not in seen:
        yield from self.files(self.root / name, seen)

  def words_of(self, test):
    """All that a test names, directly and not."""
    found = set()
    todo = [self.tests[test]]
    while todo:
      words = set(re.findall(r'\b[A-Za-z_]\w*\b', todo.pop())) - found
      found |= words
      todo += [self.parts[word] for word in words if word in self.parts]
    return found


def calls_of_the_network(root):
  """The calls that have to have a row, and the codes that the header states for each."""
  found = {}
  alike = {}
  for header, wanted in NET_HEADERS.items():
    text = (root / 'include' / 'cede' / f'{header}.h').read_text(encoding='utf-8')
    for comment, declarations in re.findall(r'(/\*\*(?:(?!\*/).)*\*/)\n((?:CEDE_API [^;]*;\n)+)',
                                            text, re.S):
      returned = re.split(r'@return|\. 0[,;]|\*\* 0[,;]', comment, maxsplit=1)[-1]
      codes = set(re.findall(r'\bCEDE_(E\w+)', returned.split('Suspends')[0]))
      for kind, name in re.findall(r'CEDE_API ([\w ]+?) (cede_\w+)\(', declarations):
        if kind.split()[-1] in ('int', 'ssize_t') and re.fullmatch(wanted, name) \
            and name not in NET_QUESTIONS:
          found[name] = codes
          alike[name] = re.findall(r'\b[aA]s (cede_\w+)\(\)', returned.split('Suspends')[0])
  for name in found:  # whose text stands behind that of those it refers to
    found[name] = found[name].union(*(found.get(other, ()) for other in alike[name]))
  return found


def cell_parts(cell, problems):
  """The parts of a cell, 'EBUSY, EINVAL: suite/test, test; ETIMEDOUT: no: a reason'."""
  for part in filter(None, re.split(r';\s*', cell)):
    match = re.fullmatch(r'((?:E[A-Z_]+, )*E[A-Z_]+: )?(no: \S.*|[\w/, ]+)', part)
    if not match:
      problems.append(f'conformance-net.md: neither tests nor a reason: {part}')
      continue
    codes = re.findall(r'E\w+', match[1] or '')
    yield codes, [] if match[2].startswith('no: ') else names_in(match[2], problems)


def check_row(cells, codes, reach, problems):
  """A row of docs/conformance-net.md. Returns the tests that it names."""
  calls = re.findall(r'`(\w+)`', cells[0])
  named = {}
  stated = set()
  for (column, code), cell in zip(NET_COLUMNS.items(), cells[1:]):
    parts = list(cell_parts(cell, problems))
    named[column] = [name for _, names in parts for name in names]
    problems += [f'{calls[0]}: the tests of {word} do not name it' for words, names in parts
                 for word in words if names and not any(
                   reach(name) & {word, f'CEDE_{word}'} for name in names)]
    stated.update(*(stands_for for stands_for, _ in parts))
    if named[column] and code:
      stated.add(code)
    if not parts:
      problems.append(f'{calls[0]}: {column}: neither a test nor a reason')
  for call in calls:
    problems += [f'{call}: no test of {code}' for code in sorted(codes.get(call, set()) - stated)]
    if not any(call in reach(name) for name in named['success']):
      problems.append(f'{call}: no test of its success makes the call')
  found = set(itertools.chain(*named.values()))
  problems += [f'{calls[0]}: {name} does not call it' for name in sorted(found)
               if reach(name) and not reach(name) & set(calls)]
  return found


def check_net(root, problems):
  """docs/conformance-net.md. Returns how many calls have a row, and the tests that it names."""
  programs = {}
  for path in sorted((root / 'tests').glob('net/test_*.c')) \
      + sorted((root / 'tests').glob('scenarios/*.c')):
    program = Program(root, path)
    programs.update(dict.fromkeys(program.tests, program))
  codes = calls_of_the_network(root)

  def reach(name):
    return programs[name].words_of(name) if name in programs else set()

  rows = table_rows(root / 'docs' / 'conformance-net.md', len(NET_COLUMNS) + 1)
  named = set().union(*(check_row(cells, codes, reach, problems) for cells in rows))
  calls = [call for cells in rows for call in re.findall(r'`(\w+)`', cells[0])]
  problems += [f'conformance-net.md: no row: {call}' for call in codes if call not in calls]
  problems += [f'conformance-net.md: no such call, or twice: {call}' for call in set(calls)
               if call not in codes or calls.count(call) > 1]
  problems += [f'conformance-net.md: no such test: {name}' for name in sorted(named - set(programs))]
  return len(calls), named


def main(root):
  root = pathlib.Path(root)
  have = tests(root / 'tests' / 'conformance')
  have_loop = tests(root / 'tests' / 'loop')
  problems = []

  tested, count = check_specification(root, have, have_loop, problems)
  facts = check_page(root / 'docs' / 'conformance-tasks.md', have_loop, problems)
  facts_sync = check_page(root / 'docs' / 'conformance-sync.md', have_loop, problems)
  have_net = tests(root / 'tests' / 'net')
  problems += [f'not in docs/conformance-tasks.md: {name}' for name in have_loop
               if name.split('::')[0] in TASK_SUITES and name not in facts]
  calls, tests_net = check_net(root, problems)
  for names in have, have_loop, have_net:
    problems += [f'two tests of one name: {name}' for name in sorted(set(names))
                 if names.count(name) > 1]
  for problem in problems:
    print(problem)
  print(f'{tested} of {count} rows, {len(have)} tests; {len(facts | facts_sync)} tests in'
        f' tests/loop named; {calls} calls of the network, {len(tests_net)} tests;'
        f' {len(problems)} problems')
  return bool(problems) or not have or not facts or not facts_sync or not calls


sys.exit(main(*sys.argv[1:]))
