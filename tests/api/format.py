#!/usr/bin/env python3
"""Every C file is laid out as .clang-format says.

usage: format.py CLANG_FORMAT SOURCE_ROOT

Formatting differs between the versions of clang-format, so only the one that
the rules were written for is asked; with another the test is skipped.
"""
import pathlib
import re
import subprocess
import sys

VERSION = 14
SKIP = 77
FOLDERS = ('include', 'coro', 'loop', 'net', 'tests', 'benchmarks', 'examples')


def main(clang_format, root):
  text = subprocess.run([clang_format, '--version'], check=True, text=True,
                        stdout=subprocess.PIPE).stdout
  if int(re.search(r'version (\d+)', text).group(1)) != VERSION:
    print(f'{text.strip()}: not version {VERSION}')
    return SKIP
  files = [path for folder in FOLDERS for path in sorted((pathlib.Path(root) / folder).rglob('*'))
           if path.suffix in ('.c', '.h', '.cc')]
  print(f'{len(files)} files')
  return subprocess.run([clang_format, '--dry-run', '-Werror', '--style=file', *files]).returncode


sys.exit(main(*sys.argv[1:]))
