//! What any program that talks to models needs of the system, to be read only.

use std::path::PathBuf;

/// Libraries that the C library loads when a name is looked up.
const LIBRARIES: [&str; 6] =
    ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/nix/store"];

/// How names, users and times are looked up. Not all of `/etc`: passwords and keys are in it.
const LOOKUP: [&str; 16] = [
    "/etc/gai.conf",
    "/etc/group",
    "/etc/host.conf",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/services",
    "/usr/share/zoneinfo",
    // Where `/etc/resolv.conf` points: files there are replaced, so their directories are named.
    "/run/NetworkManager",
    "/run/resolvconf",
    "/run/systemd/resolve",
];

/// The certificates that the system trusts, in the places of the usual distributions. Not all of
/// `/etc/ssl`: private keys are in it.
const CERTIFICATES: [&str; 12] = [
    "/etc/ca-certificates",
    "/etc/pki/ca-trust/extracted",
    "/etc/pki/tls/cert.pem",
    "/etc/pki/tls/certs",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/usr/local/share/ca-certificates",
    "/usr/share/ca-certificates",
    "/usr/share/pki",
    "/var/lib/ca-certificates",
];

/// What this machine has, and may be used of it.
const MACHINE: [&str; 6] = [
    "/dev/random",
    "/dev/urandom",
    "/proc/meminfo",
    // What tells one boot from another: locks do not outlive one.
    "/proc/sys/kernel/random/boot_id",
    "/sys/devices/system/cpu",
    "/sys/fs/cgroup",
];

/// What a process finds out about itself. Not its environment, which has the keys of models, and not
/// its memory.
const ITSELF: [&str; 6] = [
    "/proc/self/cgroup",
    "/proc/self/fd",
    "/proc/self/fdinfo",
    "/proc/self/limits",
    "/proc/self/mountinfo",
    "/proc/self/status",
];

/// The variables that name other certificates.
const CERTIFICATE_VARIABLES: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

/// Files and directories that may be read.
pub(super) fn read_only() -> impl Iterator<Item = PathBuf> {
    let named = CERTIFICATE_VARIABLES.iter().filter_map(std::env::var_os);
    let fixed = [&LIBRARIES[..], &LOOKUP, &CERTIFICATES, &MACHINE, &ITSELF].concat();
    // A panic names places in the program, which it reads of its file.
    let program = std::env::current_exe().ok();
    fixed.into_iter().map(PathBuf::from).chain(named.map(PathBuf::from)).chain(program)
}

/// Files that are also written.
pub(super) fn read_write() -> impl Iterator<Item = PathBuf> {
    ["/dev/null"].into_iter().map(PathBuf::from)
}
