# libckks, shared and static, and what `make install` puts where; `make uninstall` removes the same files.
#
# The version stands in VERSION alone; its first number is that of the soname.  Objects of kernels/ and ckks/ are fit
# for a shared library and hide every name but those of include/: all builds have the same objects.
VERSION  := $(shell cat VERSION)
SONAME   := libckks.so.$(firstword $(subst ., ,$(VERSION)))
PREFIX   ?= /usr/local
BINDIR   ?= $(PREFIX)/bin
LIBDIR   ?= $(PREFIX)/lib
INCDIR   ?= $(PREFIX)/include
DATADIR  ?= $(PREFIX)/share/thor
DESTDIR  ?=
CKKSOBJ  := $(patsubst %.c,$(BUILD)/%.o,$(filter kernels/% ckks/%,$(SRC)))
CKKSLIBS := -lsodium -lxxhash -lm
PUBLIC   := include/ckks.h $(sort $(wildcard include/ckks/*.h))
PROGRAMS := thor thor-eval
MODELS   := $(wildcard data/sst2-tiny/* data/gpt2-tiny/*)

$(BUILD)/kernels/%.o $(BUILD)/ckks/%.o: SHARED := -fPIC -fvisibility=hidden -fno-semantic-interposition
$(BUILD)/ckks/public.o: SHARED += -DCKKS_VERSION='"$(VERSION)"'
$(BUILD)/ckks/public.o: VERSION
$(CKKSOBJ): install.mk # objects of before were fit for programs alone

libckks: $(BUILD)/libckks.so.$(VERSION) $(BUILD)/libckks.a $(BUILD)/ckks.pc

$(BUILD)/libckks.so.$(VERSION): $(CKKSOBJ)
	$(CC) $(LDFLAGS) -shared -Wl,-soname,$(SONAME) -Wl,-z,defs -o $@ $(CKKSOBJ) $(CKKSLIBS)
	ln -sf $(@F) $(BUILD)/$(SONAME) && ln -sf $(SONAME) $(BUILD)/libckks.so

# one object, in which the hidden names are local: they meet no name of a program
$(BUILD)/libckks.a: $(CKKSOBJ)
	ld -r -o $(BUILD)/libckks.o $(CKKSOBJ) && objcopy --localize-hidden $(BUILD)/libckks.o
	rm -f $@ && ar rcs $@ $(BUILD)/libckks.o && rm -f $(BUILD)/libckks.o

$(BUILD)/ckks.pc: ckks.pc.in VERSION FORCE
	@sed -e 's|@VERSION@|$(VERSION)|' -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' \
	    -e 's|@INCDIR@|$(INCDIR)|' -e 's|@LIBS@|$(CKKSLIBS)|' ckks.pc.in >$@

install-lib: libckks
	install -d $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(INCDIR)/ckks
	install -m 755 $(BUILD)/libckks.so.$(VERSION) $(DESTDIR)$(LIBDIR)/
	ln -sf libckks.so.$(VERSION) $(DESTDIR)$(LIBDIR)/$(SONAME)
	ln -sf $(SONAME) $(DESTDIR)$(LIBDIR)/libckks.so
	install -m 644 $(BUILD)/libckks.a $(DESTDIR)$(LIBDIR)/
	install -m 644 $(BUILD)/ckks.pc $(DESTDIR)$(LIBDIR)/pkgconfig/
	install -m 644 include/ckks.h $(DESTDIR)$(INCDIR)/
	install -m 644 $(filter include/ckks/%,$(PUBLIC)) $(DESTDIR)$(INCDIR)/ckks/

install-programs: $(PROGRAMS)
	install -d $(DESTDIR)$(BINDIR) $(sort $(dir $(MODELS:data/%=$(DESTDIR)$(DATADIR)/%)))
	install -m 755 $(PROGRAMS) $(DESTDIR)$(BINDIR)/
	for f in $(MODELS); do install -m 644 $$f $(DESTDIR)$(DATADIR)/$${f#data/} || exit; done

install: install-lib install-programs

uninstall:
	rm -f $(addprefix $(DESTDIR)$(LIBDIR)/,libckks.so.$(VERSION) $(SONAME) libckks.so libckks.a pkgconfig/ckks.pc)
	rm -f $(PUBLIC:include/%=$(DESTDIR)$(INCDIR)/%) $(PROGRAMS:%=$(DESTDIR)$(BINDIR)/%)
	rm -f $(MODELS:data/%=$(DESTDIR)$(DATADIR)/%)
	-rmdir $(DESTDIR)$(INCDIR)/ckks $(sort $(dir $(MODELS:data/%=$(DESTDIR)$(DATADIR)/%))) $(DESTDIR)$(DATADIR)

# the reference of the public headers, build/docs/html
docs:
	@mkdir -p $(BUILD)/docs
	@VERSION=$(VERSION) DOCS=$(BUILD)/docs doxygen Doxyfile

FORCE: ;
.PHONY: docs libckks install install-lib install-programs uninstall FORCE
