//! Statements for the output of commands.

use crate::sql::many_rows::ManyRowsStatement;

// Chunks have no gaps, so that the end of the last one is the length of the stream.
pub(in crate::sql) const OUTPUT_LENGTH: &str = "SELECT first_byte + length AS total FROM command_output \
     WHERE command_id = $1 AND channel = $2 ORDER BY first_byte DESC LIMIT 1";
/// Returns the chunks that were inserted: those that begin where the stored output of their stream ends.
pub(in crate::sql) static OUTPUT_INSERT_AT_END: ManyRowsStatement = ManyRowsStatement::new(
    "command, stream, start, size, chunk",
    "INSERT INTO command_output (command_id, channel, first_byte, length, bytes) \
     SELECT v.command, v.stream, v.start, v.size, v.chunk FROM v WHERE v.start = COALESCE((SELECT \
     MAX(o.first_byte + o.length) FROM command_output o WHERE o.command_id = v.command AND o.channel = v.stream), 0) \
     RETURNING command_id, channel",
);
pub(in crate::sql) const OUTPUT_INSERT: &str =
    "INSERT INTO command_output (command_id, channel, first_byte, length, bytes) VALUES ($1, $2, $3, $4, $5)";
pub(in crate::sql) const OUTPUT_LENGTHS: &str = "SELECT channel, MAX(first_byte + length) AS total FROM command_output \
     WHERE command_id = $1 GROUP BY channel";
pub(in crate::sql) const OUTPUT_CHUNKS: &str = "SELECT first_byte, bytes FROM command_output \
     WHERE command_id = $1 AND channel = $2 AND first_byte + length > $3 ORDER BY first_byte LIMIT $4";
