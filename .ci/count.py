#!/usr/bin/env python3
"""Prints how many tests of the last test run in a build directory passed and
failed, each Criterion test and each header for itself: "112 0".

usage: count.py BUILD_DIRECTORY
"""
import json
import pathlib
import sys
import xml.etree.ElementTree

logs = pathlib.Path(sys.argv[1]) / 'meson-logs'
cases = max(logs.glob('testlog*.junit.xml'), key=lambda path: path.stat().st_mtime)
programs = cases.with_name(cases.name.replace('.junit.xml', '.json'))

passed = failed = 0
for case in xml.etree.ElementTree.parse(cases).getroot().iter('testcase'):
  kinds = {child.tag for child in case}
  if kinds & {'failure', 'error'}:
    failed += 1
  elif 'skipped' not in kinds:
    passed += 1

# Programs that crashed, hung or ended badly after their last test.
with open(programs, encoding='utf-8') as file:
  bad = sum(json.loads(line)['result'] not in ('OK', 'SKIP', 'EXPECTEDFAIL') for line in file)
print(passed, max(failed, bad))
