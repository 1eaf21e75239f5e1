use std::io::{self, Write};

use futures_util::{StreamExt, stream};
use portgate_docker::gate::LogOptions;

use crate::args::LogsArguments;
use crate::failure::Failure;
use crate::gates::{self, Gate};
use crate::process_gate;

/// Prints what a cluster's gates say.
pub(crate) async fn logs(arguments: LogsArguments) -> Result<(), Failure> {
    let (_, gates) = gates::find().await?.of_cluster(&arguments.cluster).await?;
    let options =
        LogOptions { follow: arguments.follow, tail: arguments.tail, since: arguments.since, timestamps: false };
    let several = gates.list.len() > 1;
    let mut logs = stream::SelectAll::new();
    for gate in &gates.list {
        match (gate, &gates.engine) {
            (Gate::Container(container), Some(engine)) => {
                let prefix = if several { format!("{}: ", container.name) } else { String::new() };
                let log = engine.logs(&container.name, options);
                logs.push(log.map(move |chunk| (prefix.clone(), chunk)).boxed());
            }
            (Gate::Process { paths, .. }, _) => process_gate::print_log(paths, options.tail)?,
            (Gate::Container(_), None) => {}
        }
    }
    while let Some((prefix, chunk)) = logs.next().await {
        print(&prefix, &chunk?.bytes).map_err(Failure::system("print the log"))?;
    }
    Ok(())
}

fn print(prefix: &str, bytes: &[u8]) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    out.write_all(prefix.as_bytes())?;
    out.write_all(bytes)?;
    out.flush()
}
