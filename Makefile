# CI runs the same targets as people do. `make demo` needs only Debian and root.
VENV := .venv
LOCK := .ci/requirements.lock
DFGEN := $(VENV)/bin/dfgen
# `make push REGISTRY=registry.example.com/platform`; the default is the catalog's registry.
TO := $(if $(REGISTRY),--registry $(REGISTRY))

.PHONY: requirements render check images push demo demo-down test unit bench clean

$(VENV)/ready: pyproject.toml $(LOCK)
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --require-hashes --requirement $(LOCK)
	$(VENV)/bin/pip install --quiet --no-deps --no-build-isolation --editable . && touch $@

# Update the pinned development requirements to the newest versions that pyproject.toml allows.
requirements:
	python3 -m venv $(VENV) && $(VENV)/bin/pip install --quiet uv
	$(VENV)/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --extra dev --generate-hashes \
		--no-emit-index-url --no-header --output-file $(LOCK) pyproject.toml

render: $(VENV)/ready
	$(DFGEN) render

check: $(VENV)/ready
	$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check . && $(VENV)/bin/mypy
	$(DFGEN) render --check && $(DFGEN) lint --strict

images: $(VENV)/ready
	$(DFGEN) build

push: $(VENV)/ready
	$(DFGEN) publish $(TO) && $(DFGEN) verify $(TO)

demo: $(VENV)/ready
	$(VENV)/bin/python examples/demo/demo.py

demo-down:
	python3 examples/demo/engine.py down

test: unit
	-python3 examples/demo/engine.py up
	eval "$$(python3 examples/demo/engine.py env)"; $(VENV)/bin/pytest tests/integration

unit: $(VENV)/ready
	$(VENV)/bin/pytest --numprocesses auto tests/unit

bench: $(VENV)/ready
	-python3 examples/demo/engine.py up
	eval "$$(python3 examples/demo/engine.py env)"; $(VENV)/bin/python -m tests.bench

clean:
	rm -rf dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
