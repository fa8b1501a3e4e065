//! The log of one attempt: what the step writes and what it prints, within a quota.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};

use stepcell_model::attempt::{CellLimits, LogLevel, LogLine};
use stepcell_model::json::Json;

use stepcell_model::secret::SECRET_BYTES_MAX;

use crate::blank::Blanker;

/// The log of one attempt. Clones share it: the step's own calls and its two standard streams write to one log.
#[derive(Clone, Debug)]
pub(crate) struct AttemptLog(Arc<Mutex<Lines>>);

#[derive(Debug)]
struct Lines {
    limits: LogLimits,
    blanker: Blanker,
    lines: Vec<LogLine>,
    bytes: usize,
    dropped: u32,
    unfinished: [Vec<u8>; 2],
}

/// How much a log may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogLimits {
    /// How many lines.
    lines_max: usize,
    /// How many bytes in all.
    bytes_max: usize,
    /// How many bytes of one line.
    line_bytes_max: usize,
}

impl LogLimits {
    pub(crate) fn of(limits: &CellLimits) -> Self {
        let bytes = |limit: u64| usize::try_from(limit).unwrap_or(usize::MAX);
        Self {
            lines_max: limits.log_lines_max as usize,
            bytes_max: bytes(limits.log_bytes_max),
            line_bytes_max: bytes(limits.log_line_bytes_max),
        }
    }
}

/// One of the standard streams.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stream {
    /// Standard output; comes at `info`.
    Output = 0,
    /// Standard error; comes at `warn`.
    Error = 1,
}

impl Stream {
    const fn level(self) -> LogLevel {
        match self {
            Self::Output => LogLevel::Info,
            Self::Error => LogLevel::Warn,
        }
    }
}

impl AttemptLog {
    pub(crate) fn new(limits: LogLimits, blanker: Blanker) -> Self {
        let lines =
            Lines { limits, blanker, lines: Vec::new(), bytes: 0, dropped: 0, unfinished: [Vec::new(), Vec::new()] };
        Self(Arc::new(Mutex::new(lines)))
    }

    /// Adds a line; one past the quota is dropped and counted.
    pub(crate) fn write(&self, level: LogLevel, message: &str, fields: Option<Json>) {
        self.with(|lines| lines.push(level, message, fields));
    }

    /// Adds what was printed, line by line; what follows the last line break waits for its end.
    pub(crate) fn print(&self, stream: Stream, bytes: &[u8]) {
        self.with(|lines| {
            for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
                lines.print(stream, piece);
            }
        });
    }

    /// Ends lines that were printed without a line break, and takes everything out: the lines, and how many were
    /// dropped.
    pub(crate) fn finish(&self) -> (Vec<LogLine>, u32) {
        self.with(|lines| {
            for stream in [Stream::Output, Stream::Error] {
                lines.end_line(stream);
            }
            (std::mem::take(&mut lines.lines), lines.dropped)
        })
    }

    fn with<T>(&self, work: impl FnOnce(&mut Lines) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Lines {
    fn print(&mut self, stream: Stream, piece: &[u8]) {
        let unfinished = &mut self.unfinished[stream as usize];
        let (text, is_whole) = piece.strip_suffix(b"\n").map_or((piece, false), |text| (text, true));
        // More than fits, so that a secret at the end of what fits is found whole.
        let room = (self.limits.line_bytes_max + SECRET_BYTES_MAX).saturating_sub(unfinished.len());
        unfinished.extend_from_slice(&text[..text.len().min(room)]);
        if is_whole {
            let line = std::mem::take(unfinished);
            self.push(stream.level(), &String::from_utf8_lossy(&line), None);
        }
    }

    fn end_line(&mut self, stream: Stream) {
        let line = std::mem::take(&mut self.unfinished[stream as usize]);
        if !line.is_empty() {
            self.push(stream.level(), &String::from_utf8_lossy(&line), None);
        }
    }

    fn push(&mut self, level: LogLevel, message: &str, fields: Option<Json>) {
        if self.lines.len() >= self.limits.lines_max {
            self.dropped = self.dropped.saturating_add(1);
            return;
        }
        let is_cut = message.len() >= self.limits.line_bytes_max + SECRET_BYTES_MAX;
        let told = if is_cut { Cow::Owned(self.blanker.cut_text(message)) } else { self.blanker.text(message) };
        let message = &told[..told.floor_char_boundary(self.limits.line_bytes_max)];
        let fields = fields.map(|fields| self.blanker.json(fields));
        let bytes = message.len() + fields.as_ref().map_or(0, Json::len_bytes);
        if self.bytes + bytes > self.limits.bytes_max {
            self.dropped = self.dropped.saturating_add(1);
            return;
        }
        self.bytes += bytes;
        let message = message.to_owned();
        self.lines.push(LogLine { level, message, fields });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: CellLimits = CellLimits::TOP;
    const LOG_LINES_MAX: usize = LIMITS.log_lines_max as usize;
    const LOG_BYTES_MAX: usize = LIMITS.log_bytes_max as usize;
    const LOG_LINE_BYTES_MAX: usize = LIMITS.log_line_bytes_max as usize;

    fn log() -> AttemptLog {
        AttemptLog::new(LogLimits::of(&LIMITS), Blanker::default())
    }

    #[test]
    fn what_is_printed_comes_line_by_line_however_it_is_cut() {
        let log = log();

        for piece in ["one\ntw", "o\n", "", "three"] {
            log.print(Stream::Output, piece.as_bytes());
        }
        log.print(Stream::Error, b"oh");

        let (lines, dropped) = log.finish();
        let said: Vec<_> = lines.iter().map(|line| (line.level, line.message.as_str())).collect();
        assert_eq!(
            said,
            [(LogLevel::Info, "one"), (LogLevel::Info, "two"), (LogLevel::Info, "three"), (LogLevel::Warn, "oh")]
        );
        assert_eq!(dropped, 0);
    }

    #[test]
    fn lines_past_the_quota_are_dropped_and_counted() {
        let log = log();

        (0..LOG_LINES_MAX + 5).for_each(|_| log.write(LogLevel::Info, "x", None));

        let (lines, dropped) = log.finish();
        assert_eq!((lines.len(), dropped), (LOG_LINES_MAX, 5));
    }

    #[test]
    fn a_long_line_is_cut_at_a_characters_end_and_a_long_log_at_its_bytes() {
        let log = log();

        (0..40).for_each(|_| log.print(Stream::Output, format!("{}\n", "ä".repeat(5_000)).as_bytes()));

        let (lines, dropped) = log.finish();
        assert_eq!(lines[0].message.len(), LOG_LINE_BYTES_MAX);
        assert_eq!((lines.len(), dropped), (LOG_BYTES_MAX / LOG_LINE_BYTES_MAX, 8));
    }
}
