"""gdb commands for programs with coroutines of cede.

  cede coroutines           all that have a stack: started and not ended
  cede bt [-full] WHICH     the backtrace of one that does not execute
  cede bt [-full]           of all that this thread executes: the frames of the running
                            coroutine, of whoever awaits it, of whoever resumed that
  cede chain [WHICH]        who awaits whom, from the innermost outwards

WHICH is the address of a coroutine or its name. Nothing in the program is written
to or called, so all of it works on core files.

How they are found: the table of stack slabs (coro/stack_overflow.c) leads to the
descriptor at the top of each stack (coro/stack.h), and that to the coroutine. How
one is unwound: a suspended context is a frame of saved registers at its stack
pointer, drawn in coro/switch_*.S; an unwinder of gdb's says that they are what is
above the thread's innermost frame, for as long as a command takes. Both need the
library's debugging information.
"""
import os
import re
import struct

import gdb
import gdb.unwinder

# As in coro/stack_int.h.
COLOURS = 16
COLOUR_BYTES = 64
BUSY = 1

# Where a register is in a suspended context's frame, and the size of it: coro/switch_*.S.
FRAMES = {
  'i386:x86-64': ('rip', 'rsp', 64, {
    'r15': 8, 'r14': 16, 'r13': 24, 'r12': 32, 'rbx': 40, 'rbp': 48, 'rip': 56}),
  'aarch64': ('pc', 'sp', 176, {
    **{f'x{19 + i}': 80 + 8 * i for i in range(11)}, 'x30': 168, 'pc': 168}),
  'riscv:rv64': ('pc', 'sp', 208, {
    'fp': 104, 's1': 112, **{f's{2 + i}': 120 + 8 * i for i in range(10)}, 'ra': 200, 'pc': 200}),
}

# What swapcontext() of glibc keeps of x86-64, by offset in a ucontext_t.
UCONTEXT = {'r12': 72, 'r13': 80, 'r14': 88, 'r15': 96, 'rbp': 120, 'rbx': 128, 'rsp': 160,
            'rip': 168}


def read_word(address):
  return struct.unpack('<Q', gdb.selected_inferior().read_memory(address, 8))[0]


def plural(count, word):
  return f'{count} {word}' if count == 1 else f'{count} {word}s'


# ---- finding coroutines ------------------------------------------------------------

def first_chunk():
  """The table's address."""
  try:
    address = gdb.parse_and_eval('(unsigned long)&cede__overflow_chunks')
    return address.cast(gdb.lookup_type('struct chunk').pointer())
  except gdb.error:
    raise gdb.GdbError('There is no debugging information of libcede here.')


def slabs():
  """(base, bytes, stride) of each."""
  chunk = first_chunk()
  while int(chunk):
    entries = chunk['entries']
    for i in range(entries.type.range()[1] + 1):
      base = int(entries[i]['base'])
      if base > BUSY:
        yield base, int(entries[i]['bytes']), int(entries[i]['stride'])
    chunk = gdb.Value(int(chunk['next'])).cast(chunk.type)


class Descriptors:
  """The descriptors of stacks; read as bytes, since there may be a million."""

  def __init__(self):
    self.type = gdb.lookup_type('struct cede__stack')
    self.offsets = {field.name: field.bitpos // 8 for field in self.type.fields()}
    self.memory = gdb.selected_inferior()

  def read(self, address):
    """(slab, user, is_free), or None where no memory is, or none was touched."""
    try:
      data = self.memory.read_memory(address, self.type.sizeof).tobytes()
    except gdb.MemoryError:
      return None
    slab, = struct.unpack_from('<Q', data, self.offsets['slab'])
    user, = struct.unpack_from('<Q', data, self.offsets['user'])
    return (slab, user, data[self.offsets['is_free']]) if slab else None

  def of_slab(self, base, size, stride):
    """(address, user) of each stack that is out."""
    end = size // stride
    slot = 0
    slab = None
    while slot < end:
      address = (base + (slot + 1) * stride - slot % COLOURS * COLOUR_BYTES - self.type.sizeof)
      found = self.read(address)
      slot += 1
      if not found:
        continue
      if slab is None:
        slab = gdb.Value(found[0]).cast(gdb.lookup_type('struct cede__slab').pointer())
        end = int(slab['n_opened'])
      if found[1] and not found[2]:
        yield address, found[1]


class Coroutine:
  """What a command needs of a cede_coro_t."""

  def __init__(self, value):
    self.value = value
    self.address = int(value.address)
    mode = value['mode'].cast(gdb.lookup_type('enum cede__coro_mode'))
    self.mode = str(mode).replace('CEDE__CORO_', '')
    self.awaiter = int(value['awaiter'])
    self.awaiting = int(value['awaiting'])
    self.caller = int(value['caller']) if self.mode == 'ACTIVE' else None

  @property
  def name(self):
    return self.value['name'].string(errors='replace')

  def is_on(self, sp):
    stack = self.value['stack']
    low = int(stack['low'])
    return low <= sp <= low + int(stack['size'])


class Everyone(dict):
  """Coroutines by address."""

  def resumed_by(self, co):
    """Whom this one has resumed and waits for, or None."""
    if not hasattr(self, 'callers'):
      self.callers = {other.caller: other for other in self.values() if other.caller}
    return self.callers.get(co.address)


def coroutines():
  """All with a stack."""
  kind = gdb.lookup_type('struct cede_coro').pointer()
  found = Everyone()
  for slab in slabs():
    for address, user in Descriptors().of_slab(*slab):
      try:
        value = gdb.Value(user).cast(kind).dereference()
        if int(value['stack']) == address:
          co = Coroutine(value)
          if co.mode not in ('CREATED', 'CLOSED'):
            found[co.address] = co
      except gdb.MemoryError:
        pass  # its object is gone: the stack was taken by hand, by a test
  return found


# ---- unwinding ---------------------------------------------------------------------

class FrameId:
  def __init__(self, sp, pc):
    self.sp = sp
    self.pc = pc


class Unwinder(gdb.unwinder.Unwinder):
  """While armed: above the thread's innermost frame is what `registers` says."""

  def __init__(self):
    super().__init__('cede')
    self.registers = None

  def __call__(self, pending):
    if self.registers is None:
      return None
    pc, sp, _, _ = FRAMES[pending.architecture().name()]
    if (int(pending.read_register(sp)), int(pending.read_register(pc))) != self.innermost:
      return None
    # gdb believes in frames that go up: the innermost one is said to be just below.
    info = pending.create_unwind_info(FrameId(gdb.Value(self.registers[sp] - 8),
                                              gdb.Value(self.innermost[1])))
    for name, value in self.registers.items():
      kind = pending.read_register(name).type
      info.add_saved_register(name, gdb.Value(value).cast(kind))
    return info

  def __enter__(self):
    gdb.invalidate_cached_frames()
    return self

  def __exit__(self, *_):
    self.registers = None
    gdb.invalidate_cached_frames()

  def at(self, registers):
    frame = gdb.newest_frame()
    pc, sp, _, _ = frame_layout()
    self.innermost = (int(frame.read_register(sp)), int(frame.read_register(pc)))
    self.registers = registers
    return self


unwinder = Unwinder()
gdb.unwinder.register_unwinder(None, unwinder, replace=True)


def frame_layout():
  name = gdb.newest_frame().architecture().name()
  if name not in FRAMES:
    raise gdb.GdbError(f'How a coroutine is suspended on {name} is not known.')
  return FRAMES[name]


def has_symbol(name):
  try:
    gdb.parse_and_eval('&' + name)
    return True
  except gdb.error:
    return False


def saved_registers(context):
  """Of a suspended context, by name."""
  pc, sp, size, offsets = frame_layout()
  at = int(context['sp'])
  if has_symbol('cede__switch_begin'):
    return {sp: at + size, **{name: read_word(at + o) for name, o in offsets.items()}}
  if pc != 'rip':
    raise gdb.GdbError('-Dswitch=ucontext is understood on x86-64 only.')
  return {name: read_word(at + offset) for name, offset in UCONTEXT.items()}


def context_of(co, everyone):
  """Where it stopped; None when it executes."""
  other = everyone.resumed_by(co)
  if other:
    return other.value['resumer']
  if int(co.value['thread']['current']) == co.address:
    return None
  return co.value['context']


def n_real_frames():
  """How many frames of the thread's own come before those of the coroutine."""
  frame = gdb.newest_frame()
  n = 1
  while frame.type() == gdb.INLINE_FRAME:
    frame = frame.older()
    n += 1
  return n


def keeping_selection(function):
  """gdb forgets the selected frame when frames are looked for anew."""
  def kept(*args):
    level = gdb.selected_frame().level()
    try:
      return function(*args)
    finally:
      gdb.execute(f'frame level {level}', to_string=True)
  return kept


@keeping_selection
def backtrace_at(registers, options):
  with unwinder.at(registers):
    skip = n_real_frames()
    text = gdb.execute(' '.join(['backtrace', *options]), to_string=True)
  lines = []
  number = -1
  for line in text.splitlines():
    match = re.match(r'#(\d+)( +)(.*)', line)
    if match:
      number = int(match.group(1)) - skip
      line = f'#{number:<2} {match.group(3)}' if number >= 0 else line
    if number >= 0:
      lines.append(line)
  return '\n'.join(lines)


LAYERS = {'coro', 'loop', 'net'}


def describe(frame):
  sal = frame.find_sal()
  place = f' at {os.path.basename(sal.symtab.filename)}:{sal.line}' if sal.symtab else ''
  return f'{frame.name() or "?"}{place}'


def is_ours(frame):
  symtab = frame.find_sal().symtab
  return bool(symtab) and os.path.basename(os.path.dirname(symtab.fullname())) in LAYERS


@keeping_selection
def place_at(registers):
  """The innermost frame that is not the library's."""
  with unwinder.at(registers):
    frame = gdb.newest_frame()
    for _ in range(n_real_frames()):
      frame = frame.older()
    first = frame
    while frame and is_ours(frame):
      frame = frame.older()
    return describe(frame or first)


# ---- commands ----------------------------------------------------------------------

def state(co, everyone):
  if co.awaiting and co.awaiting in everyone:
    return f'awaits {everyone[co.awaiting].name!r}'
  other = everyone.resumed_by(co)
  if other:
    return f'has resumed {other.name!r}'
  if int(co.value['thread']['current']) == co.address:
    return 'executes'
  return 'suspended'


def place(co, everyone):
  context = context_of(co, everyone)
  return place_at(saved_registers(context)) if context is not None else ''


def find(which, everyone):
  named = [co for co in everyone.values() if co.name == which]
  if len(named) == 1:
    return named[0]
  if named:
    raise gdb.GdbError(f'There are {len(named)} of that name: say which by address.')
  try:
    address = int(gdb.parse_and_eval(which))
  except gdb.error:
    raise gdb.GdbError(f'There is no coroutine {which!r} with a stack.')
  if address not in everyone:
    raise gdb.GdbError(f'{which} is no coroutine with a stack.')
  return everyone[address]


def executing(everyone):
  """The coroutine on whose stack the selected thread is, or None."""
  sp = int(gdb.newest_frame().read_register(frame_layout()[1]))
  for co in everyone.values():
    if co.is_on(sp):
      return co
  return None


def outwards(co, everyone):
  """(coroutine, in words how the one before came to it), innermost first; at last (None, words)."""
  yield co, ''
  while True:
    if co.mode == 'AWAITED' and co.awaiter in everyone:
      co, how = everyone[co.awaiter], 'awaited by'
    elif co.caller:
      co, how = everyone.get(co.caller), 'resumed by'
    else:
      if co.caller is not None:
        yield None, 'resumed by the thread itself'
      return
    if co is None:
      return
    yield co, how


class Cede(gdb.Command):
  __doc__ = __doc__

  def __init__(self):
    super().__init__('cede', gdb.COMMAND_STACK, prefix=True)


class Command(gdb.Command):
  def __init__(self, name):
    super().__init__('cede ' + name, gdb.COMMAND_STACK)

  def invoke(self, argument, _):
    gdb.newest_frame()  # says so when nothing runs
    self.run(gdb.string_to_argv(argument), coroutines())


class Coroutines(Command):
  """All coroutines with a stack: those that have started and not ended."""

  def run(self, arguments, everyone):
    if arguments:
      raise gdb.GdbError('usage: cede coroutines')
    for co in everyone.values():
      print(f'0x{co.address:x}  {co.name:<20} {state(co, everyone):<24} {place(co, everyone)}')
    print(plural(len(everyone), 'coroutine'))


class Backtrace(Command):
  """The backtrace of a coroutine, by address or name, or of all that this thread executes.
usage: cede bt [-full] [WHICH]"""

  def run(self, arguments, everyone):
    options = [word for word in arguments if word.startswith('-')]
    which = [word for word in arguments if not word.startswith('-')]
    if len(which) > 1:
      raise gdb.GdbError('usage: cede bt [-full] [WHICH]')
    if which:
      co = find(which[0], everyone)
      self.print_one(co, everyone, options)
      return

    co = executing(everyone)
    if co is None:
      raise gdb.GdbError('This thread executes no coroutine.')
    inner = None
    for co, how in outwards(co, everyone):
      if inner is None:
        print(f'coroutine {co.name!r}')
      elif co is None:
        print(how)
      else:
        print(f'{how} {co.name!r}')
      if co is None:
        print(backtrace_at(saved_registers(inner.value['resumer']), options))
      else:
        self.print_one(co, everyone, options)
      inner = co

  @staticmethod
  def print_one(co, everyone, options):
    context = context_of(co, everyone)
    if context is not None:
      print(backtrace_at(saved_registers(context), options))
      return
    if executing(everyone) is not co:
      raise gdb.GdbError('It executes, in another thread.')
    gdb.execute(' '.join(['backtrace', *options]))


class Chain(Command):
  """Who awaits whom, from the innermost outwards; of this thread's coroutine or of WHICH.
usage: cede chain [WHICH]"""

  def run(self, arguments, everyone):
    if len(arguments) > 1:
      raise gdb.GdbError('usage: cede chain [WHICH]')
    co = find(arguments[0], everyone) if arguments else executing(everyone)
    if co is None:
      raise gdb.GdbError('This thread executes no coroutine.')
    while co.awaiting in everyone:
      co = everyone[co.awaiting]
    for number, (co, how) in enumerate(outwards(co, everyone)):
      if co is None:
        print(f'    {how}')
      else:
        where = place(co, everyone) or 'executes'
        print(f'#{number:<2} {how + " " if how else ""}{co.name!r}  {where}')


Cede()
Coroutines('coroutines')
Backtrace('bt')
Chain('chain')
