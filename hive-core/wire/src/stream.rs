//! State machines for one direction of one stream, as a sender and as a receiver: credit, offsets, resume.
//!
//! Both are plain structs. A [`Sender`] says which bytes to send next and never holds them: they lie in a spool, a ring
//! or a socket. A [`Receiver`] says which bytes of a frame are new and how much more the sender may send. [`Lanes`]
//! decides what goes out first when several streams share a link. A
//! [`Ring`] keeps the end of a stream for those who come later, a [`Window`] says how much may be under way to somebody.

mod lanes;
mod receiver;
mod ring;
mod sender;
mod window;

pub use lanes::{Lane, Lanes};
pub use receiver::{Receiver, StreamError};
pub use ring::{Missing, Ring};
pub use sender::{Chunk, Sender};
pub use window::Window;

/// Bytes a sender may send before it hears from the receiver.
pub const INITIAL_WINDOW: u64 = 256 * 1024;
/// The most bytes a receiver lets be under way.
pub const MAX_WINDOW: u64 = 1024 * 1024;
