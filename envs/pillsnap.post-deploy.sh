# Install the lock, then the package itself; runs in the activated environment, in the project's root.
set -euo pipefail
python -m pip install --no-deps --require-hashes --requirement requirements.lock
python -m pip install --no-deps --no-build-isolation --editable .
