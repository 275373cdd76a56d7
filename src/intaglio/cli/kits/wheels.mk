# What runs beside the script, by its hash. The first build writes wheels.sha256, which you read and commit; later builds
# accept nothing else. To update, change requirements.txt and delete wheels.sha256.
PIP ?= $(PYTHON) -m pip

.wheels: requirements.txt
	mkdir -p wheels
	$(PIP) download --quiet --only-binary=:all: --find-links wheels --dest wheels --requirement requirements.txt
	test -e wheels.sha256 || (cd wheels && LC_ALL=C sha256sum *.whl) > wheels.sha256
	cd wheels && sha256sum --check --strict --quiet ../wheels.sha256
	test "$$(ls wheels/*.whl | wc -l)" -eq "$$(wc -l < wheels.sha256)"
	touch $@

# A wheel is an archive of what is imported: unpacked and not installed, it is the same on every machine.
.site: .wheels
	rm -rf $(SITE)
	mkdir -p $(SITE)
	for wheel in wheels/*.whl; do $(PYTHON) -m zipfile -e "$$wheel" $(SITE) || exit 1; done
	touch $@
