//! What every store promises, as checks each implementation passes.
