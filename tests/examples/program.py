"""A server program under test: started on a port of its own, talked to raw, ended."""
import re
import signal
import socket
import subprocess
import time

PATIENCE = 20  # seconds for whatever must happen; sanitizers are slow


def wait_until(what, condition):
  """Polls for a condition; fails when it does not come true."""
  end = time.monotonic() + PATIENCE
  while not condition():
    if time.monotonic() > end:
      raise AssertionError(f'not within {PATIENCE} s: {what}')
    time.sleep(0.005)


class Program:
  """A running server. Leaving the block ends it and expects it to end well."""

  def __init__(self, path, *options, at='127.0.0.1:0', after=(), errors=''):
    """after: arguments behind the address; errors: what it is to say by its end, None: it may
    say what it likes, and as much."""
    self.errors = errors
    self.process = subprocess.Popen([path, *options, at, *after], text=True,
                                    stdout=subprocess.PIPE,
                                    stderr=subprocess.DEVNULL if errors is None
                                    else subprocess.PIPE)
    line = self.process.stdout.readline()
    match = re.fullmatch(r'listening on (127\.0\.0\.1):(\d+)\n', line)
    if not match:
      self.process.kill()
      raise AssertionError(f'{path} said {line!r}, {self.process.communicate()}')
    self.address = (match.group(1), int(match.group(2)))
    self.was_told_to_end = False

  def __enter__(self):
    return self

  def __exit__(self, *exception):
    if not self.was_told_to_end:
      self.tell_to_end()
    try:
      _, errors = self.process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
      self.process.kill()
      raise
    if exception == (None, None, None):
      assert self.process.returncode == 0, f'exit {self.process.returncode}: {errors}'
      assert errors == self.errors, errors

  def tell_to_end(self, number=signal.SIGINT):
    self.was_told_to_end = True
    self.process.send_signal(number)

  def connect(self):
    return Connection(self.address)

  def is_sanitized(self):
    """AddressSanitizer keeps what was freed."""
    with open(self.process.args[0], 'rb') as program:
      return b'__asan_init' in program.read()

  def memory(self):
    """Resident bytes."""
    with open(f'/proc/{self.process.pid}/statm') as statm:
      return int(statm.read().split()[1]) * 4096

  def threads(self):
    import os
    return len(os.listdir(f'/proc/{self.process.pid}/task'))

  def descriptors(self):
    import os
    return len(os.listdir(f'/proc/{self.process.pid}/fd'))


class Connection:
  """A raw socket; every wait has a bound."""

  def __init__(self, address=None, accepted=None):
    self.socket = accepted or socket.create_connection(address, timeout=PATIENCE)
    self.socket.settimeout(PATIENCE)
    self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    self.file = self.socket.makefile('rb')

  def __enter__(self):
    return self

  def __exit__(self, *exception):
    self.close()

  def send(self, data):
    self.socket.sendall(data)

  def end_sending(self):
    self.socket.shutdown(socket.SHUT_WR)

  def receive(self, size):
    data = self.file.read(size)
    assert len(data) == size, f'end of file after {data!r}'
    return data

  def receive_all(self):
    """Until the end of file; a reset is an error."""
    return self.file.read()

  def receive_all_or_reset(self):
    """What comes until the connection ends, in whatever way."""
    data = b''
    try:
      while piece := self.file.read1(65536):
        data += piece
    except ConnectionError:
      pass
    return data

  def reset(self):
    self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
    self.close()

  def close(self):
    self.file.close()
    self.socket.close()


class Listener:
  """A server that the test itself is."""

  def __init__(self, host='127.0.0.1', backlog=128):
    family = socket.AF_INET6 if ':' in host else socket.AF_INET
    self.socket = socket.create_server((host, 0), family=family, backlog=backlog)
    self.socket.settimeout(PATIENCE)
    self.address = self.socket.getsockname()[:2]

  def __enter__(self):
    return self

  def __exit__(self, *exception):
    self.socket.close()

  def accept(self):
    return Connection(accepted=self.socket.accept()[0])
