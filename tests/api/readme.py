#!/usr/bin/env python3
"""The C programs in README.md compile without a warning.

usage: readme.py README INCLUDE_DIR... -- COMPILER...
"""
import pathlib
import re
import subprocess
import sys


def main(readme, *rest):
  split = rest.index('--')
  includes = ['-I' + path for path in rest[:split]]
  programs = re.findall(r'^```c\n(.*?)^```', pathlib.Path(readme).read_text(encoding='utf-8'),
                        re.M | re.S)
  if not programs:
    sys.exit('no program was found')
  for program in programs:
    subprocess.run([*rest[split + 1:], '-x', 'c', '-std=c11', '-Wall', '-Wextra',
                    '-Wpedantic', '-Wconversion', '-Werror', *includes, '-fsyntax-only', '-'],
                   input=program, text=True, check=True)
  print(f'{len(programs)} programs')


main(*sys.argv[1:])
