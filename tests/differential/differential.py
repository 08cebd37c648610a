#!/usr/bin/env python3
"""Runs random programs with cede and with CPython, and compares what happens.

usage: differential.py --run PROGRAM --generate PROGRAM [--ops N] [--seed S]
                       [--jobs N] [--python PYTHON] [--regressions DIRECTORY]
       differential.py --run PROGRAM --replay FILE...

Without --ops it is CEDE_DIFFERENTIAL_OPS operations with a seed of the time, or
100,000 with seed 1.

An operation is one step of a program that was executed on both sides, with the
same outcome. README.md has the language of the programs.

On a difference the program is made as small as it gets, both traces are
printed, and a command that runs it again; the exit status is 1.
"""
import argparse
import concurrent.futures
import os
import pathlib
import re
import shlex
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
PROGRAMS_IN_BATCH = 6000
TIMEOUT_S = 60
SHRINK_S = 60
LINES_SHOWN = 60

# Where the two sides are made alike, and why. Rows are those of docs/semantics.md.
DIFFERENCES = [
  ('row 14: throw(StopIteration) into one that was not started',
   'Python lets it through; cede refuses the code. run_py.py refuses too: Invalid.'),
  ('row 58: cr_await of a coroutine that is being closed or thrown into',
   'None since Python 3.13, as while it executes otherwise; run_py.py leaves it out with older ones. They '
   'also refuse to await such a one in other words.'),
  ('row 33: close() returns what the body returned',
   'since Python 3.13. With an older one the value is left out on both sides.'),
  ('row 47: StopIteration thrown into a coroutine at its own yield',
   'a coroutine of Python has no yield of its own: it awaits something, and there a StopIteration '
   'means the end of that. cede_yield() is the bare yield of a generator, where it is raised. '
   'run_py.py raises it (received()).'),
  ('StopIteration carries a value',
   'a code carries none: an await that ends by a thrown one has None on both sides.'),
  ('objects whose throw() or close() drives coroutines',
   'before Python 3.13 the awaiter does not count as executing meanwhile: it can be resumed in the '
   'middle. With those the objects of a program drive nobody.'),
  ('cycles through causes',
   'Python makes them, and has a garbage collector; cede never does. '
   'A program does not raise an error again that is a cause, or a context of one.'),
  ('the text of an error that was raised without one',
   'empty in Python, the text of the code in cede; compared as empty.'),
]


# ---- running ----

def python_info(python):
  command = [python, '-c', 'import sys; print(*sys.version_info[:3])']
  try:
    answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return tuple(map(int, answer.split()))
  except (OSError, subprocess.CalledProcessError, ValueError):
    return ()


def newest_python():
  """The newest up to 3.13, whose behaviour is the specification; else the newest there is."""
  names = [sys.executable] + [f'python3.{minor}' for minor in range(12, 15)] + ['python3']
  pyenv = pathlib.Path(os.environ.get('PYENV_ROOT') or pathlib.Path.home() / '.pyenv')
  names += map(str, pyenv.glob('versions/3.1[2-9]*/bin/python3'))
  found = {python_info(name): name for name in names}
  wanted = [version for version in found if version[:2] == (3, 13)]
  versions = wanted or [version for version in found if version >= (3, 12)]
  if not versions:
    print('skipped: before Python 3.12 an interpreter crashes where a coroutine is resumed in the '
          'middle of a throw()')
    sys.exit(77)
  return found[max(versions)], max(versions)


class Sides:
  """The two programs, and how they are called."""
  def __init__(self, run, python, version, wrapper=''):
    options = [] if version >= (3, 13) else ['--no-close-values', '--no-driving-objects']
    self.c = shlex.split(wrapper) + [run] + options
    self.python = [python, '-E', '-s', '-S', str(HERE / 'run_py.py')] + options

  def run(self, programs, timeout=TIMEOUT_S):
    """Their outputs. One that crashes says so in its own."""
    children = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT)
                for command in (self.c, self.python)]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
      return tuple(pool.map(lambda child: talk(child, programs, timeout), children))


def talk(child, programs, timeout):
  try:
    output, _ = child.communicate(programs, timeout)
  except subprocess.TimeoutExpired:
    child.kill()
    output, _ = child.communicate()
    return output + b'\nhangs\n'
  return output if child.returncode == 0 else output + b'\nexit status %d\n' % child.returncode


# ---- programs as trees, to make them smaller and to show them ----

class Step:
  def __init__(self, text, blocks=()):
    self.text = text
    self.blocks = list(blocks)   # of a try: its three


def parse_block(text, at):
  steps = []
  while text[at] != '.':
    step = Step(text[at:at + 4])
    at += 4
    if step.text[0] == 'T':
      for _ in range(3):
        block, at = parse_block(text, at)
        step.blocks.append(block)
    steps.append(step)
  return steps, at + 4


def parse(program):
  return [parse_block(block, 0)[0] for block in program.split('|')]


def unparse_block(steps):
  return ''.join(map(unparse_step, steps)) + '....'


def unparse_step(step):
  if not step.blocks:
    return step.text
  parts = list(map(unparse_block, step.blocks))
  lengths = ''.join(chr(48 + len(part) // 4) for part in parts[:2])
  return step.text[:2] + lengths + ''.join(parts)


def unparse(tree):
  return '|'.join(map(unparse_block, tree))


def smaller(tree):
  """Every program that is one change smaller, the bigger changes first."""
  for number, block in enumerate(tree):
    for changed in smaller_block(block):
      yield tree[:number] + [changed] + tree[number + 1:]


def smaller_block(steps):
  if len(steps) > 3:
    half = len(steps) // 2
    yield steps[half:]
    yield steps[:half]
  for i, step in enumerate(steps):
    yield steps[:i] + steps[i + 1:]
    for block in step.blocks:
      if not handles(block):
        yield steps[:i] + block + steps[i + 1:]
    for j, block in enumerate(step.blocks):
      for changed in smaller_block(block):
        blocks = step.blocks[:j] + [changed] + step.blocks[j + 1:]
        yield steps[:i] + [Step(step.text, blocks)] + steps[i + 1:]


def handles(steps):
  """Has it a step that is right in an except block only?"""
  return any(step.text[0] in 'fVW' or any(map(handles, step.blocks)) for step in steps)


def shrink(sides, program):
  """The program with everything left out that the difference does not need."""
  deadline = time.monotonic() + SHRINK_S
  while time.monotonic() < deadline:
    candidates = list(dict.fromkeys(map(unparse, smaller(parse(program)))))
    better = first_different(sides, candidates)
    if better is None:
      return program
    program = better
  return program


def first_different(sides, programs):
  """The first that differs. All in one go, unless somebody crashes."""
  c, python = map(split_output, sides.run('\n'.join(programs).encode() + b'\n', 5))
  for number, program in enumerate(programs):
    if number >= len(c) or number >= len(python) or c[number] != python[number]:
      if differs(sides, program, 2):
        return program
  return None


def differs(sides, program, timeout=TIMEOUT_S):
  c, python = sides.run(program.encode() + b'\n', timeout)
  return c != python


def split_output(output):
  return re.findall(rb'(?:.*\n)*?= \d+\n', output)


def show_block(steps, by, lines):
  for step in steps:
    if step.blocks:
      for head, block in zip(('try', f'except {step.text[1]}', 'finally'), step.blocks):
        lines.append(' ' * by + head)
        show_block(block, by + 2, lines)
    else:
      lines.append(' ' * by + step.text)


def show(program):
  lines = []
  for number, block in enumerate(parse(program)):
    lines.append(f'block {number}')
    show_block(block, 2, lines)
  return '\n'.join(lines)


# ---- reports ----

def report(sides, program, where):
  print(f'DIFFERENT: {where}\n{program}\nmaking it smaller...', flush=True)
  small = shrink(sides, program)
  c, python = (output.decode(errors='replace') for output in sides.run(small.encode() + b'\n', 10))
  print(f'\n{show(small)}\n\n---- cede\n{cut(c)}\n---- Python\n{cut(python)}\n----')
  quoted = shlex.quote(small)
  print(f'again: echo {quoted} | {shlex.join(sides.c)}')
  print(f'       echo {quoted} | {shlex.join(sides.python)}', flush=True)


def cut(trace):
  lines = trace.splitlines()
  return '\n'.join(lines[:LINES_SHOWN] + ['...'] * (len(lines) > LINES_SHOWN))


def find_different(sides, programs):
  """Which program of a batch differs: by the outputs, or one by one where a side has crashed."""
  outputs = list(map(split_output, sides.run('\n'.join(programs).encode() + b'\n')))
  if [len(output) for output in outputs] == [len(programs)] * 2:
    yield from (program for program, c, python in zip(programs, *outputs) if c != python)
    return
  for program in programs[max(0, min(map(len, outputs)) - 1):]:
    if differs(sides, program):
      yield program


# ---- regressions: files with programs as show() prints them, and comments ----

def read_program(path):
  text = re.sub(r' *#.*', '', pathlib.Path(path).read_text(encoding='utf-8'))
  if 'block' not in text:
    return ''.join(text.split())   # as generate prints it
  lines = [(len(line) - len(line.lstrip()), line.split()) for line in text.splitlines() if line]
  tree = []
  while lines:
    lines.pop(0)   # block N
    tree.append(read_block(lines, 2))
  return unparse(tree)


def read_block(lines, by):
  steps = []
  while lines and lines[0][0] == by and lines[0][1][0] not in ('except', 'finally'):
    word = lines.pop(0)[1][0]
    if word != 'try':
      steps.append(Step(word))
      continue
    body = read_block(lines, by + 2)
    kind = lines.pop(0)[1][1]
    handler = read_block(lines, by + 2)
    lines.pop(0)
    steps.append(Step(f'T{kind}..', [body, handler, read_block(lines, by + 2)]))
  return steps


def replay(sides, paths):
  bad = 0
  for path in paths:
    program = read_program(path)
    if differs(sides, program):
      bad += 1
      report(sides, program, path)
  print(f'{len(paths)} regressions, {bad} differ')
  return bad


# ---- the random ones ----

def steps_of(output):
  return sum(map(int, re.findall(rb'^= (\d+)$', output, re.M)))


def run_batch(sides, generate, seed):
  """(operations, None), or (0, programs) where the outputs differ."""
  programs = subprocess.run([generate, str(seed), str(PROGRAMS_IN_BATCH)], check=True,
                            stdout=subprocess.PIPE).stdout
  c, python = sides.run(programs)
  if c == python:
    return steps_of(c), None
  return 0, programs.decode().splitlines()


def run_random(sides, options):
  done = 0
  seed = options.seed
  start = time.monotonic()
  print(f'seeds from {seed}, {PROGRAMS_IN_BATCH} programs each', flush=True)
  with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
    while done < options.ops:
      seeds = range(seed, seed + 2 * options.jobs if done else seed + options.jobs)
      for batch, (count, programs) in zip(seeds, pool.map(
          lambda seed: run_batch(sides, options.generate, seed), seeds)):
        done += count
        if programs:
          program = next(find_different(sides, programs), None)
          report(sides, program, f'seed {batch}') if program else print(f'seed {batch}: not again')
          return 1
      seed = seeds.stop
  seconds = time.monotonic() - start
  print(f'seeds up to {seed - 1}: {done} operations, no difference, '
        f'{seconds:.1f} s, {done / seconds:.0f} a second')
  return 0


def main():
  ops = os.environ.get('CEDE_DIFFERENTIAL_OPS')
  parser = argparse.ArgumentParser()
  parser.add_argument('--run', required=True)
  parser.add_argument('--generate')
  parser.add_argument('--python')
  parser.add_argument('--wrapper', default='', help='runs --run, as valgrind does')
  parser.add_argument('--ops', type=int, default=int(ops or 100_000))
  parser.add_argument('--seed', type=int, default=int(time.time()) if ops else 1)
  parser.add_argument('--jobs', type=int, default=os.cpu_count() or 1)
  parser.add_argument('--regressions', type=pathlib.Path)
  parser.add_argument('--replay', nargs='*', default=[])
  options = parser.parse_args()
  if options.python:
    python, version = options.python, python_info(options.python)
  else:
    python, version = newest_python()
  print('Python', '.'.join(map(str, version)), python)
  sides = Sides(options.run, python, version, options.wrapper)
  bad = 0
  if options.replay:
    return replay(sides, options.replay) > 0
  if options.regressions:
    bad = replay(sides, sorted(options.regressions.glob('*.txt')))
  if options.generate and options.ops:
    bad += run_random(sides, options)
  return bad > 0


sys.exit(main())
