//! Whether an executable runs in an empty image: for Linux, for the right processor, with no library beside it.

use object::Endianness;
use object::elf::{EM_AARCH64, EM_PPC64, EM_RISCV, EM_S390, EM_X86_64, Machine, PT_INTERP};
use object::read::elf::{ElfFile64, FileHeader, ProgramHeader};

use crate::engine::Architecture;

/// Why an executable would not run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It is not for Linux, or not for a 64-bit processor.
    #[error("it is not a 64-bit Linux executable")]
    NotElf,
    /// It is for another processor.
    #[error("it is built for {built}, and the engine runs {wanted}")]
    Architecture {
        /// What it is built for.
        built: Architecture,
        /// What the engine runs.
        wanted: Architecture,
    },
    /// It asks for a dynamic linker, which the image does not hold.
    #[error("it is linked dynamically")]
    Dynamic,
}

/// Checks an executable's headers.
pub(super) fn check(executable: &[u8], wanted: &Architecture) -> Result<(), Unfit> {
    let file = ElfFile64::<Endianness>::parse(executable).map_err(|_| Unfit::NotElf)?;
    let endian = file.endian();
    let built = architecture(file.elf_header().e_machine(endian), endian);
    if built != *wanted {
        return Err(Unfit::Architecture { built, wanted: wanted.clone() });
    }
    let dynamic = file.elf_program_headers().iter().any(|header| header.p_type(endian) == PT_INTERP);
    if dynamic { Err(Unfit::Dynamic) } else { Ok(()) }
}

fn architecture(machine: Machine, endian: Endianness) -> Architecture {
    Architecture::new(match (machine, endian) {
        (EM_X86_64, _) => "amd64",
        (EM_AARCH64, _) => "arm64",
        (EM_RISCV, _) => "riscv64",
        (EM_PPC64, Endianness::Little) => "ppc64le",
        (EM_S390, _) => "s390x",
        _ => "another processor",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: usize = 64;
    const PROGRAM_HEADER: usize = 56;

    /// The smallest file that has the headers in question.
    fn elf(machine: u8, segment: u8) -> Vec<u8> {
        let mut file = vec![0; HEADER + PROGRAM_HEADER];
        file[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        file[16] = 2; // an executable
        file[18] = machine;
        file[20] = 1; // the format's version
        file[32] = 64; // where the program headers begin
        file[52] = 64; // the size of this header
        file[54] = 56; // the size of a program header
        file[56] = 1; // their number
        file[HEADER] = segment;
        file
    }

    const X86_64: u8 = 62;
    const LOAD: u8 = 1;
    const INTERP: u8 = 3;

    #[test]
    fn a_static_executable_for_the_engine_is_fit() {
        assert_eq!(check(&elf(X86_64, LOAD), &Architecture::new("amd64")), Ok(()));
    }

    #[test]
    fn another_processor_is_named() {
        let error = check(&elf(X86_64, LOAD), &Architecture::new("arm64")).unwrap_err();
        assert_eq!(error.to_string(), "it is built for amd64, and the engine runs arm64");
    }

    #[test]
    fn a_dynamic_linker_is_not_in_the_image() {
        assert_eq!(check(&elf(X86_64, INTERP), &Architecture::new("amd64")), Err(Unfit::Dynamic));
    }

    #[test]
    fn a_program_for_another_system_is_no_elf() {
        assert_eq!(check(b"\xcf\xfa\xed\xfe macOS", &Architecture::new("arm64")), Err(Unfit::NotElf));
        assert_eq!(check(b"", &Architecture::new("amd64")), Err(Unfit::NotElf));
    }
}
