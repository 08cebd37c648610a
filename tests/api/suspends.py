#!/usr/bin/env python3
"""A function that calls a CEDE_SUSPENDS function is marked CEDE_SUSPENDS itself.

usage: suspends.py SOURCE_ROOT

The scan is a simple one: it reads the declarations and the definitions of
include/, coro/, loop/ and net/ as text, by the layout that .clang-format
enforces (the name of a defined function starts a line). It does not follow
calls through pointers, which is how bodies run: a body, `int x(void *arg)`, may
suspend unmarked as long as nobody calls it by name.
"""
import pathlib
import re
import sys

# Functions that suspend and are not marked, each with its reason.
ALLOWED = {
  'end_all': 'what every leave of a group does: it waits, and there is nothing to say about that',
  'cede_group_leave': 'a cleanup: its result may be dropped, which the mark forbids',
  'cede__group_cleanup': 'the cleanup behind CEDE_GROUP: returns nothing',
  'cede__scope_cleanup': 'the cleanup behind CEDE_TIMEOUT: returns nothing',
}

COMMENT = re.compile(r'/\*.*?\*/|//[^\n]*', re.S)
STRING = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'')
DIRECTIVE = re.compile(r'^[ \t]*#(?:\\\n|[^\n])*', re.M)
MARKED = re.compile(r'(?:\bstatic\s+)?\bCEDE_SUSPENDS\b[^;{}]*?\b(\w+)\s*\(')
DEFINITION = re.compile(r'^(?:[^\n;{}#]*\n)?(?P<name>\w+)\((?P<args>[^;{}]*)\)\n\{(?P<body>.*?)^\}',
                        re.M | re.S)
CALL = re.compile(r'\b([a-zA-Z_]\w*)\s*\(')


def blank(match):
  """Keeps the line numbers where they are."""
  return re.sub(r'[^\n]', ' ', match.group(0))


def read(root):
  for folder in ('include', 'coro', 'loop', 'net'):
    for path in sorted((root / folder).rglob('*.[ch]')):
      text = path.read_text(encoding='utf-8')
      for what in (COMMENT, STRING, DIRECTIVE):
        text = what.sub(blank, text)
      yield path, text


def marks(text, static):
  """The marked functions that a file declares: those of the file, or those of all."""
  return {match.group(1) for match in MARKED.finditer(text)
          if ('static' in match.group(0).split()) == static}


def main(root):
  files = list(read(pathlib.Path(root)))
  marked = {name for _, text in files for name in marks(text, static=False)}
  if 'cede_await' not in marked:
    sys.exit('cede_await is not marked CEDE_SUSPENDS: the check is broken')

  functions = 0
  problems = []
  for path, text in files:
    suspending = marked | marks(text, static=True)
    called = {match.group(1) for body in DEFINITION.finditer(text)
              for match in CALL.finditer(body.group('body'))}
    for match in DEFINITION.finditer(text):
      functions += 1
      name = match.group('name')
      is_body = match.group('args').strip() == 'void *arg' and name not in called
      if name in suspending or name in ALLOWED or is_body:
        continue
      for call in CALL.finditer(match.group('body')):
        if call.group(1) in suspending or call.group(1) in ALLOWED:
          line = text.count('\n', 0, match.start('body') + call.start()) + 1
          problems.append(f'{path}:{line}: {name}() calls {call.group(1)}(), which suspends, '
                          'and is not marked CEDE_SUSPENDS')
  for problem in problems:
    print(problem)
  print(f'{functions} functions, {len(marked)} marked, {len(problems)} problems')
  return bool(problems)


sys.exit(main(*sys.argv[1:]))
