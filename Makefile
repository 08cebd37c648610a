# A thin layer over meson: one word for each thing that people do. What is
# missing on the machine is installed first (tools/need.sh); meson and its
# options remain there for whoever wants more.

ADDRESS = 127.0.0.1:6379
PREFIX  = /usr/local

RELEASE = build/release
TEST    = build/test

build: $(RELEASE)/build.ninja
	meson compile -C $(RELEASE)

help:
	@echo 'make                builds the library, the examples and the benchmarks in $(RELEASE)'
	@echo 'make serve          builds and runs the example server: ADDRESS=$(ADDRESS)'
	@echo 'make test           builds and runs all tests, in $(TEST)'
	@echo 'make bench          runs the benchmarks'
	@echo 'make install        installs the library: PREFIX=$(PREFIX)'
	@echo 'make format         lays out every C file as .clang-format says'
	@echo 'make clean          removes what was built'

serve: $(RELEASE)/build.ninja
	meson compile -C $(RELEASE) kv
	@exec $(RELEASE)/examples/kv/kv $(ADDRESS)

test: $(TEST)/build.ninja
	meson compile -C $(TEST)
	meson test -C $(TEST) --no-rebuild --print-errorlogs

bench: build
	meson test -C $(RELEASE) --benchmark --verbose

install: build
	meson configure $(RELEASE) --prefix=$(PREFIX)
	meson install -C $(RELEASE)

# With the version that the rules in .clang-format are for.
format:
	git ls-files '*.c' '*.h' '*.cc' | xargs clang-format-14 -i

clean:
	rm -rf $(RELEASE) $(TEST)

$(RELEASE)/build.ninja: | need-build
	meson setup $(RELEASE) --buildtype=release -Dtests=disabled

$(TEST)/build.ninja: | need-test
	meson setup $(TEST) -Dtests=enabled

need-build:
	@tools/need.sh build

need-test:
	@tools/need.sh test

.PHONY: build help serve test bench install format clean need-build need-test
