//! What a Runtime process and its launcher say to each other.
//!
//! A message is JSON. A request is one packet, and with it come four descriptors. The first three
//! become the standard streams of the program; the fourth is a socket for this program alone. On it
//! comes one [`Reply`], and then its end; a program whose socket is closed, or written to, is killed.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{BorrowedFd, OwnedFd},
};

use rustix::{
    io::Errno,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
    },
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::engine::CompileJob;

/// The longest message: several times the longest there is, and little to hold.
pub(super) const MAX_MESSAGE_BYTES: usize = 1 << 10;

/// Standard input, output and error, and the socket of the program.
pub(super) const DESCRIPTORS: usize = 4;

/// What a launcher can be asked.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Request {
    /// Start a program.
    Start(Program),
}

/// What a launcher can start.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Program {
    /// The compile helper.
    Compile(CompileJob),
}

/// What became of a program.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Reply {
    /// It was not started.
    Refused {
        /// The error number of the system, where it was the system that refused.
        errno: Option<i32>,
    },
    /// It ended.
    Exited {
        /// As `wait` gives it.
        wait_status: i32,
    },
}

/// What came in one packet.
#[derive(Debug)]
pub(super) struct Packet<T> {
    pub(super) message: Result<T, Malformed>,
    pub(super) descriptors: Vec<OwnedFd>,
}

/// A packet that no version of this program sends.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Sends a message without waiting for room: a packet is short, and who reads them does nothing else.
pub(super) fn send(
    socket: BorrowedFd<'_>,
    message: &impl Serialize,
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let bytes = serde_json::to_vec(message)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if bytes.len() > MAX_MESSAGE_BYTES
        || (!descriptors.is_empty()
            && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)))
    {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    sendmsg(socket, &[IoSlice::new(&bytes)], &mut ancillary, flags)?;
    Ok(())
}

/// Takes the next packet, if one is there; `None` where there will be no more.
pub(super) fn receive<T: DeserializeOwned>(
    socket: BorrowedFd<'_>,
) -> io::Result<Option<Packet<T>>> {
    let mut bytes = [0; MAX_MESSAGE_BYTES];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let received = loop {
        match recvmsg(socket, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, flags) {
            Err(Errno::INTR) => {}
            received => break received?,
        }
    };
    let mut descriptors = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    if received.bytes == 0 && descriptors.is_empty() {
        return Ok(None);
    }
    // What does not fit is cut off, message and descriptors alike, and says so.
    let is_whole = !received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC);
    let message = bytes.get(..received.bytes).filter(|_| is_whole);
    let message = message.and_then(|bytes| serde_json::from_slice(bytes).ok()).ok_or(Malformed);
    Ok(Some(Packet { message, descriptors }))
}
