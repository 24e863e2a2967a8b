#!/usr/bin/env bash
# Ray Serve's own command line against the admin port of a running instance:
#     ray_cli.sh RAY ADDRESS FILE [TOKEN]
# RAY is the directory of a virtual environment with `ray[serve]`, ADDRESS the admin port, such as
# http://127.0.0.1:8265, and FILE a configuration in Ray's names.
set -uo pipefail
ray=$1 address=$2 file=$3
export RAY_USAGE_STATS_ENABLED=0 NO_COLOR=1
if [ -n "${4:-}" ]; then
    export RAY_AUTH_MODE=token RAY_AUTH_TOKEN=$4
fi

run() {
    echo "\$ serve $*"
    "$ray/bin/serve" "$@" --address "$address" 2>&1
    echo "exit code $?"
}

run deploy "$file"
# `serve deploy` does not wait.
for _ in $(seq 100); do
    "$ray/bin/serve" status --address "$address" 2>/dev/null | grep -q "status: RUNNING" && break
done
run status
run config
run shutdown --yes
run status
