#!/usr/bin/env python3
"""Each public header compiles alone, without a warning.

usage: headers.py LANGUAGE STANDARD INCLUDE_DIR... -- COMPILER... -- HEADER...

Prints TAP: one test a header. <cede/uv.h> alone gets _GNU_SOURCE, for libuv's
own header needs it in strict C11.
"""
import subprocess
import sys

WARNINGS = ['-Wall', '-Wextra', '-Wpedantic', '-Wconversion', '-Werror']


def main(language, standard, *rest):
  rest = list(rest)
  first = rest.index('--')
  second = rest.index('--', first + 1)
  includes = ['-I' + path for path in rest[:first]]
  compiler = rest[first + 1:second]
  headers = rest[second + 1:]

  print(f'1..{len(headers)}')
  failed = False
  for number, header in enumerate(headers, 1):
    defines = ['-D_GNU_SOURCE'] if header == 'uv.h' else []
    # Twice: the guard works.
    source = f'#include <cede/{header}>\n#include <cede/{header}>\nint cede_test_nothing_else;\n'
    result = subprocess.run(
      [*compiler, '-x', language, '-std=' + standard, *WARNINGS, *defines, *includes,
       '-fsyntax-only', '-'],
      input=source, text=True, stderr=subprocess.STDOUT, stdout=subprocess.PIPE)
    ok = result.returncode == 0
    failed = failed or not ok
    print(f'{"ok" if ok else "not ok"} {number} - {header} in {standard}')
    for line in [] if ok else result.stdout.splitlines():
      print('#', line)
  return failed


sys.exit(main(*sys.argv[1:]))
