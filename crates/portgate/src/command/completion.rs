use std::io;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Arguments;
use crate::failure::Failure;

/// Prints a shell's completion script.
pub(crate) fn completion(shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "portgate", &mut script);
    io::Write::write_all(&mut io::stdout(), &script).map_err(Failure::system("print the script"))
}
