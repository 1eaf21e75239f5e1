use futures_util::stream::{self, BoxStream, StreamExt};
use portgate_docker::gate::{LogChunk, LogOptions};

use crate::args::LogsArguments;
use crate::failure::Failure;
use crate::gates::{self, Gate};
use crate::process_log;
use crate::view::{self, Lines};

/// The number of a gate, and a piece of its log.
type Piece = Result<(usize, Vec<u8>), Failure>;

/// Prints the logs of a cluster's gates.
pub(crate) async fn logs(arguments: LogsArguments) -> Result<(), Failure> {
    let (_, gates) = gates::find().await?.of_cluster(&arguments.cluster).await?;
    let options =
        LogOptions { follow: arguments.follow, tail: arguments.tail, since: arguments.since, timestamps: false };
    let mut logs: stream::SelectAll<BoxStream<'_, Piece>> = stream::SelectAll::new();
    for (number, gate) in gates.list.iter().enumerate() {
        match (gate, &gates.engine) {
            (Gate::Container(container), Some(engine)) => {
                let log = engine.logs(&container.name, options);
                logs.push(log.map(move |chunk: Result<LogChunk, _>| Ok((number, chunk?.bytes.to_vec()))).boxed());
            }
            (Gate::Process { paths, .. }, _) => {
                let lines = process_log::lines(paths.clone(), options).await?;
                logs.push(lines.map(move |line| Ok((number, (line? + "\n").into_bytes()))).boxed());
            }
            (Gate::Container(_), None) => {}
        }
    }
    let several = gates.list.len() > 1;
    let mut outputs: Vec<(String, Lines)> =
        gates.list.iter().map(|gate| (prefix(gate, several), Lines::default())).collect();
    while let Some(piece) = logs.next().await {
        let (number, bytes) = piece?;
        let Some((prefix, lines)) = outputs.get_mut(number) else { continue };
        for line in lines.push(&bytes) {
            view::log_line(format_args!("{prefix}{line}"))?;
        }
    }
    for (prefix, mut lines) in outputs {
        if let Some(line) = lines.end() {
            view::log_line(format_args!("{prefix}{line}"))?;
        }
    }
    Ok(())
}

/// What stands before the lines of one of several gates.
fn prefix(gate: &Gate, several: bool) -> String {
    if several { format!("{}: ", gate.name()) } else { String::new() }
}
