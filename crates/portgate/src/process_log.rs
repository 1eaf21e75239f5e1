//! What gates in process placement have said.

use std::io::{self, SeekFrom};
use std::path::Path;
use std::time::Duration;

use futures_util::{Stream, stream};
use jiff::Timestamp;
use portgate_docker::gate::LogOptions;
use portgate_gate::client::Session;
use portgate_gate::paths::ProcessPaths;
use tokio::fs::File;
use tokio::io::{AsyncBufReadExt, AsyncSeekExt, BufReader};
use tokio::time::sleep;

use crate::failure::Failure;

/// How often a log is looked at for more, while it is followed.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// A log that is being read.
struct Log {
    paths: ProcessPaths,
    options: LogOptions,
    lines: BufReader<File>,
    /// What was read of a line that is not whole yet.
    line: String,
    /// Whether nothing more will be said.
    is_over: bool,
}

/// The lines of a gate's log. A log that is followed ends when its gate does.
pub(crate) async fn lines(
    paths: ProcessPaths,
    options: LogOptions,
) -> Result<impl Stream<Item = Result<String, Failure>>, Failure> {
    let path = paths.log();
    let opened = async {
        let mut lines = BufReader::new(File::open(&path).await?);
        let start = start(&mut lines, options.tail).await?;
        lines.seek(SeekFrom::Start(start)).await?;
        io::Result::Ok(Log { paths, options, lines, line: String::new(), is_over: false })
    };
    let log = opened.await.map_err(reading(&path))?;
    Ok(stream::try_unfold(log, async |mut log| Ok(log.next().await?.map(|line| (line, log)))))
}

fn reading(path: &Path) -> impl FnOnce(io::Error) -> Failure + use<> {
    Failure::system(format!("read {}", path.display()))
}

/// Where the last lines begin.
async fn start(lines: &mut BufReader<File>, tail: Option<u64>) -> io::Result<u64> {
    let Some(tail) = tail.and_then(|tail| usize::try_from(tail).ok()) else { return Ok(0) };
    let (mut starts, mut at, mut line) = (Vec::new(), 0, String::new());
    loop {
        line.clear();
        let length = lines.read_line(&mut line).await?;
        if length == 0 {
            return Ok(starts.len().checked_sub(tail).map_or(0, |first| starts.get(first).copied().unwrap_or(at)));
        }
        starts.push(at);
        at += length as u64;
    }
}

impl Log {
    async fn next(&mut self) -> Result<Option<String>, Failure> {
        loop {
            let read = self.lines.read_line(&mut self.line).await.map_err(reading(&self.paths.log()))?;
            if self.line.ends_with('\n') {
                let line = std::mem::take(&mut self.line);
                if is_since(&line, self.options.since) {
                    return Ok(Some(line.trim_end().to_owned()));
                }
            } else if read == 0 && self.is_over {
                return Ok(None);
            } else if read == 0 {
                // What a gate says last may come between the end of the log and that of the gate.
                self.is_over =
                    !self.options.follow || Session::connect(&self.paths.socket(), Duration::ZERO).await.is_err();
                if !self.is_over {
                    sleep(LOOK_AGAIN).await;
                }
            }
        }
    }
}

/// Whether a line, which begins with its time, is not older than that.
fn is_since(line: &str, since: Option<Timestamp>) -> bool {
    let time = line.split_whitespace().next().and_then(|time| time.parse::<Timestamp>().ok());
    time.zip(since).is_none_or(|(time, since)| time >= since)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use futures_util::TryStreamExt;

    use super::*;

    async fn read(content: &str, options: LogOptions) -> Vec<String> {
        let directory = tempfile::tempdir().unwrap();
        let paths = ProcessPaths::new(directory.path(), "gate");
        fs::create_dir(&paths.directory).unwrap();
        fs::write(paths.log(), content).unwrap();
        lines(paths, options).await.unwrap().try_collect().await.unwrap()
    }

    #[tokio::test]
    async fn a_log_is_read_from_its_last_lines_and_from_a_time_on() {
        let content = "2026-01-01T10:00:00Z INFO a\n2026-01-01T11:00:00Z INFO b\n2026-01-01T12:00:00Z INFO c\n";
        assert_eq!(read(content, LogOptions::default()).await.len(), 3);
        let last = LogOptions { tail: Some(1), ..LogOptions::default() };
        assert_eq!(read(content, last).await, ["2026-01-01T12:00:00Z INFO c"]);
        let late = LogOptions { since: "2026-01-01T11:00:00Z".parse().ok(), ..LogOptions::default() };
        assert_eq!(read(content, late).await.len(), 2);
        assert_eq!(read(content, LogOptions { tail: Some(9), ..LogOptions::default() }).await.len(), 3);
        assert!(read(content, LogOptions { tail: Some(0), ..LogOptions::default() }).await.is_empty());
    }

    #[tokio::test]
    async fn a_log_that_is_followed_ends_with_its_gate() {
        let follow = LogOptions { follow: true, ..LogOptions::default() };
        assert_eq!(read("the last words\n", follow).await, ["the last words"]);
    }
}
