//! What a gate's container wrote.

use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptionsBuilder;
use bytes::Bytes;
use futures_util::{Stream, TryStreamExt, stream};
use jiff::Timestamp;

use crate::call::{self, Call, FOREVER, QUESTION};
use crate::engine::Engine;

/// Which lines of a log are wanted, and in what form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Go on with what is written from now on, until the container ends.
    pub follow: bool,
    /// So many lines from the end; none for all.
    pub tail: Option<u64>,
    /// Nothing from before this second.
    pub since: Option<Timestamp>,
    /// Each line begins with its time.
    pub timestamps: bool,
}

/// A piece of a log: a line, or as much of it as was written at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogChunk {
    /// Where it was written to.
    pub output: Output,
    /// What was written.
    pub bytes: Bytes,
}

/// A container's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Engine {
    /// Reads a container's log. Without `follow` the stream ends with the log, and no piece of it may take long.
    pub fn logs(
        &self,
        container: &str,
        options: LogOptions,
    ) -> impl Stream<Item = Result<LogChunk, call::Error>> + use<> {
        let lines = options.tail.map_or_else(|| "all".to_owned(), |lines| lines.to_string());
        let since = options.since.map_or(0, |since| i32::try_from(since.as_second()).unwrap_or(i32::MAX));
        let request = LogsOptionsBuilder::new()
            .stdout(true)
            .stderr(true)
            .follow(options.follow)
            .tail(&lines)
            .since(since)
            .timestamps(options.timestamps)
            .build();
        let limit = if options.follow { FOREVER } else { QUESTION };
        let call = Call::new("read the log of", container, limit);
        let log = Box::pin(self.docker.logs(container, Some(request)));
        stream::try_unfold((log, call), async |(mut log, call)| {
            let output = call.clone().make(log.try_next()).await?;
            Ok(output.map(|output| (chunk(output), (log, call))))
        })
    }
}

fn chunk(output: LogOutput) -> LogChunk {
    match output {
        LogOutput::StdErr { message } => LogChunk { output: Output::Stderr, bytes: message },
        LogOutput::StdOut { message } | LogOutput::StdIn { message } | LogOutput::Console { message } => {
            LogChunk { output: Output::Stdout, bytes: message }
        }
    }
}
