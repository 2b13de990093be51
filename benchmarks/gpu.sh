#!/bin/sh
# One prepared run on a CUDA device; gpu.py says what it does and which options it takes.
# PYTHON names an interpreter whose torch has CUDA; by default that of .venv, else python3.
set -e
cd "$(dirname "$0")/.."
if [ -z "$PYTHON" ]; then
    PYTHON=python3
    [ ! -x .venv/bin/python ] || PYTHON=.venv/bin/python
fi
PYTHONPATH="src${PYTHONPATH:+:$PYTHONPATH}" exec "$PYTHON" benchmarks/gpu.py "$@"
