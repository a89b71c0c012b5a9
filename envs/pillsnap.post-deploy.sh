# Install the lock, then the package itself; runs in the activated environment, in the project's root.
set -euo pipefail
python envs/install.py
