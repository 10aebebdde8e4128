//! Cases: connectors tried without their vendors. A case says which requests must come and what is answered; the real source, sink,
//! sign-in and request path play it over a transport that knows nothing else. Time stands still but for waits, so that a wait of an
//! hour takes none.
//!
//! ```text
//!   play      the stream is read, or the records are written, by the real code
//!   tape      answers requests as the case says, and notes what differs
//!   compare   decides what differs, and says how
//!   recorder  hears real traffic on its way;  mask, write: what of it becomes a case
//! ```

mod clock;
mod compare;
mod mask;
mod outcome;
mod play;
mod recorder;
mod tape;
mod write;

pub use self::{
    clock::standing_still,
    mask::Mask,
    outcome::Difference,
    play::play,
    recorder::{Came, Listened, Recorder, Traffic},
    write::{Subject, case_of},
};
