# SPDX-License-Identifier: GPL-2.0
#
# For people; the kernel's build system reads Kbuild. `make help` lists the
# targets. Each first installs the Debian packages that it needs and lacks.

# The newest installed headers, which need not be those of the running kernel;
# looked up when used, for they may have come with deps-build just before.
newest = $(lastword $(shell ls -d /lib/modules/*/build 2>/dev/null | sort -V))
KDIR ?= $(newest)

# Type information needs a program that few have; nothing here uses it.
kbuild = $(MAKE) -C $(KDIR) M=$(CURDIR) CONFIG_DEBUG_INFO_BTF_MODULES=

all: module tools

module: deps-build
	$(kbuild) modules

tools: deps-build
	$(MAKE) -C tools

modules_install: module
	$(kbuild) modules_install

tools_install: tools
	$(MAKE) -C tools install

clean:
	@[ ! -d "$(KDIR)" ] || $(kbuild) clean
	@[ ! -f tools/Makefile ] || $(MAKE) -C tools clean
	@[ ! -f selftests/Makefile ] || $(MAKE) -C selftests clean
	rm -rf build

# The scripts ask for their own packages as well; asking here first says what
# is missing before anything has begun.
lint: deps-lint deps-build
	scripts/lint

demo: deps-vm deps-test deps-build
	scripts/demo

# KERNELS="6.12 sid": on these only, and nothing that runs here
check: deps-build deps-vm deps-test deps-kernels
	scripts/check $(KERNELS:%=-k %)

check-unit: deps-build deps-vm deps-test
	scripts/check -u

check-debug: deps-build deps-vm deps-test deps-debug
	scripts/check -k debug

bench: deps-build deps-vm deps-bench
	scripts/bench

guard: deps-build deps-vm deps-bench
	scripts/bench -g

deps-%:
	@scripts/deps $*

help:
	@echo 'make [KDIR=...]       the module, and the programs in tools/'
	@echo 'make modules_install  install the module (kbuild; INSTALL_MOD_PATH, ...)'
	@echo 'make tools_install    setkey and the manuals (PREFIX, DESTDIR)'
	@echo 'make demo             two gateways in a virtual machine, watched'
	@echo 'make check            unit tests, and the self-tests on every kernel'
	@echo 'make check-unit       the unit tests, and those of the programs'
	@echo 'make check-debug      the self-tests on a kernel with all checkers'
	@echo 'make lint             every check of the sources'
	@echo 'make bench            cost per packet, beside the kernel'\''s own IPsec'
	@echo 'make guard            the main costs may not grow (two minutes)'
	@echo 'make clean            remove what was built here'
	@echo
	@echo 'scripts/check -h      single tests, single kernels'
	@echo 'scripts/vm -h         a command, or a shell, in a virtual machine'

.PHONY: all module tools modules_install tools_install clean lint demo check check-unit check-debug bench guard help
