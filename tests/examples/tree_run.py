#!/usr/bin/env python3
"""examples/tree.c says what is in a directory.

usage: tree_run.py PROGRAM
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile


def run(program, path, stdout=subprocess.PIPE):
  done = subprocess.run([program, path], text=True, timeout=60, stdout=stdout,
                        stderr=subprocess.PIPE)
  return done.returncode, done.stdout, done.stderr


def main(program):
  with tempfile.TemporaryDirectory() as directory:
    root = pathlib.Path(directory)
    (root / 'a/b/c').mkdir(parents=True)
    (root / 'empty').mkdir()
    (root / 'a/one').write_text('1')
    (root / 'a/b/twelve').write_text('x' * 12)
    os.symlink('a', root / 'link')
    for i in range(200):
      (root / 'a/b/c' / str(i)).touch()

    code, out, err = run(program, directory)
    assert (code, err) == (0, ''), (code, err)
    assert re.search(r'^  one  1$', out, re.M), out
    assert re.search(r'^    twelve  12$', out, re.M), out
    assert re.search(r'^empty/$', out, re.M), out
    assert re.search(r'^link  1$', out, re.M), 'a link is not followed: ' + out
    assert len(re.findall(r'^      \d+  0$', out, re.M)) == 200, out
    assert out.endswith('\n4 directories, 203 files, 14 bytes\n'), out

    code, out, err = run(program, directory + '/none')
    assert code == 1 and out == '', (code, out)
    assert err == f'tree: {directory}/none: no such file or directory\n', err

    # A reader that goes (`tree / | head`): it ends, and says so.
    for i in range(2000):
      (root / 'a/b/c' / f'{i} of more than fit into a pipe and into stdio').touch()
    reader, writer = os.pipe()
    os.close(reader)
    code, out, err = run(program, directory, writer)
    os.close(writer)
    assert code == 1 and err == f'tree: {directory}: input/output error\n', (code, err)
    with open('/dev/full', 'w', encoding='ascii') as full:
      code, out, err = run(program, str(root / 'empty'), full)
    assert code == 1, 'a short text that is lost is told of too'


main(*sys.argv[1:])
