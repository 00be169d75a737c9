#!/bin/sh
# Compiles the operator with the active environment's Python and PyTorch; build.py has the details and the options.
set -e
cd "$(dirname "$0")"
python=${PYTHON:-$(command -v python || command -v python3)}
exec "$python" build.py "$@"
