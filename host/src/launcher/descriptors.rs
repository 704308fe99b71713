//! What the launcher inherited, and does not pass on.

use std::{fs, io, os::fd::RawFd};

/// Closes all that this process has open, but for its standard streams.
///
/// To be called first thing in `main`: see the proof in it.
pub(super) fn close_inherited() -> io::Result<()> {
    let mut open = Vec::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        open.extend(entry?.file_name().to_str().and_then(|name| name.parse::<RawFd>().ok()));
    }
    // The list's own is among them, and not open any more.
    let is_open =
        |descriptor: &RawFd| fs::symlink_metadata(format!("/proc/self/fd/{descriptor}")).is_ok();
    open.retain(|descriptor| *descriptor > 2 && is_open(descriptor));
    for descriptor in open {
        // SAFETY: nobody in this process may go on to use a descriptor that is closed here, thinking
        // it was still its own. This is the first thing that the launcher does, with one thread, and
        // nothing that opened a file before has it still: the list above is closed with its iterator.
        // So what is open was inherited, and nothing here knows of it.
        #[expect(unsafe_code, reason = "descriptors without an owner; see the proof above")]
        unsafe {
            rustix::io::close(descriptor);
        }
    }
    Ok(())
}
