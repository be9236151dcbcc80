#!/bin/sh
# Builds countersign from this folder, puts it in place, and shows it at work.
#
#   ./install.sh [--prefix DIR] [--repo DIR] [--no-demo]
#
# --prefix DIR  installs DIR/bin/countersign (default: cargo's own bin folder)
# --repo DIR    also runs `countersign install` in that repository; without it,
#               in the one that you call this from, if you do
# --no-demo     leaves out the demonstration at the end
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
prefix=''
repository=''
demo=yes

say() { printf '%s\n' "$*"; }
fail() {
    printf 'install.sh: %s\n' "$*" >&2
    exit 1
}
usage() {
    sed -n '2,9s/^# \{0,1\}//p' "$here/install.sh"
}
value() {
    [ -n "${2:-}" ] || fail "$1 needs a folder"
}

while [ $# -gt 0 ]; do
    case $1 in
    --prefix) value "$1" "${2:-}"; prefix=$2; shift ;;
    --prefix=*) prefix=${1#*=}; value --prefix "$prefix" ;;
    --repo) value "$1" "${2:-}"; repository=$2; shift ;;
    --repo=*) repository=${1#*=}; value --repo "$repository" ;;
    --no-demo) demo=no ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; fail "unknown argument: $1" ;;
    esac
    shift
done

# What is needed, and how to get it.
command -v git >/dev/null 2>&1 || fail 'git is missing: install it with your package manager (apt-get install git, brew install git)'
if ! command -v cargo >/dev/null 2>&1 && [ -x "${CARGO_HOME:-$HOME/.cargo}/bin/cargo" ]; then
    PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
    export PATH
fi
command -v cargo >/dev/null 2>&1 || fail 'cargo is missing: install Rust from https://rustup.rs, then run this again'
compiler=''
for name in "${CC:-}" cc gcc clang; do
    if [ -n "$name" ] && command -v "${name%% *}" >/dev/null 2>&1; then
        compiler=$name
        break
    fi
done
[ -n "$compiler" ] || fail 'a C compiler is missing (libgit2 is built in): apt-get install build-essential, dnf install gcc, apk add build-base, or xcode-select --install'

# Folders as they were meant where this was called from.
if [ -n "$prefix" ]; then
    mkdir -p -- "$prefix/bin"
    prefix=$(CDPATH='' cd -- "$prefix" && pwd -P)
fi
if [ -n "$repository" ]; then
    repository=$(CDPATH='' cd -- "$repository" && pwd -P) || fail "--repo: no such folder"
    git -C "$repository" rev-parse --git-dir >/dev/null 2>&1 || fail "--repo: $repository is no git repository"
else
    repository=$(git rev-parse --show-toplevel 2>/dev/null || true)
fi

say "building countersign with $(cargo --version) (a few minutes the first time)"
if [ -n "$prefix" ]; then
    (cd "$here" && cargo build --release --locked --bin countersign)
    built=$(cd "$here" && cargo metadata --locked --no-deps --format-version 1 | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')/release/countersign
    # A new file under the old name: a running countersign keeps its own.
    cp -- "$built" "$prefix/bin/.countersign.new"
    mv -f -- "$prefix/bin/.countersign.new" "$prefix/bin/countersign"
    bin=$prefix/bin
else
    (cd "$here" && cargo install --path . --locked --force --bin countersign)
    bin=${CARGO_INSTALL_ROOT:-${CARGO_HOME:-$HOME/.cargo}}/bin
fi
program=$bin/countersign
[ -x "$program" ] || fail "cargo reported success, but $program is not there; is install.root set in cargo's configuration? --prefix DIR decides the place"
say "installed $program: $("$program" --version)"

status=0
if [ -n "$repository" ]; then
    say "installing the hooks in $repository (\`countersign uninstall\` takes them away)"
    "$program" -C "$repository" install || status=$?
fi

case :$PATH: in
*:"$bin":*) ;;
*)
    say "$bin is not on PATH. Add it, for example with this line in ~/.profile:"
    say "    export PATH=\"$bin:\$PATH\""
    ;;
esac

if [ "$demo" = yes ]; then
    "$program" demo || status=$?
fi
exit "$status"
