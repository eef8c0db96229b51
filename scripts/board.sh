# What board this is, for scripts/jetson; every file is looked up below $ROOT.

# Prints the version of a Debian package that is installed; nothing if it is not.
package_version() {
    local status="$ROOT/var/lib/dpkg/status"
    [[ -r "$status" ]] || return 0
    awk -v wanted="$1" '
        $1 == "Package:" { this = ($2 == wanted); there = 0 }
        this && /^Status: .* installed$/ { there = 1 }
        this && there && $1 == "Version:" { print $2; exit }
    ' "$status"
}

# Prints the release of Jetson Linux (L4T), such as 36.4.3; nothing on other machines.
l4t_release() {
    local file="$ROOT/etc/nv_tegra_release" core
    if [[ -r "$file" ]]; then
        sed -nE '1s/^# R([0-9]+) \(release\), REVISION: ([0-9.]+).*/\1.\2/p' "$file"
        return
    fi
    core=$(package_version nvidia-l4t-core)
    printf '%s' "${core%%-*}"
}

board_model() {
    local file="$ROOT/proc/device-tree/model"
    [[ -r "$file" ]] && tr -d '\0' <"$file"
    return 0
}

is_jetson() { [[ -n "$L4T" || "$MODEL" == *Jetson* ]]; }

# Prints the JetPack of a release of Jetson Linux, as far as it is known.
jetpack_of() {
    case "$1" in
        32.[67]*) echo 4.6 ;;
        32.*) echo 4 ;;
        34.*) echo 5.0 ;;
        35.1*) echo 5.0.2 ;;
        35.*) echo 5.1 ;;
        36.[0-3]*) echo 6.0 ;;
        36.4 | 36.4.[012]*) echo 6.1 ;;
        36.*) echo 6.2 ;;
        3[89].*) echo 7 ;;
        *) echo unknown ;;
    esac
}

system_name() { os_release PRETTY_NAME; }

os_release() {
    local file="$ROOT/etc/os-release"
    [[ -r "$file" ]] || return 0
    sed -nE "s/^$1=\"?([^\"]*)\"?\$/\\1/p" "$file"
}

# Prints the versions of Python 3 that are installed, oldest first, such as "3.8 3.11".
pythons() {
    local file version
    for file in "$ROOT"/usr/bin/python3.? "$ROOT"/usr/bin/python3.?? "$ROOT"/usr/local/bin/python3.1?; do
        version=${file##*/python}
        if [[ -e "$file" ]]; then printf '%s\n' "$version"; fi
    done | sort -uV | paste -sd' '
}

# Prints the newest of the given versions that the captioner runs with.
suitable_python() {
    local version
    for version in 3.12 3.11 3.10; do
        [[ " $* " == *" $version "* ]] && echo "$version" && return
    done
    return 0
}

cuda_version() {
    local file="$ROOT/usr/local/cuda/version.json" folder
    if [[ -r "$file" ]]; then
        tr -d ' \n' <"$file" | sed -nE 's/.*"cuda":\{[^}]*"version":"([0-9]+\.[0-9]+).*/\1/p'
        return
    fi
    for folder in "$ROOT"/usr/local/cuda-*.*; do
        [[ -d "$folder" ]] && echo "${folder##*/cuda-}" && return
    done
    return 0
}

tensorrt_version() {
    local package version
    for package in libnvinfer10 libnvinfer8 libnvinfer-bin; do
        version=$(package_version "$package")
        [[ -n "$version" ]] && echo "${version%%-*}" && return
    done
    return 0
}

# Prints the folders of the sound cards that are plugged in by USB.
usb_cards() {
    local card
    for card in "$ROOT"/sys/class/sound/card*; do
        [[ -e "$card/device/../idVendor" ]] && printf '%s\n' "$card"
    done
    return 0
}

# Prints what a file of the USB device of a card says; nothing if it has none.
usb_fact() {
    local file="$1/device/../$2"
    [[ -r "$file" ]] && tr -d '\n' <"$file"
    return 0
}

usb_port() { basename "$(readlink -f "$1/device/..")"; }
