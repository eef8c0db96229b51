# Functions that the scripts here share; SAID_BY names the script that says something.

say() { printf '%s: %s\n' "$SAID_BY" "$*" >&2; }
fail() { say "$*"; exit 1; }

missing_packages() {
    local package
    for package in "$@"; do
        [[ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" == installed ]] ||
            printf '%s\n' "$package"
    done
}

# Installs those of the named Debian packages that are missing; fails where it cannot.
install_packages() {
    local as_root=() packages
    mapfile -t packages < <(missing_packages "$@")
    ((${#packages[@]})) || return 0
    if ! command -v apt-get >/dev/null; then
        say "install what Debian calls: ${packages[*]}"
        return 1
    fi
    if ((EUID)); then
        as_root=(sudo -n)
        if ! sudo -n true 2>/dev/null; then
            say "run: sudo apt-get install ${packages[*]}"
            return 1
        fi
    fi
    as_root+=(env DEBIAN_FRONTEND=noninteractive apt-get -q)
    local install=(install -y --no-install-recommends "${packages[@]}")
    say "installing ${packages[*]}"
    "${as_root[@]}" "${install[@]}" </dev/null >&2 && return 0
    say "trying again with newer package lists"
    "${as_root[@]}" update </dev/null >&2 && "${as_root[@]}" "${install[@]}" </dev/null >&2 && return 0
    say "could not install ${packages[*]}; try: sudo apt-get update && sudo apt-get install ${packages[*]}"
    return 1
}
