#!/bin/sh
# Installs the service under systemd: ops/deploy/install.sh [--with-localnet]; as root, from a checkout. Safe to repeat:
# what runs is stopped, replaced and started again; settings, keys and data stay.
# shellcheck disable=SC2086 # parts and units are lists
set -eu

target=/opt/frt-stress
settings=/etc/frt-stress/frt.env
data=/var/lib/frt-stress
here=$(cd "$(dirname "$0")/../.." && pwd)
parts="api domain ops tasks requirements scenarios frt pyproject.toml"
units="frt.target frt-prepare.service frt-api.service frt-worker.service frt-supervisor.service"

case "${1:-}" in
  "") ;;
  --with-localnet) units="$units frt-localnet.service" ;;
  *) echo "usage: install.sh [--with-localnet]" >&2; exit 2 ;;
esac
[ "$(id -u)" = 0 ] || { echo "install.sh: run it as root" >&2; exit 1; }
command -v systemctl >/dev/null || { echo "install.sh: there is no systemd here" >&2; exit 1; }

echo "stopping what runs"
systemctl stop frt.target 2>/dev/null || true
for unit in frt-api frt-worker frt-supervisor frt-prepare frt-localnet; do
  systemctl disable --now "$unit.service" 2>/dev/null || true
  rm -f "/etc/systemd/system/$unit.service"
done

echo "installing into $target"
id frt >/dev/null 2>&1 || useradd --system --home-dir "$data" --shell /usr/sbin/nologin frt
install -d -o frt -g frt -m 0700 "$data"
install -d -m 0755 "$target"
# Only what runs, and nothing of what an older version had: no keys, data or .env of the checkout.
(cd "$target" && rm -rf $parts)
(cd "$here" && tar -cf - --exclude=__pycache__ $parts) | tar -xf - --no-same-owner -C "$target"
"$target/frt" config >/dev/null # builds the environment; the services may not write there
runuser -u frt -- "$target/frt" config >/dev/null || {
  echo "install.sh: the user frt cannot run $target/frt; is its Python in a home folder?" >&2
  echo "install.sh: remove $target/.venv and try again with FRT_PYTHON=/usr/bin/python3" >&2
  exit 1
}

if [ ! -e "$settings" ]; then
  install -d -m 0750 -g frt /etc/frt-stress
  umask 027
  cat >"$settings" <<'SETTINGS'
# One setting a line; `frt config --docs` lists them all.
FRT_REDIS_URL=redis://127.0.0.1:6379/0
FRT_RPC_URLS=http://127.0.0.1:8899
SETTINGS
  chgrp frt "$settings"
  echo "wrote $settings: look through it"
fi

for unit in $units; do
  install -m 0644 "$here/ops/deploy/systemd/$unit" /etc/systemd/system/
done
systemctl daemon-reload
systemctl enable $units
systemctl start $units
systemctl --no-pager --lines=0 status frt-api.service || true
echo "logs: journalctl -u 'frt-*' -f"
