use portgate_docker::engine::Architecture;
use serde::Serialize;

use crate::args::OutputArguments;
use crate::choice;
use crate::failure::Failure;
use crate::gates::VERSION;
use crate::view::{self, Row};

/// Prints the versions of portgate and of the engine. No engine is no error.
pub(crate) async fn version(arguments: OutputArguments) -> Result<(), Failure> {
    let mut rows = vec![Component { name: "portgate".to_owned(), version: VERSION.to_owned(), platform: platform() }];
    match engine().await {
        Ok(component) => rows.push(component),
        Err(failure) => view::note(failure),
    }
    view::print(arguments.output, &rows)
}

async fn engine() -> Result<Component, Failure> {
    let engine = choice::engine().await?;
    let info = engine.info().await?;
    let platform = format!("{}/{}", info.os, info.architecture);
    Ok(Component { name: format!("engine at {}", engine.endpoint()), version: info.version, platform })
}

fn platform() -> String {
    format!("{}/{}", std::env::consts::OS, Architecture::new(std::env::consts::ARCH))
}

#[derive(Serialize)]
struct Component {
    name: String,
    version: String,
    platform: String,
}

impl Row for Component {
    fn titles(_wide: bool) -> Vec<&'static str> {
        vec!["COMPONENT", "VERSION", "PLATFORM"]
    }

    fn cells(&self, _wide: bool) -> Vec<String> {
        vec![self.name.clone(), self.version.clone(), self.platform.clone()]
    }

    fn name(&self) -> String {
        self.version.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::hostile::check_row;

    #[test]
    fn the_words_of_an_engine_cannot_reach_the_terminal() {
        check_row(|text| Component { name: text.to_owned(), version: text.to_owned(), platform: text.to_owned() });
    }
}
