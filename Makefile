# The front door. Everything a newcomer types; CMakeLists.txt knows how.
#
#   make            a build in build/
#   make run        the simulated venue and the WOO X plugin, live on the terminal
#                   (ARGS='--count 20' passes options to weir run)
#   make demo       weir serve with the simulated venue: charts in your browser
#   make test       installs what the tests need and runs all that CI runs
#   make check      the ordinary tests only; T=NAME for those whose name contains NAME
#   make asan       the ordinary tests under AddressSanitizer and UndefinedBehaviorSanitizer
#   make fuzz F=ws  a fuzzer, until Ctrl-C
#   make soak       the long versions (an hour): a daemon killed 200 times, each server of a sink 29 times, a cluster's
#                   stories three times, more of the API's fuzzing, the unit under a real systemd (S=STEP for one of them)
#   make autobahn   all 517 WebSocket cases, as client and as server
#   make bench      figures, as ratios, and JSON
#   make bench-peers  Weir beside libextism, the Go and JavaScript SDKs, tardis-dev and ccxt; a table and a chart
#   make layers     which folder includes which; fails on an arrow that points up
#   make format     settled style
#   make install    DESTDIR= PREFIX=/usr/local
#   make release    with a link-time optimised engine
#   make clean      forgets build/ (the engine's build is kept outside the tree)

MAKEFLAGS += --no-print-directory
BUILD ?= build
PREFIX ?= /usr/local
ARGS ?=
T ?=
F ?= json
CMAKE = cmake -S . -G Ninja
QUIET = > $(BUILD)/cmake.log || { cat $(BUILD)/cmake.log; exit 1; }

.PHONY: all run demo soak test check asan fuzz autobahn bench bench-peers layers format format-check install release clean

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD) $(if $(VERBOSE),-v) --quiet

$(BUILD)/build.ninja: CMakeLists.txt
	@scripts/install-deps build
	@scripts/build-rust > /dev/null
	@mkdir -p $(BUILD)
	@$(CMAKE) -B $(BUILD) $(QUIET)

run: $(BUILD)/build.ninja
	@ninja -C $(BUILD) --quiet weir guest-woox
	@scripts/run-demo $(BUILD) $(ARGS)

demo: all
	@$(BUILD)/weir serve --demo $(ARGS)

soak: all
	@scripts/install-deps soak
	@BUILD=$(BUILD) scripts/soak $(S)

check: all
	@ctest --test-dir $(BUILD) --output-on-failure -j2 $(if $(T),-R '$(T)')

asan:
	@scripts/install-deps test
	@mkdir -p $(BUILD)/asan
	@$(CMAKE) -B $(BUILD)/asan -DWEIR_ASAN=ON > $(BUILD)/asan/cmake.log
	@ninja -C $(BUILD)/asan --quiet
	@ctest --test-dir $(BUILD)/asan --output-on-failure -j2 $(if $(T),-R '$(T)')

test:
	@scripts/install-deps test
	@scripts/test

fuzz:
	@mkdir -p $(BUILD)/fuzz && $(CMAKE) -B $(BUILD)/fuzz -DCMAKE_C_COMPILER=clang -DWEIR_FUZZ=ON > $(BUILD)/fuzz/cmake.log
	@ninja -C $(BUILD)/fuzz --quiet fuzz_$(F)
	@find $(BUILD)/fuzz -name fuzz_$(F) -type f -exec {} tests/fuzz/$(F) \;

autobahn: all
	@tests/autobahn/run --all

bench: all
	@scripts/install-deps bench
	@bench/run $(BUILD)

bench-peers: all
	@bench/peers/run $(BUILD) $(ARGS)

layers:
	@scripts/layers

format:
	@clang-format -i $$(git ls-files '*.c' '*.h')

install: all
	@DESTDIR="$(DESTDIR)" cmake --install $(BUILD) --prefix "$(PREFIX)"

release:
	@mkdir -p $(BUILD)/release && $(CMAKE) -B $(BUILD)/release -DCMAKE_BUILD_TYPE=Release -DWEIR_LTO=ON > $(BUILD)/release/cmake.log
	@ninja -C $(BUILD)/release --quiet

clean:
	@rm -rf $(BUILD)
