# Manual pages and completion for `make install`, and Debian packages: `make deb`, `make deb-twice`.

MANDIR   ?= $(PREFIX)/share/man
BASHDIR  ?= $(PREFIX)/share/bash-completion/completions
ZSHDIR   ?= $(PREFIX)/share/zsh/vendor-completions
FISHDIR  ?= $(PREFIX)/share/fish/vendor_completions.d
PAGEDIRS := $(DESTDIR)$(MANDIR)/man1 $(DESTDIR)$(BASHDIR) $(DESTDIR)$(ZSHDIR) $(DESTDIR)$(FISHDIR)

# what the program says of itself: build/pages/thor*.1, thor.bash, thor.zsh, thor.fish
pages: $(BUILD)/pages/done
$(BUILD)/pages/done: $(BUILD)/thor packaging/pages.sh
	@sh packaging/pages.sh $(BUILD)/thor $(BUILD)/pages && touch $@

install: install-pages
install-pages: pages
	install -d $(PAGEDIRS)
	install -m 644 $(BUILD)/pages/*.1 $(DESTDIR)$(MANDIR)/man1/
	install -m 644 $(BUILD)/pages/thor.bash $(DESTDIR)$(BASHDIR)/thor
	ln -sf thor $(DESTDIR)$(BASHDIR)/thor-eval
	install -m 644 $(BUILD)/pages/thor.zsh $(DESTDIR)$(ZSHDIR)/_thor
	install -m 644 $(BUILD)/pages/thor.fish $(DESTDIR)$(FISHDIR)/thor.fish
	ln -sf thor.fish $(DESTDIR)$(FISHDIR)/thor-eval.fish

uninstall: uninstall-pages
uninstall-pages:
	rm -f $(DESTDIR)$(MANDIR)/man1/thor.1 $(DESTDIR)$(MANDIR)/man1/thor-*.1 $(DESTDIR)$(ZSHDIR)/_thor
	rm -f $(addprefix $(DESTDIR)$(BASHDIR)/,thor thor-eval) $(addprefix $(DESTDIR)$(FISHDIR)/,thor.fish thor-eval.fish)

# packages of the working tree into build/deb; twice: from two folders, and compared byte by byte
deb:
	@sh packaging/deb.sh $(BUILD)/deb
deb-twice:
	@sh packaging/deb.sh $(BUILD)/deb
	@sh packaging/deb.sh $(BUILD)/deb-again/in/another/folder
	@cd $(BUILD)/deb && for f in *.deb; do cmp $$f $(abspath $(BUILD))/deb-again/in/another/folder/$$f || exit 1; done
	@echo 'deb-twice: all packages are the same, byte by byte'

.PHONY: pages install-pages uninstall-pages deb deb-twice
