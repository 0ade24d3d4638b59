//! A terminal for programs: a viewer of a session that reattaches by itself.
//!
//! [`viewer`](Terminal) owns the connection. `reattach` decides, without I/O, what was received before and what is to be sent
//! again. `send_queue` holds what the viewer has not sent yet.

mod reattach;
mod send_queue;
mod viewer;

pub use viewer::{Terminal, TerminalEvent, ViewOptions};
