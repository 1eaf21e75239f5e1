use std::io::{self, Write};

use futures_util::stream::{self, BoxStream, StreamExt};
use portgate_docker::gate::{LogChunk, LogOptions};

use crate::args::LogsArguments;
use crate::failure::Failure;
use crate::gates::{self, Gate};
use crate::process_log;

/// What stands before a piece of a log, and the piece.
type Piece = Result<(String, Vec<u8>), Failure>;

/// Prints what a cluster's gates say.
pub(crate) async fn logs(arguments: LogsArguments) -> Result<(), Failure> {
    let (_, gates) = gates::find().await?.of_cluster(&arguments.cluster).await?;
    let options =
        LogOptions { follow: arguments.follow, tail: arguments.tail, since: arguments.since, timestamps: false };
    let several = gates.list.len() > 1;
    let mut logs: stream::SelectAll<BoxStream<'_, Piece>> = stream::SelectAll::new();
    for gate in &gates.list {
        let prefix = if several { format!("{}: ", gate.name()) } else { String::new() };
        match (gate, &gates.engine) {
            (Gate::Container(container), Some(engine)) => {
                let log = engine.logs(&container.name, options);
                let piece = move |chunk: Result<LogChunk, _>| Ok((prefix.clone(), chunk?.bytes.to_vec()));
                logs.push(log.map(piece).boxed());
            }
            (Gate::Process { paths, .. }, _) => {
                let lines = process_log::lines(paths.clone(), options).await?;
                let piece = move |line: Result<String, _>| Ok((prefix.clone(), format!("{}\n", line?).into_bytes()));
                logs.push(lines.map(piece).boxed());
            }
            (Gate::Container(_), None) => {}
        }
    }
    while let Some(piece) = logs.next().await {
        let (prefix, bytes) = piece?;
        print(&prefix, &bytes).map_err(Failure::system("print the log"))?;
    }
    Ok(())
}

fn print(prefix: &str, bytes: &[u8]) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    out.write_all(prefix.as_bytes())?;
    out.write_all(bytes)?;
    out.flush()
}
